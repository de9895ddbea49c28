//! What a client reads best, by its `Accept` (RFC 9110 12.5.1): case is ignored, the most specific range counts,
//! and a weight of 0 excludes.

use hyper::header::{ACCEPT, HeaderMap};

/// Weights are in thousandths.
const WEIGHT_MAX: u16 = 1000;

/// How well a client reads a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Liking {
    /// From 0, not at all, to 1000.
    pub(crate) weight: u16,
    /// How closely the range names the type.
    pub(crate) named: Named,
}

/// How closely a range names a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Named {
    /// No range is about it.
    #[default]
    Not,
    /// `*/*`
    AsAny,
    /// `application/*`
    ByKind,
    /// `application/json`
    Exactly,
}

/// How well a client reads `wanted`, `application/json` say. Without any `Accept` everything is read, and nothing
/// is named.
pub(crate) fn liking(headers: &HeaderMap, wanted: &str) -> Liking {
    if !headers.contains_key(ACCEPT) {
        return liking_of(None::<[&str; 0]>, wanted);
    }
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    liking_of(Some(lines), wanted)
}

/// The same for the lines of an `Accept`, if there is one.
pub(crate) fn liking_of<'a, L>(accept: Option<L>, wanted: &str) -> Liking
where
    L: IntoIterator<Item = &'a str>,
{
    let Some(lines) = accept else { return Liking { weight: WEIGHT_MAX, named: Named::AsAny } };
    let mut best = None;
    for range in lines.into_iter().flat_map(|line| split_unquoted(line, ',')) {
        let mut parts = split_unquoted(range, ';');
        let named = closeness(parts.next().unwrap_or("").trim(), wanted);
        if named == Named::Not {
            continue;
        }
        let liking = Liking { weight: parts.find_map(weight).unwrap_or(WEIGHT_MAX), named };
        // Of several ranges that name the type equally closely, the one with the highest weight counts.
        best = best.max(Some((named, liking.weight)));
    }
    match best {
        Some((named, weight)) => Liking { weight, named },
        None => Liking::default(),
    }
}

fn closeness(range: &str, wanted: &str) -> Named {
    let kind = wanted.split('/').next().unwrap_or("");
    match range.split_once('/') {
        _ if range.eq_ignore_ascii_case(wanted) => Named::Exactly,
        Some(("*", "*")) => Named::AsAny,
        Some((own, "*")) if own.eq_ignore_ascii_case(kind) => Named::ByKind,
        _ => Named::Not,
    }
}

/// The weight in a parameter `q=0.5`; one that cannot be read counts as none.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, decimals) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if decimals.len() > 3
        || !matches!(whole, "0" | "1")
        || !decimals.bytes().all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    Some(if whole == "1" { WEIGHT_MAX } else { thousandths })
}

/// The parts of a text between separators that stand in no quoted string.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character: char| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return character == separator && !quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_most_specific_range_counts_and_says_how_well_a_type_is_read() {
        use Named::{AsAny, ByKind, Exactly, Not};
        for (accept, weight, named) in [
            ("application/json", 1000, Exactly),
            ("Application/JSON", 1000, Exactly),
            ("application/json;q=0", 0, Exactly),
            ("application/json; Q=0.000", 0, Exactly),
            ("application/json ; charset=utf-8 ; q=0.25", 250, Exactly),
            ("*/*", 1000, AsAny),
            ("application/*;q=0.5, */*;q=0.9", 500, ByKind),
            ("*/*, application/json;q=0", 0, Exactly),
            ("application/json;q=0.1, application/json;q=0.7", 700, Exactly),
            ("application/json;x=\"a,b;q=0\"", 1000, Exactly),
            ("application/json;x=\"\\\";q=0\";q=0.3", 300, Exactly),
            ("application/json;q=2", 1000, Exactly),
            ("application/json;q=0.1234", 1000, Exactly),
            ("text/html, text/*", 0, Not),
            ("application/jsonx, json, application", 0, Not),
            ("", 0, Not),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(liking(&headers, "application/json"), Liking { weight, named }, "{accept}");
        }
        let nothing = liking(&HeaderMap::new(), "application/json");
        assert_eq!(nothing, Liking { weight: 1000, named: AsAny });
        let mut lines = HeaderMap::new();
        for line in ["text/html", "application/json;q=0.5"] {
            lines.append(ACCEPT, HeaderValue::from_static(line));
        }
        assert_eq!(liking(&lines, "application/json"), Liking { weight: 500, named: Exactly });
    }
}
