//! An answer of the API as JSON.

use hyper::StatusCode;
use serde::Serialize;

use crate::http::{Answer, answer};

pub(super) fn json(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).expect("numbers and texts can be written as JSON");
    answer(StatusCode::OK, "application/json", body)
}
