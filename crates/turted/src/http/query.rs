//! The query of a request (WHATWG URL 5.1).

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// The query of a request, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a query string; `None` if it is not UTF-8.
    pub(crate) fn parse(query: &str) -> Option<Self> {
        let decode = |text: &str| {
            if !text.contains(['+', '%']) {
                return Some(text.to_owned());
            }
            let spaced = text.replace('+', " ");
            percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
        };
        let pair = |part: &str| {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            Some((decode(key)?, decode(value)?))
        };
        query.split('&').filter(|part| !part.is_empty()).map(pair).collect::<Option<_>>().map(Self)
    }

    /// The value of a parameter. If it is given twice the first counts.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// All parameters with their values, in their order.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// All values of a parameter, in their order.
    pub(crate) fn all(&self, key: &str) -> impl Iterator<Item = &str> {
        self.matching(move |own| own == key)
    }

    /// All values of the parameters with such names, in their order.
    pub(crate) fn matching(&self, is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(own, _)| is_wanted(own)).map(|(_, value)| value.as_str())
    }

    /// The names of all parameters, in their order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_keeps_the_order_of_its_parameters() {
        let query = Query::parse("channel=a+b&&channel=%C3%A9%26&x&channel=&y=%zz").unwrap();
        assert_eq!(query.all("channel").collect::<Vec<_>>(), ["a b", "\u{e9}&", ""]);
        assert_eq!((query.get("channel"), query.get("x"), query.get("z")), (Some("a b"), Some(""), None));
        assert_eq!(query.get("y"), Some("%zz"));
        assert!(Query::parse("channel=%ff").is_none());
        assert!(Query::parse("%c3%28=1").is_none());
    }
}
