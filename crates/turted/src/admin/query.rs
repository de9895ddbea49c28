//! The query of a request to the API, read strictly: each parameter once, and every one of them is known.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::refusal::ApiRefusal;

/// Where the API is.
const BASE: &str = "/api/v1/";

/// What is below [`BASE`] in the path of a request to the API, and its query. The name of a user or channel may stand in
/// the parameter `name` instead of the path: browsers and proxies take the names `.` and `..` out of paths, percent-encoded
/// too.
pub(super) fn target<'a>(
    path: &'a str,
    query: Option<&'a str>,
) -> Result<(Cow<'a, str>, Option<Cow<'a, str>>), ApiRefusal> {
    let path = path.strip_prefix(BASE).ok_or(ApiRefusal::NoSuchPath)?;
    let (collection, rest) = path.split_once('/').unwrap_or((path, ""));
    let is_name = |part: &&str| part.starts_with("name=");
    let has_name = query.unwrap_or("").split('&').any(|part| is_name(&part));
    if !has_name || !matches!(collection, "users" | "channels") {
        return Ok((path.into(), query.map(Cow::from)));
    }
    let name = parameters(query)?.remove("name").unwrap_or_default();
    let name = utf8_percent_encode(&name, NON_ALPHANUMERIC);
    let slash = if rest.is_empty() { "" } else { "/" };
    let others: Vec<_> = query.unwrap_or("").split('&').filter(|part| !is_name(part)).collect();
    Ok((format!("{collection}/{name}{slash}{rest}").into(), Some(others.join("&").into())))
}

/// The number of the node that a query names (`node=N`), and the rest of it.
pub(super) fn without_node(query: Option<&str>) -> Result<(Option<u16>, Option<String>), ApiRefusal> {
    let Some(query) = query else { return Ok((None, None)) };
    let (nodes, others): (Vec<_>, Vec<_>) = query.split('&').partition(|part| part.starts_with("node="));
    let node = match nodes[..] {
        [] => None,
        [node] => Some(node["node=".len()..].parse().map_err(|_| ApiRefusal::BadQuery)?),
        _ => return Err(ApiRefusal::BadQuery),
    };
    Ok((node, Some(others.join("&")).filter(|others| !others.is_empty())))
}

/// The parameters by name, decoded.
pub(super) fn parameters(query: Option<&str>) -> Result<BTreeMap<&str, String>, ApiRefusal> {
    let mut parameters = BTreeMap::new();
    for part in query.unwrap_or("").split('&').filter(|part| !part.is_empty()) {
        let (key, value) = part.split_once('=').ok_or(ApiRefusal::BadQuery)?;
        let value = decode(&value.replace('+', " ")).ok_or(ApiRefusal::BadQuery)?;
        if parameters.insert(key, value).is_some() {
            return Err(ApiRefusal::BadQuery);
        }
    }
    Ok(parameters)
}

/// Decodes strictly: each `%` is followed by two hexadecimal digits, and the result is UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let is_hex = |code: &str| code.len() >= 2 && code.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_hex) {
        return None;
    }
    percent_decode_str(text).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_path_cannot_have_stands_in_a_parameter() {
        for (path, query, expected) in [
            ("users", Some("name=.."), ("users/%2E%2E", Some(""))),
            ("users/disconnect", Some("name=."), ("users/%2E/disconnect", Some(""))),
            (
                "channels/history",
                Some("limit=2&name=a%2Fb+c"),
                ("channels/a%2Fb%20c/history", Some("limit=2")),
            ),
            ("channels/history/1-1", Some("name=.."), ("channels/%2E%2E/history/1-1", Some(""))),
            ("channels/chat/history", Some("limit=2"), ("channels/chat/history", Some("limit=2"))),
            ("connections", Some("name=a"), ("connections", Some("name=a"))),
            ("users", None, ("users", None)),
        ] {
            let path = format!("{BASE}{path}");
            let read = target(&path, query).unwrap();
            assert_eq!((&*read.0, read.1.as_deref()), expected, "{path}?{query:?}");
        }
        assert_eq!(target("/api/v1/users", Some("name=a&name=b")), Err(ApiRefusal::BadQuery));
        assert_eq!(target("/metrics", None), Err(ApiRefusal::NoSuchPath));
    }

    #[test]
    fn a_query_names_a_node_once_among_its_other_parameters() {
        let read = |query| without_node(query).map(|(node, rest)| (node, rest.unwrap_or_default()));
        for (query, expected) in [
            (None, (None, "")),
            (Some("limit=1&a=b"), (None, "limit=1&a=b")),
            (Some("limit=1&node=7&a=b"), (Some(7), "limit=1&a=b")),
            (Some("node=0"), (Some(0), "")),
        ] {
            assert_eq!(read(query), Ok((expected.0, expected.1.to_owned())), "{query:?}");
        }
        for query in ["node=", "node=65536", "node=x", "node=1&node=1", "node=-1"] {
            assert_eq!(read(Some(query)), Err(ApiRefusal::BadQuery), "{query}");
        }
    }
}
