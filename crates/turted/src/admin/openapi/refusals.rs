//! The answers to refused requests, made from the tables of their rules.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::admin::refusal::{ApiRefusal, GuardRefusal, Row};
use crate::push::rest::rules::{OF_PRESENCE, RULES, Rule};

/// Every answer to a push, by status.
pub(super) fn push() -> Value {
    let accepted = json!({
        "description": "Every worker has the dispatches in its queue, in order. No client need have received them.",
        "content": {"application/json": {"schema": {"anyOf": [
            {"$ref": "#/components/schemas/Accepted"},
            {"type": "array", "items": {"$ref": "#/components/schemas/Accepted"}},
        ]}}},
    });
    let of_presence = ["users-missing", "users-too-many"];
    answers(accepted, |rule| !of_presence.contains(&rule.name))
}

/// Every answer to a question about users, by status.
pub(super) fn presence() -> Value {
    let answered = json!({
        "description": "What is known of each user, in the order of the question, each once.",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Presence"}}},
    });
    answers(answered, |rule| OF_PRESENCE.contains(&rule.name))
}

fn answers(accepted: Value, is_one: impl Fn(&Rule) -> bool) -> Value {
    let mut by_status: BTreeMap<u16, Vec<&Rule>> = BTreeMap::new();
    for rule in RULES.iter().filter(|rule| is_one(rule)) {
        by_status.entry(rule.status.as_u16()).or_default().push(rule);
    }
    let refused =
        by_status.into_iter().map(|(status, rules)| (status.to_string(), refused_push(status, &rules)));
    let too_long = ("414".to_owned(), json!({"$ref": "#/components/responses/TargetTooLong"}));
    refused.chain([("200".to_owned(), accepted), too_long]).collect::<Map<_, _>>().into()
}

fn refused_push(status: u16, rules: &[&Rule]) -> Value {
    let names: Vec<_> = rules.iter().map(|rule| rule.name).collect();
    let lines = rules.iter().map(|rule| format!("- `{}`: {}", rule.name, rule.broken_when));
    let schema = json!({"allOf": [
        {"$ref": "#/components/schemas/Problem"},
        {"properties": {"status": {"const": status}, "rule": {"enum": names}}},
    ]});
    let mut response = json!({
        "description": lines.collect::<Vec<_>>().join("\n"),
        "content": {
            "application/problem+json": {"schema": schema},
            "text/plain": {"schema": {"type": "string"}},
        },
    });
    if let Some((header, value)) = header_of(status) {
        response["headers"] = json!({header: value});
    }
    response
}

/// The header that says what a client may do about an answer with this status.
fn header_of(status: u16) -> Option<(&'static str, Value)> {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    match status {
        401 => Some(("WWW-Authenticate", text("`Bearer`"))),
        415 => Some(("Accept-Encoding", text("What is taken: `identity`."))),
        409 | 429 | 503 => {
            let seconds = json!({"type": "integer", "minimum": 1});
            Some((
                "Retry-After",
                json!({"description": "Seconds after which to try again.", "schema": seconds}),
            ))
        }
        _ => None,
    }
}

/// The answers to requests that may not read what the admin listener knows.
pub(super) fn guard() -> Value {
    references(GuardRefusal::ALL.map(GuardRefusal::row).iter())
}

/// The same, and the answers to what the API does not understand or cannot find out.
pub(super) fn api() -> Value {
    let refused = [ApiRefusal::BadQuery, ApiRefusal::Unanswered].map(ApiRefusal::row);
    references(refused.iter().chain(&GuardRefusal::ALL.map(GuardRefusal::row)))
}

/// The same, where a request may name a node.
pub(super) fn nodes() -> Value {
    let mut answers = api();
    let status = ApiRefusal::NoSuchNode.row().status.as_u16();
    answers[status.to_string()] = response(status);
    answers
}

fn references<'a>(rows: impl Iterator<Item = &'a Row>) -> Value {
    let reference = |row: &Row| {
        let status = row.status.as_u16();
        (status.to_string(), response(status))
    };
    let too_long = ("414".to_owned(), json!({"$ref": "#/components/responses/TargetTooLong"}));
    rows.map(reference).chain([too_long]).collect::<Map<_, _>>().into()
}

fn response(status: u16) -> Value {
    json!({"$ref": format!("#/components/responses/{}", name(status))})
}

/// What the answers above refer to.
pub(super) fn components() -> Value {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    let rows =
        ApiRefusal::ALL.map(ApiRefusal::row).into_iter().chain(GuardRefusal::ALL.map(GuardRefusal::row));
    for row in rows {
        by_status.entry(row.status.as_u16()).or_default().push(row.detail);
    }
    let component = |(status, details): (u16, Vec<&str>)| {
        let lines: Vec<_> = details.iter().map(|detail| format!("- {detail}")).collect();
        let schema = json!({"$ref": "#/components/schemas/AdminProblem"});
        let content = json!({"application/problem+json": {"schema": schema}});
        let mut response = json!({"description": lines.join("\n"), "content": content});
        if status == 401
            && let Some((header, value)) = header_of(status)
        {
            response["headers"] = json!({header: value});
        }
        (name(status), response)
    };
    by_status.into_iter().map(component).collect::<Map<_, _>>().into()
}

fn name(status: u16) -> String {
    format!("Refused{status}")
}
