//! Who may join which channel: the rules of the operator, and what a proof of identity grants.

mod by_pattern;

use std::fmt;
use std::sync::Arc;

use serde_json::value::RawValue;

use crate::json::{self, JsonKind};
use crate::limits::CHANNEL_GRANTS_MAX;
use crate::name::{Name, NameRefusal};

pub(crate) use by_pattern::ByPattern;

/// A channel, or all channels whose names begin alike: `news`, `news.*`, `*`.
///
/// ```
/// use turted_core::{channel::ChannelPattern, name::Name};
/// let pattern = ChannelPattern::parse("news.*").unwrap();
/// assert!(pattern.covers(&Name::new("news.sport").unwrap()));
/// assert!(!pattern.covers(&Name::new("news").unwrap()));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ChannelPattern {
    /// The channel of this name.
    Name(Name),
    /// Every channel whose name begins with this; empty for all channels.
    Prefix(Arc<str>),
}

impl ChannelPattern {
    /// Reads a pattern as a token lists it: a star at the end stands for any further text.
    ///
    /// # Errors
    /// The text without the star is no name, and it is not empty.
    pub fn parse(text: &str) -> Result<Self, NameRefusal> {
        match text.strip_suffix('*') {
            None => Name::new(text).map(Self::Name),
            Some(prefix) => Self::prefix(prefix),
        }
    }

    /// The channels whose names begin with `prefix`.
    ///
    /// # Errors
    /// No channel name can begin with `prefix`.
    pub fn prefix(prefix: &str) -> Result<Self, NameRefusal> {
        match Name::new(prefix) {
            Ok(_) | Err(NameRefusal::Empty) => Ok(Self::Prefix(prefix.into())),
            Err(refusal) => Err(refusal),
        }
    }

    fn bytes(&self) -> usize {
        let text = match self {
            Self::Name(name) => name.as_str(),
            Self::Prefix(prefix) => prefix,
        };
        size_of::<Self>() + 2 * size_of::<usize>() + text.len()
    }

    /// Whether the pattern covers `channel`.
    #[must_use]
    pub fn covers(&self, channel: &Name) -> bool {
        match self {
            Self::Name(name) => name == channel,
            Self::Prefix(prefix) => channel.as_str().starts_with(&**prefix),
        }
    }
}

impl fmt::Display for ChannelPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => formatter.write_str(name.as_str()),
            Self::Prefix(prefix) => write!(formatter, "{prefix}*"),
        }
    }
}

impl fmt::Debug for ChannelPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\"{self}\"")
    }
}

/// The channels that the proof of a user grants. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants(Option<Arc<[ChannelPattern]>>);

impl Grants {
    /// Reads patterns as a token or a backend lists them.
    ///
    /// # Errors
    /// One of them is no pattern, or there are more than [`CHANNEL_GRANTS_MAX`].
    pub fn parse<T: AsRef<str>>(patterns: &[T]) -> Result<Self, GrantRefusal> {
        if patterns.len() > CHANNEL_GRANTS_MAX {
            return Err(GrantRefusal::TooMany);
        }
        let parse = |text: &T| ChannelPattern::parse(text.as_ref()).map_err(GrantRefusal::Pattern);
        let patterns: Arc<[_]> = patterns.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self(Some(patterns).filter(|patterns| !patterns.is_empty())))
    }

    /// Reads a list in the shapes that backends write: an array; an object, of which only the values count
    /// (PHP writes arrays with gaps like this); or null for an empty list (Go writes an empty slice like
    /// this). The items are strings, or integers for their decimal text, as in the targets of a push. A
    /// single string is no list: it may be many names with spaces between.
    ///
    /// ```
    /// use serde_json::value::RawValue;
    /// use turted_core::{channel::Grants, name::Name};
    /// let list: Box<RawValue> = serde_json::from_str(r#"{"0":"chat","2":"news.*"}"#)?;
    /// assert!(Grants::read(&list).unwrap().cover(&Name::new("news.1").unwrap()));
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    ///
    /// # Errors
    /// It is no list, one of its items is no pattern, or there are more than [`CHANNEL_GRANTS_MAX`].
    pub fn read(list: &RawValue) -> Result<Self, GrantRefusal> {
        match JsonKind::of(list) {
            JsonKind::Null => return Ok(Self::default()),
            JsonKind::Array | JsonKind::Object => {}
            JsonKind::Bool | JsonKind::Number | JsonKind::Text => return Err(GrantRefusal::NoList),
        }
        let (mut patterns, mut is_sound) = (Vec::new(), true);
        let syntax = json::each(list.get(), |_, item| {
            let text = json::integer(item).map(Into::into).or_else(|| json::text(item));
            is_sound &= text.is_some();
            // One pattern above the limit is enough to know that there are too many.
            patterns.extend(text.filter(|_| patterns.len() <= CHANNEL_GRANTS_MAX));
        });
        match syntax.is_ok() && is_sound {
            true => Self::parse(&patterns),
            false => Err(GrantRefusal::NoList),
        }
    }

    /// About how many bytes of memory they take if no other value shares them.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().flat_map(|patterns| patterns.iter()).map(ChannelPattern::bytes).sum()
    }

    /// Whether `channel` is granted.
    #[must_use]
    pub fn cover(&self, channel: &Name) -> bool {
        self.0.iter().flat_map(|patterns| patterns.iter()).any(|pattern| pattern.covers(channel))
    }

    /// What is granted.
    pub(crate) fn patterns(&self) -> &[ChannelPattern] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Whether no channel is granted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// Why a list of channels is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantRefusal {
    /// It is no list of strings.
    #[error("no list of strings")]
    NoList,
    /// There are more than [`CHANNEL_GRANTS_MAX`].
    #[error("more than {CHANNEL_GRANTS_MAX} channels")]
    TooMany,
    /// An item is no pattern: neither a channel nor a prefix of channels.
    #[error("a channel of the list: {0}")]
    Pattern(#[source] NameRefusal),
}

/// What joining a channel needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Join {
    /// Nothing: the channel is open.
    #[default]
    Open,
    /// The connection is identified as a user.
    Identified,
    /// A proof of the connection lists the channel.
    Claim,
}

/// What joining each channel needs. A channel without a rule is open.
///
/// ```
/// use turted_core::{channel::{ChannelPattern, ChannelRules, Join}, name::Name};
/// let rules = ChannelRules::new([
///     (ChannelPattern::parse("private.*").unwrap(), Join::Claim),
///     (ChannelPattern::parse("private.lobby").unwrap(), Join::Identified),
/// ]);
/// let need = |channel: &str| rules.need(&Name::new(channel).unwrap());
/// assert_eq!(need("private.7"), Join::Claim);
/// assert_eq!(need("private.lobby"), Join::Identified);
/// assert_eq!(need("news"), Join::Open);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelRules(ByPattern<Join>);

impl ChannelRules {
    /// The longest rule that matches a channel decides; of equal length a name comes before a prefix. Of
    /// several rules for one pattern the last counts.
    pub fn new(rules: impl IntoIterator<Item = (ChannelPattern, Join)>) -> Self {
        Self(ByPattern::new(rules))
    }

    /// What joining `channel` needs.
    #[must_use]
    pub fn need(&self, channel: &Name) -> Join {
        self.0.get(channel).unwrap_or_default()
    }

    /// Whether every channel is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules, names first and long prefixes before short ones.
    pub fn iter(&self) -> impl Iterator<Item = (ChannelPattern, Join)> {
        self.0.iter()
    }
}

/// Why a channel may not be joined. The texts go to the client and are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// The connection is not identified as a user.
    #[error("channel needs identification")]
    NotIdentified,
    /// No proof of the connection lists the channel.
    #[error("channel not granted")]
    NotGranted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_list_of_channels_is_read_as_php_and_go_write_it() {
        let read = |json: &str| Grants::read(&serde_json::from_str::<Box<RawValue>>(json).unwrap());
        let expected = Grants::parse(&["p.a", "p.b"]);
        for list in [r#"["p.a","p.b"]"#, r#"{"0":"p.a","2":"p.b"}"#, r#"{"a":"p.a","b":"p.b"}"#] {
            assert_eq!(read(list), expected, "{list}");
        }
        assert_eq!(read(r#"[7,{}]"#), Err(GrantRefusal::NoList));
        assert_eq!(read("[7]"), Grants::parse(&["7"]), "PHP sends ids as numbers");
        for none in ["null", "[]", "{}"] {
            assert_eq!(read(none), Ok(Grants::default()), "{none}");
        }
        for other in [r#""p.a""#, "7", "true", r#"{"p.a":true}"#, "[null]", r#"[["p.a"]]"#, "[1.5]"] {
            assert_eq!(read(other), Err(GrantRefusal::NoList), "{other}");
        }
        let list = |count: usize| format!("[{}]", vec![r#""c""#; count].join(","));
        assert!(read(&list(CHANNEL_GRANTS_MAX)).is_ok());
        assert_eq!(read(&list(CHANNEL_GRANTS_MAX + 1)), Err(GrantRefusal::TooMany));
    }

    #[test]
    fn the_longest_match_wins_whatever_the_order() {
        let rules = [("", "*", Join::Identified), ("a", "a.*", Join::Claim), ("b", "a.b.*", Join::Open)];
        let forward = rules.iter().map(|(_, text, join)| (ChannelPattern::parse(text).unwrap(), *join));
        let exact = (ChannelPattern::parse("a.b.c").unwrap(), Join::Claim);
        let backward: Vec<_> = forward.clone().rev().collect();
        for rules in [
            ChannelRules::new(forward.chain([exact.clone()])),
            ChannelRules::new([exact].into_iter().chain(backward)),
        ] {
            for (channel, need) in [
                ("x", Join::Identified),
                ("a", Join::Identified),
                ("a.x", Join::Claim),
                ("a.b.x", Join::Open),
                ("a.b.c", Join::Claim),
                ("a.b.cd", Join::Open),
                ("__proto__", Join::Identified),
            ] {
                assert_eq!(rules.need(&name(channel)), need, "{channel}");
            }
        }
    }

    #[test]
    fn a_name_comes_before_a_prefix_of_equal_length() {
        let rules = ChannelRules::new([
            (ChannelPattern::prefix("news").unwrap(), Join::Open),
            (ChannelPattern::parse("news").unwrap(), Join::Claim),
        ]);
        assert_eq!(rules.need(&name("news")), Join::Claim);
        assert_eq!(rules.need(&name("newsletter")), Join::Open);
        assert_eq!(rules.iter().count(), 2);
    }

    #[test]
    fn grants_are_names_and_prefixes() {
        let grants = Grants::parse(&["chat", "news.*"]).unwrap();
        for (channel, granted) in
            [("chat", true), ("chat2", false), ("news.a", true), ("news.", true), ("news", false)]
        {
            assert_eq!(grants.cover(&name(channel)), granted, "{channel}");
        }
        assert!(Grants::parse(&["*"]).unwrap().cover(&name("anything")));
        assert!(Grants::parse::<&str>(&[]).unwrap().is_empty());
        assert!(!Grants::default().cover(&name("chat")));
    }

    #[test]
    fn a_list_with_anything_else_grants_nothing() {
        for text in ["", "a\nb", "a\n*", &"x".repeat(256)] {
            assert!(matches!(Grants::parse(&[text]), Err(GrantRefusal::Pattern(_))), "{text:?}");
        }
        let most = vec!["a"; CHANNEL_GRANTS_MAX];
        assert!(Grants::parse(&most).is_ok());
        assert_eq!(Grants::parse(&[&most[..], &["a"]].concat()), Err(GrantRefusal::TooMany));
    }
}
