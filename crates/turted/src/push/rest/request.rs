//! What the head of a request says of its push.

use hyper::header::{CONTENT_ENCODING, HeaderMap};
use turted_core::limits::IDEMPOTENCY_KEY_BYTES_MAX;

use super::answer::Problem;

const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Refuses a body that is encoded. It is not decoded here, because a few bytes could become very many.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    let lines = headers.get_all(CONTENT_ENCODING).iter().map(|line| line.to_str().unwrap_or("?"));
    let mut codings = lines.flat_map(|line| line.split(',')).map(str::trim);
    if codings.all(|coding| coding.is_empty() || coding.eq_ignore_ascii_case("identity")) {
        return Ok(());
    }
    let detail = "the body has a Content-Encoding: send it as it is";
    Err(Problem::new("body-encoded", detail))
}

pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    // With two keys it would not be clear which one counts.
    let only = if values.next().is_some() { None } else { value.to_str().ok() };
    checked_key(only.unwrap_or("")).map(Some)
}

pub(super) fn checked_key(key: &str) -> Result<String, Problem> {
    let is_short = (1..=IDEMPOTENCY_KEY_BYTES_MAX).contains(&key.len());
    match is_short && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(key.to_owned()),
        false => Err(Problem::new(
            "idempotency-key-invalid",
            format!(
                "an Idempotency-Key is given once, as 1 to {IDEMPOTENCY_KEY_BYTES_MAX} visible ASCII characters without a space"
            ),
        )),
    }
}
