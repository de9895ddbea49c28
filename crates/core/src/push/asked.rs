//! A question about users: who of them is online. It stands in a body as a push does, with the same credentials.

use super::refusal::PushRefusal;
use super::scope::Scope;
use super::targets;
use crate::json::Members;
use crate::limits::PRESENCE_ASKED_MAX;
use crate::name::Name;

const FIELD: &str = "/users";

/// The users that a body asks about, each once: `{"users":["adam","eve"]}`. The caller has [parsed](super::parse) it as a push
/// and checked its credentials, and `scope` says what they are good for.
///
/// ```
/// use turted_core::push::{Scope, asked_users};
/// let users = asked_users(br#"{"users":["adam",7]}"#, &Scope::ALL).unwrap();
/// assert_eq!(users.iter().map(|user| user.as_str()).collect::<Vec<_>>(), ["adam", "7"]);
/// assert_eq!(asked_users(br#"{"users":[]}"#, &Scope::ALL).unwrap_err().rule, "users-missing");
/// ```
///
/// # Errors
/// The first rule that is broken, with its field.
pub fn asked_users(body: &[u8], scope: &Scope) -> Result<Vec<Name>, PushRefusal> {
    let text = simdutf8::basic::from_utf8(body).map_err(|_| PushRefusal::not_json())?;
    let members = Members::read(text.trim_matches([' ', '\t', '\r', '\n']), ["users", "auth", "password"]);
    let members =
        members.ok_or_else(|| PushRefusal::rule("item-not-an-object", "", "a question is an object"))?;
    if let Some(key) = members.duplicate {
        return Err(PushRefusal::duplicate_key("", key));
    }
    scope.check_user().map_err(|detail| PushRefusal::not_allowed(FIELD, detail))?;
    let [users, _, _] = members.values;
    let too_many = || {
        let detail = format!("a question is about at most {PRESENCE_ASKED_MAX} users");
        PushRefusal::rule("users-too-many", FIELD, detail)
    };
    let users = targets::list(FIELD, users, PRESENCE_ASKED_MAX)
        .map_err(|refusal| if refusal.rule == "targets-too-many" { too_many() } else { refusal })?;
    if users.is_empty() {
        return Err(PushRefusal::rule("users-missing", FIELD, "there are no users"));
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_about_one_user_to_a_thousand_each_once() {
        let body = |count: usize| {
            let users: Vec<_> = (0..count).map(|number| format!("\"user-{number}\"")).collect();
            format!("{{\"users\":[{}]}}", users.join(","))
        };
        let asked = |body: &str| asked_users(body.as_bytes(), &Scope::ALL).map(|users| users.len());
        let rule = |body: &str| asked(body).map_err(|refusal| (refusal.rule, refusal.field));
        assert_eq!(asked(&body(PRESENCE_ASKED_MAX)), Ok(PRESENCE_ASKED_MAX));
        let field = || Some(FIELD.to_owned());
        assert_eq!(rule(&body(PRESENCE_ASKED_MAX + 1)), Err(("users-too-many", field())));
        assert_eq!(asked(r#"{"users":["a","a"],"auth":{"password":"x"}}"#), Ok(1));
        assert_eq!(asked(r#"{"users":{"1":"a","7":"b"}}"#), Ok(2), "as PHP writes a list with gaps");
        for none in ["{}", r#"{"users":null}"#, r#"{"users":[]}"#] {
            assert_eq!(rule(none), Err(("users-missing", field())), "{none}");
        }
        assert_eq!(rule("[]"), Err(("item-not-an-object", None)));
        assert_eq!(rule(r#"{"users":true}"#), Err(("names-not-a-list", field())));
        assert_eq!(rule(r#"{"users":["a",""]}"#), Err(("name-empty", Some("/users/1".to_owned()))));
        assert_eq!(rule(r#"{"users":"a","users":"b"}"#), Err(("duplicate-key", field())));
        let scope = Scope { users: false, ..Scope::ALL };
        let refusal = asked_users(br#"{"users":["a"]}"#, &scope).unwrap_err();
        assert_eq!((refusal.rule, refusal.field), ("key-not-allowed", field()));
    }
}
