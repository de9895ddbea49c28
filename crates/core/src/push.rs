//! A push body, decoded in two steps: syntax and credentials, then every field by its rule.
//!
//! The steps keep the order of answers of the node server, which checked the credentials before the fields:
//! 400 for a body that is no JSON, 401 for wrong credentials, then 400 for broken rules. A body is an object
//! of the current form, an object of the form before 3.3.3 (it has a `cmd`), or a batch: an array of such
//! objects. The caller checks the credentials.
//!
//! | file | what |
//! |---|---|
//! | `push/form`, `push/targets` | one item in either form; its lists of users and channels |
//! | `push/scope` | what a key may push |
//! | `push/asked` | which users a backend asks about |
//! | `push/map`, `push/template` | what becomes of a message of a source that is no push body; texts with placeholders |
//! | `push/emitter` | what the emitters of Socket.IO publish in Redis |
//! | `push/refusal`, `push/fault` | why a push is refused; where a body is no JSON |

mod form;
mod targets;
mod refusal;
mod fault;
mod scope;
mod asked;
pub mod map;
pub mod emitter;
pub mod template;

use serde_json::value::RawValue;

pub use asked::asked_users;
pub use refusal::{DATA_MISSING, NOT_JSON, PushRefusal, RefusalKind};
pub use scope::Scope;

use crate::dispatch::Dispatch;
use crate::json::{self, JsonKind};
use crate::limits::{BATCH_DISPATCHES_MAX, EXPANSION_BYTES_MAX, TARGETS_MAX};
use crate::secret::Secret;
use form::{Item, Rules};

/// Whether a body was one item or an array of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One item by itself.
    Single,
    /// An array, even of one item.
    Batch,
}

/// How much one push body may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushLimits {
    /// Users and channels of one dispatch together.
    pub targets: usize,
    /// Dispatches of one body.
    pub dispatches: usize,
    /// [`Dispatch::expansion_bytes`] of all dispatches of one body together.
    pub expansion_bytes: usize,
}

impl Default for PushLimits {
    fn default() -> Self {
        Self { targets: TARGETS_MAX, dispatches: BATCH_DISPATCHES_MAX, expansion_bytes: EXPANSION_BYTES_MAX }
    }
}

/// Checks the syntax of `body` and finds the credentials in it.
///
/// ```
/// use turted_core::push::{self, PushLimits};
/// let body = br#"{"event":"MESSAGE:NEW","targets":{"users":["alice"]},"payload":{"id":7},"auth":{"password":"tiger"}}"#;
/// let parsed = push::parse(body, PushLimits::default()).unwrap();
/// assert!(parsed.credentials().all(|given| given.is_some_and(|given| given.matches("tiger"))));
/// let dispatches = parsed.into_dispatches().unwrap();
/// assert_eq!(dispatches[0].payload.get(), r#"{"id":7}"#);
/// ```
///
/// # Errors
/// [`RefusalKind::NotJson`] for a body that is no JSON text in UTF-8, and for `null`;
/// [`RefusalKind::DataMissing`] for the form before 3.3.3 without `data`.
///
/// # Limits
/// The caller limits the bytes of `body`. Depth does not matter: values are not recursed into.
pub fn parse(body: &[u8], limits: PushLimits) -> Result<Parsed<'_>, PushRefusal> {
    read(body, limits).map_err(|refusal| match refusal.kind {
        RefusalKind::NotJson => refusal.because(&fault::describe(body)),
        _ => refusal,
    })
}

/// The `id` of a push that is no batch: a string or an integer that names the message to a source which may deliver it
/// again. REST does not look at it.
#[must_use]
pub fn id(body: &[u8]) -> Option<String> {
    let text = simdutf8::basic::from_utf8(body).ok()?;
    let [id] = json::Members::read(text.trim_matches([' ', '\t', '\r', '\n']), ["id"])?.values;
    let id = id?;
    json::integer(id).map(ToOwned::to_owned).or_else(|| json::text(id).map(std::borrow::Cow::into_owned))
}

fn read(body: &[u8], limits: PushLimits) -> Result<Parsed<'_>, PushRefusal> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| PushRefusal::not_json())?;
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    match text.as_bytes().first() {
        Some(b'{') => {
            let items = vec![Item::read(text)?];
            Ok(Parsed { shape: Shape::Single, limits, items, length: 1 })
        }
        Some(b'[') => Parsed::batch(text, limits),
        _ => Parsed::scalar(text, limits),
    }
}

/// A push body of correct syntax whose fields are not checked yet.
#[derive(Debug)]
pub struct Parsed<'a> {
    shape: Shape,
    limits: PushLimits,
    /// At most [`PushLimits::dispatches`].
    items: Vec<Item<'a>>,
    /// How many items the body has. `items` may have fewer.
    length: usize,
}

impl<'a> Parsed<'a> {
    fn batch(text: &'a str, limits: PushLimits) -> Result<Self, PushRefusal> {
        let (mut raws, mut length) = (Vec::new(), 0);
        let syntax = json::each(text, |_, raw| {
            length += 1;
            if length <= limits.dispatches {
                raws.push(raw);
            }
        });
        syntax.map_err(|_| PushRefusal::not_json())?;
        let read = |(index, raw)| Item::read_any(raw).map_err(|refusal| refusal.in_item(index));
        let items = raws.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
        Ok(Self { shape: Shape::Batch, limits, items, length })
    }

    fn scalar(text: &'a str, limits: PushLimits) -> Result<Self, PushRefusal> {
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| PushRefusal::not_json())?;
        if JsonKind::of(raw) == JsonKind::Null {
            return Err(PushRefusal::not_json());
        }
        Ok(Self { shape: Shape::Single, limits, items: vec![Item::read_any(raw)?], length: 1 })
    }

    /// Whether the body was one item or an array of them.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The credentials of each item, in order. There is at least one entry: an empty batch has one `None`, so
    /// that it does not pass as a batch whose credentials are all correct.
    pub fn credentials(&self) -> impl Iterator<Item = Option<&Secret>> {
        let none = self.items.is_empty().then_some(None);
        self.items.iter().map(Item::credentials).chain(none)
    }

    /// What stands in `auth` of each item, or else in `password`, in order and as it was written, for a backend that
    /// judges it. `null` counts as nothing. There is at least one entry, as of [`credentials`](Self::credentials).
    pub fn auths(&self) -> impl Iterator<Item = Option<&'a RawValue>> {
        let none = self.items.is_empty().then_some(None);
        self.items.iter().map(Item::auth).chain(none)
    }

    /// Checks every field. The caller calls this after it has checked the credentials.
    ///
    /// # Errors
    /// The first rule that is broken, with its field and the index in a batch.
    pub fn into_dispatches(self) -> Result<Vec<Dispatch>, PushRefusal> {
        self.into_dispatches_of(&Scope::ALL)
    }

    /// The same for a push that may be about no more than this.
    ///
    /// # Errors
    /// The first rule that is broken, with its field and the index in a batch.
    pub fn into_dispatches_of(self, scope: &Scope) -> Result<Vec<Dispatch>, PushRefusal> {
        self.check_length()?;
        let PushLimits { targets: targets_max, expansion_bytes, .. } = self.limits;
        let (shape, rules) = (self.shape, Rules { targets_max, scope });
        let check = |(index, item): (usize, Item<'_>)| match shape {
            Shape::Single => item.into_dispatch(rules),
            Shape::Batch => item.into_dispatch(rules).map_err(|refusal| refusal.in_item(index)),
        };
        let dispatches: Vec<_> = self.items.into_iter().enumerate().map(check).collect::<Result<_, _>>()?;
        let expansion = Dispatch::expansion_of(&dispatches);
        if expansion > expansion_bytes {
            return Err(PushRefusal::expansion_too_large(expansion, expansion_bytes));
        }
        Ok(dispatches)
    }

    fn check_length(&self) -> Result<(), PushRefusal> {
        match self.length {
            0 => Err(PushRefusal::rule("batch-empty", "", "a batch must not be empty")),
            length if length <= self.limits.dispatches => Ok(()),
            _ => {
                let most = self.limits.dispatches;
                let detail = format!("a batch has at most {most} items (limits.batch_dispatches)");
                Err(PushRefusal::rule("batch-too-long", "", detail))
            }
        }
    }
}
