//! The rules that a push can break: one row for each, with its status. `docs/protocol-rest.md` and the OpenAPI document
//! have the same rows.

use hyper::StatusCode;

/// A rule, and what a push that breaks it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rule {
    /// For programs. It never changes.
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    /// When it is broken, for people. Names of keys and fields stand between back quotes.
    pub(crate) broken_when: &'static str,
}

const fn rule(name: &'static str, status: StatusCode, broken_when: &'static str) -> Rule {
    Rule { name, status, broken_when }
}

/// The status of the answer to a push that breaks this rule. A rule without a row would be a fault of the server; a test
/// sees to it that each has one.
pub(super) fn status_of(name: &str) -> StatusCode {
    RULES.iter().find(|rule| rule.name == name).map_or(StatusCode::INTERNAL_SERVER_ERROR, |rule| rule.status)
}

/// The rules that a question about users can break.
pub(crate) const OF_PRESENCE: [&str; 26] = [
    "not-json",
    "data-missing",
    "wrong-password",
    "auth-differs",
    "auth-too-long",
    "push-unverified",
    "key-not-allowed",
    "too-many-wrong-passwords",
    "origin-not-allowed",
    "host-not-loopback",
    "body-too-long",
    "body-chunks",
    "bodies-full",
    "body-encoded",
    "body-too-slow",
    "body-broken",
    "item-not-an-object",
    "duplicate-key",
    "names-not-a-list",
    "name-not-a-string",
    "name-empty",
    "name-too-long",
    "name-control-character",
    "lone-surrogate",
    "users-missing",
    "users-too-many",
];

/// Every rule, in the order in which the documentation explains them.
pub(crate) const RULES: [Rule; 47] = [
    rule(
        "not-json",
        StatusCode::BAD_REQUEST,
        "the body is not JSON in UTF-8, or is `null`. `detail` says in which line and column (in bytes, both from 1), and what was expected",
    ),
    rule("data-missing", StatusCode::UNAUTHORIZED, "`cmd` without `data`"),
    rule("wrong-password", StatusCode::UNAUTHORIZED, "the password is missing or wrong"),
    rule(
        "auth-differs",
        StatusCode::BAD_REQUEST,
        "the pushes of a batch carry passwords of different keys, or, where a backend decides, different `auth`",
    ),
    rule("auth-too-long", StatusCode::BAD_REQUEST, "a backend decides, and `auth` has more than 64 KiB"),
    rule(
        "push-unverified",
        StatusCode::SERVICE_UNAVAILABLE,
        "a backend decides, and says neither yes nor no (`push.url`, `push.timeout`)",
    ),
    rule(
        "key-not-allowed",
        StatusCode::FORBIDDEN,
        "the password is that of a key that is not for this event, or not for this target (`[[push.keys]]`)",
    ),
    rule(
        "too-many-wrong-passwords",
        StatusCode::TOO_MANY_REQUESTS,
        "this address sent too many wrong passwords, and this request does not have the right one of 22 characters or more in `Authorization`",
    ),
    rule(
        "origin-not-allowed",
        StatusCode::FORBIDDEN,
        "the `Origin` is neither the own host nor in `push.allow_origins`; or there is none and `Sec-Fetch-Site` is neither `same-origin` nor `none`",
    ),
    rule(
        "host-not-loopback",
        StatusCode::FORBIDDEN,
        "the server listens on a loopback address, without a push password, and `Host` or `:authority` is neither `localhost` nor a loopback address",
    ),
    rule(
        "body-too-long",
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body has more bytes than `limits.push_body_bytes`",
    ),
    rule(
        "body-chunks",
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body comes in more pieces than 1,024 and one for each 64 bytes",
    ),
    rule(
        "bodies-full",
        StatusCode::SERVICE_UNAVAILABLE,
        "too many bodies are being read at once (`limits.bodies_bytes`). The connection is closed",
    ),
    rule(
        "body-encoded",
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "the body has a `Content-Encoding`, gzip say. `Accept-Encoding: identity` says what is taken",
    ),
    rule(
        "body-too-slow",
        StatusCode::REQUEST_TIMEOUT,
        "the body took longer than `limits.request_body_wait`",
    ),
    rule("body-broken", StatusCode::BAD_REQUEST, "the connection ended inside the body"),
    rule("item-not-an-object", StatusCode::BAD_REQUEST, "a push is something else than an object"),
    rule("batch-empty", StatusCode::BAD_REQUEST, "a batch has no item"),
    rule("batch-too-long", StatusCode::BAD_REQUEST, "a batch has more items than `limits.batch_dispatches`"),
    rule("duplicate-key", StatusCode::BAD_REQUEST, "a key that means something occurs twice"),
    rule("event-missing", StatusCode::BAD_REQUEST, "there is no `event`"),
    rule("event-not-a-string", StatusCode::BAD_REQUEST, "`event` is something else than a string"),
    rule("targets-not-an-object", StatusCode::BAD_REQUEST, "`targets` is something else than an object"),
    rule("targets-unknown-key", StatusCode::BAD_REQUEST, "`targets` has a key that means nothing"),
    rule(
        "targets-too-many",
        StatusCode::BAD_REQUEST,
        "there are more users and channels than `limits.targets`",
    ),
    rule(
        "names-not-a-list",
        StatusCode::BAD_REQUEST,
        "users or channels are a boolean, or a number that is no integer. An integer is a list of one",
    ),
    rule("name-not-a-string", StatusCode::BAD_REQUEST, "a name in a list is neither a string nor an integer"),
    rule("name-empty", StatusCode::BAD_REQUEST, "a name is empty"),
    rule("name-too-long", StatusCode::BAD_REQUEST, "a name has more than 255 bytes"),
    rule("name-control-character", StatusCode::BAD_REQUEST, "a name has a control character"),
    rule("lone-surrogate", StatusCode::BAD_REQUEST, "a name has half of a surrogate pair"),
    rule(
        "broadcast-not-a-boolean",
        StatusCode::BAD_REQUEST,
        "`broadcast` is something else than a boolean, 0 or 1",
    ),
    rule("users-missing", StatusCode::BAD_REQUEST, "a question about users names none"),
    rule("users-too-many", StatusCode::BAD_REQUEST, "a question about users names more than 1,000"),
    rule(
        "expansion-too-large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "the payloads, each times the targets of its dispatch, are more than `limits.expansion_bytes`",
    ),
    rule(
        "entry-too-large",
        StatusCode::PAYLOAD_TOO_LARGE,
        "a dispatch with its names takes more than 8 MiB in the log of a cluster",
    ),
    rule("cmd-unknown", StatusCode::BAD_REQUEST, "`cmd` is none of the four"),
    rule("data-not-an-object", StatusCode::BAD_REQUEST, "`data` is something else than an object"),
    rule(
        "idempotency-key-invalid",
        StatusCode::BAD_REQUEST,
        "the `Idempotency-Key` is not 1 to 255 visible ASCII characters, without a space, or there are two",
    ),
    rule(
        "idempotency-key-under-way",
        StatusCode::CONFLICT,
        "a push with this key is being answered. `Retry-After: 1`",
    ),
    rule("idempotency-key-reused", StatusCode::UNPROCESSABLE_ENTITY, "the key was used for another body"),
    rule(
        "idempotency-keys-full",
        StatusCode::SERVICE_UNAVAILABLE,
        "more is remembered than `limits.idempotency_keys` or `limits.idempotency_bytes`, or, with several passwords, than half of it for this one",
    ),
    rule(
        "overload",
        StatusCode::SERVICE_UNAVAILABLE,
        "a worker has more waiting than `limits.inbox_dispatches` or `limits.inbox_bytes`",
    ),
    rule(
        "log-unavailable",
        StatusCode::SERVICE_UNAVAILABLE,
        "the log takes nothing at the moment, and `log.required` is set, or the disk has not answered for 5 s",
    ),
    rule(
        "log-slow",
        StatusCode::SERVICE_UNAVAILABLE,
        "the disk of the log has not answered within 5 s; the push may still be dispatched",
    ),
    rule(
        "backlogs-full",
        StatusCode::SERVICE_UNAVAILABLE,
        "more waits for clients that read slowly than `limits.backlog_bytes`; the slowest are being cut",
    ),
    rule("stopping", StatusCode::SERVICE_UNAVAILABLE, "the server is stopping. The connection is closed"),
];
