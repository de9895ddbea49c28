//! Why a push is refused. Of the pushed data the texts contain only the path of a field.

use std::borrow::Cow;
use std::fmt;

/// What the node server answered to a body that is no JSON.
pub const NOT_JSON: &str = "Data was not json";
/// What the node server said of a push in the form before 3.3.3 without `data`.
pub const DATA_MISSING: &str = "data missing";

/// Which answer a refused push gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The body is no JSON: REST answers 400 `Data was not json`, as the node server did.
    NotJson,
    /// The form before 3.3.3 without `data`: REST answers 401 `data missing`, as the node server did.
    DataMissing,
    /// A field breaks a rule: REST answers 400 with the rule.
    Invalid,
    /// The key of the push does not allow a field: REST answers 403 with the rule.
    NotAllowed,
    /// Every field is right, but together they are too much: REST answers 413 with the rule.
    TooLarge,
}

/// Why a push is refused.
///
/// `Display` is one line for the backend: `/targets/users/3: a name must not be empty (name-empty)`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PushRefusal {
    /// Which answer the push gets.
    pub kind: RefusalKind,
    /// The rule in kebab case, for programs. It never changes.
    pub rule: &'static str,
    /// The rule in words.
    pub detail: Cow<'static, str>,
    /// The field that breaks the rule as a JSON pointer into the item, `/targets/users/3` say.
    pub field: Option<String>,
    /// The position in a batch, from 0.
    pub index: Option<usize>,
}

impl PushRefusal {
    pub(super) fn not_json() -> Self {
        Self::new(RefusalKind::NotJson, "not-json", NOT_JSON)
    }

    /// Adds to the detail where the body is no JSON. `Display` stays as it was.
    pub(super) fn because(self, fault: &str) -> Self {
        Self { detail: format!("{NOT_JSON}: {fault}").into(), ..self }
    }

    pub(super) fn data_missing() -> Self {
        Self::new(RefusalKind::DataMissing, "data-missing", DATA_MISSING)
    }

    /// `field` breaks `rule`; an empty `field` is the whole item.
    pub(super) fn rule(rule: &'static str, field: &str, detail: impl Into<Cow<'static, str>>) -> Self {
        let field = (!field.is_empty()).then(|| field.to_owned());
        Self { field, ..Self::new(RefusalKind::Invalid, rule, detail) }
    }

    /// The key of the push does not allow what stands in `field`.
    pub(super) fn not_allowed(field: &str, detail: &'static str) -> Self {
        Self {
            field: Some(field.to_owned()),
            ..Self::new(RefusalKind::NotAllowed, "key-not-allowed", detail)
        }
    }

    pub(super) fn expansion_too_large(bytes: usize, most: usize) -> Self {
        let detail = format!(
            "payloads times targets are {bytes} bytes, above {most} (limits.expansion_bytes); \
             send a large payload to a channel, or in several pushes"
        );
        Self::new(RefusalKind::TooLarge, "expansion-too-large", detail)
    }

    fn new(kind: RefusalKind, rule: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, rule, detail: detail.into(), field: None, index: None }
    }

    pub(super) fn duplicate_key(parent: &str, key: &str) -> Self {
        Self::rule("duplicate-key", &format!("{parent}/{key}"), "a key must not occur twice")
    }

    pub(super) fn in_item(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }
}

impl fmt::Display for PushRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RefusalKind::NotJson => return formatter.write_str(NOT_JSON),
            RefusalKind::DataMissing => return formatter.write_str(&self.detail),
            RefusalKind::Invalid | RefusalKind::NotAllowed | RefusalKind::TooLarge => {}
        }
        if let Some(index) = self.index {
            write!(formatter, "item {index}: ")?;
        }
        if let Some(field) = &self.field {
            write!(formatter, "{field}: ")?;
        }
        write!(formatter, "{} ({})", self.detail, self.rule)
    }
}
