//! Claims: which node has a session whose id its client chose.
//!
//! The ids that we make name their node. Those of SockJS name nothing, so the node that a session begins at claims its
//! name in the engine before it answers. The other nodes look the name up there, and pass on what comes to them. A claim
//! lives as long as its session: it is renewed until then, and given up with it. The claims of a node that is gone run
//! out.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};
use turted_core::kept::{Kept, KeptLimits};
use turted_core::session_key::SessionKey;

use crate::engine::{Change, Changed};

/// How long a claim outlives its node. Nobody needs it then: clients choose another id when their session is lost.
pub(crate) const CLAIM_AGE: Duration = Duration::from_secs(600);
/// Claims are renewed twice before they run out.
const RENEW_INTERVAL: Duration = Duration::from_secs(200);
/// Claims that are renewed in a row, and the pause behind them: 10,000 a second, so that pushes do not wait for all claims.
const RENEWED_AT_ONCE: usize = 100;
const RENEW_PAUSE: Duration = Duration::from_millis(10);
/// How long a request waits for the engine. It is then refused, and not taken for one of an unknown session.
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(10);
/// How long a claim may be there without a session: a client may leave before its response streams.
const UNOPENED_AGE_MAX: Duration = Duration::from_secs(60);
/// Names that a node claims at once, about 100 bytes each. Sessions that live by requests are bounded besides
/// (`limits.sessions_per_address`); this bounds requests that open none.
const CLAIMS_MAX: usize = 200_000;
/// Questions that wait for the engine. More requests wait until there is room.
const QUESTIONS_MAX: usize = 1_024;
/// Names of other nodes that are remembered, and for how long: each would cost a question per request.
const KNOWN: KeptLimits = KeptLimits { entries: 100_000, bytes: usize::MAX, age: Duration::from_secs(60) };

/// Whether a request opens a session that there is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Opens,
    OpensNothing,
}

/// Where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Here, or nowhere.
    Here,
    /// At another node, with this number.
    Node(u16),
}

/// Why it is not known where a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClaimFailure {
    #[error("the engine does not answer")]
    Silent,
    #[error("too many sessions are claimed")]
    Full,
}

/// The claims of one node.
#[derive(Debug)]
pub(crate) struct Claims {
    /// Held for a few assignments.
    own: Mutex<HashMap<SessionKey, Own>>,
    /// The same.
    known: Mutex<Kept<SessionKey, u16>>,
    questions: mpsc::Sender<Question>,
}

/// A claim of this node.
#[derive(Debug)]
struct Own {
    since: Instant,
    /// How many sessions are open under the name: one, or two for a moment while one follows the other.
    open: u32,
}

/// What the engine is asked to do for a claim. Whoever drops it leaves it unanswered.
#[derive(Debug)]
pub(crate) struct Question {
    name: String,
    wish: Wish,
    /// The number of this node, as it stands in the engine.
    number: [u8; 2],
    answer: oneshot::Sender<Holder>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Hold,
    Find,
    Release,
}

/// Who has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    Nobody,
    Us,
    Node(u16),
}

impl Question {
    /// What the engine is to do.
    pub(crate) fn change(&self) -> Change<'_> {
        let name = &self.name;
        match self.wish {
            Wish::Hold => Change::Hold { name, value: &self.number, age: CLAIM_AGE },
            Wish::Find => Change::Get { name },
            Wish::Release => Change::Delete { name },
        }
    }

    /// Passes on what the engine did.
    pub(crate) fn settle(self, changed: &Changed) {
        let holder = match changed {
            Changed::Done => Holder::Us,
            Changed::Missing => Holder::Nobody,
            Changed::Owned(_, value) | Changed::Value(_, value) => match **value {
                [high, low] => Holder::Node(u16::from_be_bytes([high, low])),
                // Others can write there.
                _ => Holder::Nobody,
            },
            Changed::Refused(_) => return,
        };
        // The request that asked may be gone.
        let _ = self.answer.send(holder);
    }
}

impl Claims {
    /// No claims yet, and the questions that the engine has to be asked.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        let (questions, asked) = mpsc::channel(QUESTIONS_MAX);
        let known = Mutex::new(Kept::new(KNOWN, std::time::Instant::now()));
        (Self { own: Mutex::default(), known, questions }, asked)
    }

    /// Finds out where a session is. If it is nowhere and the request opens it, this node, `own`, claims its name.
    /// Cancel safe.
    ///
    /// # Errors
    /// It could not be found out in time, or this node has claimed too many names.
    pub(crate) async fn find(
        &self,
        own: u16,
        key: SessionKey,
        opening: Opening,
    ) -> Result<Place, ClaimFailure> {
        if self.own().contains_key(&key) {
            return Ok(Place::Here);
        }
        let known = self.known().get(&key, std::time::Instant::now()).copied();
        if let Some(node) = known {
            return Ok(Place::Node(node));
        }
        if opening == Opening::Opens && self.own().len() >= CLAIMS_MAX {
            return Err(ClaimFailure::Full);
        }
        let wish = if opening == Opening::Opens { Wish::Hold } else { Wish::Find };
        let asked = timeout(CLAIM_WAIT_MAX, self.ask(own, key, wish));
        match asked.await.ok().flatten().ok_or(ClaimFailure::Silent)? {
            Holder::Node(node) if node != own => {
                self.known().insert(key, node, 0, std::time::Instant::now());
                Ok(Place::Node(node))
            }
            Holder::Us => {
                self.own().entry(key).or_insert(Own { since: Instant::now(), open: 0 });
                Ok(Place::Here)
            }
            Holder::Nobody | Holder::Node(_) => Ok(Place::Here),
        }
    }

    /// Forgets where a session of another node is: the node could not be reached, or did not know it.
    pub(crate) fn forget(&self, key: SessionKey) {
        self.known().remove(&key);
    }

    /// A session is open under this name at this node, `number`. If the claim was given up meanwhile, it is made again.
    pub(crate) fn opened(&self, number: Option<u16>, key: SessionKey) {
        let mut owned = self.own();
        if let Some(own) = owned.get_mut(&key) {
            own.open += 1;
        } else if let Some(number) = number {
            owned.insert(key, Own { since: Instant::now(), open: 1 });
            // If the engine is busy it is held when claims are renewed.
            let _ = self.questions.try_send(question(number, key, Wish::Hold).0);
        }
    }

    /// A request that was to open a session under this name has not. Its claim is given up, unless another one has.
    pub(crate) fn unopened(&self, key: SessionKey) {
        let mut owned = self.own();
        if owned.get(&key).is_some_and(|own| own.open == 0) {
            self.release(&mut owned, key);
        }
    }

    /// A session under this name has ended. Its claim is given up; if the engine is busy it runs out by itself.
    pub(crate) fn closed(&self, key: SessionKey) {
        let mut owned = self.own();
        let Some(own) = owned.get_mut(&key) else { return };
        own.open = own.open.saturating_sub(1);
        if own.open == 0 {
            self.release(&mut owned, key);
        }
    }

    /// Gives a claim up while its lock is held, so that the engine is asked in the order of what happens here.
    fn release(&self, owned: &mut HashMap<SessionKey, Own>, key: SessionKey) {
        owned.remove(&key);
        let _ = self.questions.try_send(question(0, key, Wish::Release).0);
    }

    /// Renews claims for ever; `own` tells the number of this node.
    pub(crate) async fn renew(&self, own: impl Fn() -> Option<u16>) {
        loop {
            sleep(RENEW_INTERVAL).await;
            let (kept, unopened) = self.sort();
            for key in unopened {
                let _ = self.questions.send(question(0, key, Wish::Release).0).await;
            }
            for portion in kept.chunks(RENEWED_AT_ONCE) {
                let Some(number) = own() else { break };
                for key in portion {
                    // What the answer is changes nothing: the session goes on.
                    let _ = self.questions.send(question(number, *key, Wish::Hold).0).await;
                }
                sleep(RENEW_PAUSE).await;
            }
        }
    }

    /// The claims that are needed, and those that no session came for, which are given up.
    fn sort(&self) -> (Vec<SessionKey>, Vec<SessionKey>) {
        let mut owned = self.own();
        let is_unopened = |own: &Own| own.open == 0 && own.since.elapsed() > UNOPENED_AGE_MAX;
        let unopened: Vec<_> =
            owned.iter().filter(|(_, own)| is_unopened(own)).map(|(key, _)| *key).collect();
        owned.retain(|_, own| !is_unopened(own));
        if owned.len() * 4 < owned.capacity() {
            owned.shrink_to_fit();
        }
        (owned.keys().copied().collect(), unopened)
    }

    async fn ask(&self, own: u16, key: SessionKey, wish: Wish) -> Option<Holder> {
        let (question, answer) = question(own, key, wish);
        self.questions.send(question).await.ok()?;
        answer.await.ok()
    }

    fn own(&self) -> MutexGuard<'_, HashMap<SessionKey, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Kept<SessionKey, u16>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn question(own: u16, key: SessionKey, wish: Wish) -> (Question, oneshot::Receiver<Holder>) {
    let mut name = "sockjs:".to_owned();
    for byte in key.to_bytes() {
        // Writing into a `String` cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    let (answer, holder) = oneshot::channel();
    (Question { name, wish, number: own.to_be_bytes(), answer }, holder)
}

#[cfg(test)]
mod tests;
