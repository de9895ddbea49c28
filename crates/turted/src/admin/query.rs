//! The query of a request to the API, read strictly: each parameter once, and every one of them is known.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

use super::refusal::ApiRefusal;

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
