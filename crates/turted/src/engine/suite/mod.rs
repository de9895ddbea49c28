//! What every engine has to pass. An engine brings a [`Place`], where engines of several processes meet.
//!
//! | file | what |
//! |---|---|
//! | `log` | epochs, order, keys, holds, reading |
//! | `values` | values and their owners, messages |

mod log;
mod values;

use std::time::Duration;

use bytes::Bytes;
use turted_core::cursor::Cursor;

use super::{Append, Appended, Engine, Reign, Values, Writer};

/// Where engines meet.
pub(crate) trait Place {
    type Engine: Engine;

    /// Forgets everything.
    async fn clear(&self);

    /// The engine of a process.
    fn engine(&self, process: u64) -> Self::Engine;
}

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(60);
/// The epoch that cases begin.
const EPOCH: u64 = 1_700_000_000_000 << 16;
/// The number of its first entry.
const FIRST: u64 = 1_048_576;

/// Runs all cases, each on an empty place.
pub(crate) async fn pass<P: Place>(place: &P) {
    log::pass(place).await;
    values::pass(place).await;
}

type WriterOf<P> = <<P as Place>::Engine as Engine>::Writer;
type ValuesOf<P> = <<P as Place>::Engine as Engine>::Values;

/// A writer on an empty place, with an epoch begun.
async fn begun<P: Place>(place: &P) -> WriterOf<P> {
    place.clear().await;
    let (mut writer, state) = place.engine(1).writer().await.unwrap();
    assert_eq!((state.last, &state.reign), (None, &None), "the place is empty");
    let reign = Reign { epoch: EPOCH, first: FIRST, process: state.process.clone() };
    assert_eq!(writer.begin(&state, &reign, b"begin").await, Ok(true));
    writer
}

async fn values<P: Place>(place: &P, process: u64) -> ValuesOf<P> {
    place.engine(process).values().await.unwrap()
}

fn at(sequence: u64) -> Cursor {
    Cursor { epoch: EPOCH, sequence: FIRST + sequence }
}

/// A push of these entries, without a key.
fn plain(entries: &[Bytes]) -> Append<'_> {
    Append { entries, key: None, holds: None }
}

fn keyed<'a>(entries: &'a [Bytes], key: &'a str) -> Append<'a> {
    Append { entries, key: Some((key, b"kept", LONG)), holds: None }
}

fn bytes<const N: usize>(texts: [&'static str; N]) -> [Bytes; N] {
    texts.map(|text| Bytes::from_static(text.as_bytes()))
}

/// Appends one push.
async fn append(writer: &mut impl Writer, epoch: u64, push: Append<'_>) -> Appended {
    let mut appended = writer.append(epoch, &[push], 0).await.unwrap();
    assert_eq!(appended.len(), 1);
    appended.remove(0)
}

/// Makes one change.
async fn change(values: &mut impl Values, change: super::Change<'_>) -> super::Changed {
    let mut changed = values.all(&[change]).await.unwrap();
    assert_eq!(changed.len(), 1);
    changed.remove(0)
}
