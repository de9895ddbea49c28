//! What the claims of a JSON Web Token say, after its signature was verified (RFC 7519).
//!
//! Verifying the signature is not done here. The time is passed in.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::value::RawValue;

use crate::auth::{IdentRefusal, Identity, Verified};
use crate::channel::{GrantRefusal, Grants};
use crate::command::UserField;
use crate::json::{self, JsonKind, Key};
use crate::limits::TOKEN_LEEWAY;
use crate::name::{Name, NameRefusal};
use crate::time::UnixTime;

/// The last second of the year 9999. A later `exp` is a mistake: it counts milliseconds.
pub const SECONDS_MAX: f64 = 253_402_300_799.0;

/// Which claims count, and what they must be.
///
/// ```
/// use std::time::Duration;
/// use turted_core::{claims::ClaimRules, time::UnixTime};
/// let now = UnixTime(Duration::from_secs(1_000));
/// let verified = ClaimRules::default().read(r#"{"sub":"alice","exp":1001}"#, None, now)?;
/// assert_eq!(verified.identity.name.as_str(), "alice");
/// assert!(ClaimRules::default().read(r#"{"sub":"alice"}"#, None, now).is_err(), "no exp");
/// # Ok::<(), turted_core::claims::ClaimRefusal>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRules {
    /// The claim that names the user: a string, or an integer.
    pub user: String,
    /// The claim that lists channels, if there is one.
    pub channels: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must be or contain. Without this setting a token with an `aud` is meant for another service
    /// (RFC 7519 4.1.3).
    pub audience: Option<String>,
    /// How far clocks may differ.
    pub leeway: Duration,
}

impl Default for ClaimRules {
    fn default() -> Self {
        Self { user: "sub".to_owned(), channels: None, issuer: None, audience: None, leeway: TOKEN_LEEWAY }
    }
}

type Claims<'a> = HashMap<String, &'a RawValue>;

impl ClaimRules {
    /// Reads the payload of a verified token at `now`. `named` is the user the client says it is.
    ///
    /// # Errors
    /// The first claim that is not what it must be.
    pub fn read(
        &self,
        payload: &str,
        named: Option<&UserField>,
        now: UnixTime,
    ) -> Result<Verified, ClaimRefusal> {
        let claims = collect(payload)?;
        let expires = self.check_time(&claims, now)?;
        self.check_parties(&claims)?;
        let name = user(claims.get(&self.user).copied().ok_or(ClaimRefusal::UserMissing)?)?;
        if named.is_some_and(|named| named.name != name) {
            return Err(ClaimRefusal::OtherUser);
        }
        Ok(Verified {
            identity: Identity::proved(name, named),
            channels: self.grants(&claims)?,
            expires: Some(expires),
            leeway: self.leeway,
        })
    }

    /// Until when the token says that it is good.
    fn check_time(&self, claims: &Claims<'_>, now: UnixTime) -> Result<UnixTime, ClaimRefusal> {
        let exp = seconds(claims, "exp")?.ok_or(ClaimRefusal::ExpMissing)?;
        if exp + self.leeway < now.0 {
            return Err(ClaimRefusal::Expired);
        }
        if seconds(claims, "nbf")?.is_some_and(|begin| begin > now.0 + self.leeway) {
            return Err(ClaimRefusal::NotYet);
        }
        Ok(UnixTime(exp))
    }

    fn check_parties(&self, claims: &Claims<'_>) -> Result<(), ClaimRefusal> {
        if let Some(issuer) = &self.issuer {
            let given = claims.get("iss").and_then(|raw| json::text(raw));
            if given.as_deref() != Some(issuer) {
                return Err(ClaimRefusal::Issuer);
            }
        }
        match (&self.audience, claims.get("aud")) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(ClaimRefusal::AudienceUnset),
            (Some(audience), given) if given.is_some_and(|raw| is_among(audience, raw)) => Ok(()),
            (Some(_), _) => Err(ClaimRefusal::Audience),
        }
    }

    fn grants(&self, claims: &Claims<'_>) -> Result<Grants, ClaimRefusal> {
        let Some(listed) = self.channels.as_ref().and_then(|claim| claims.get(claim)) else {
            return Ok(Grants::default());
        };
        Grants::read(listed).map_err(ClaimRefusal::Channels)
    }
}

/// The members of the payload. Readers differ in which one of two equal claims counts, so a payload with such
/// claims is refused (RFC 7519 4).
fn collect(payload: &str) -> Result<Claims<'_>, ClaimRefusal> {
    let mut claims = Claims::new();
    let mut sound = payload.starts_with('{');
    let read = json::each(payload, |key, value| {
        let Key::Member(key) = key else { return };
        let name = json::text(key);
        sound &= name.is_some_and(|name| claims.insert(name.into_owned(), value).is_none());
    });
    if read.is_ok() && sound { Ok(claims) } else { Err(ClaimRefusal::NotAnObject) }
}

/// A NumericDate (RFC 7519 2): seconds since 1970, fractions allowed.
fn seconds(claims: &Claims<'_>, claim: &'static str) -> Result<Option<Duration>, ClaimRefusal> {
    let Some(raw) = claims.get(claim) else { return Ok(None) };
    let number: f64 = serde_json::from_str(raw.get()).map_err(|_| ClaimRefusal::NoDate(claim))?;
    match number {
        _ if number > SECONDS_MAX => Err(ClaimRefusal::DateTooLate(claim)),
        _ if number >= 0.0 => Ok(Some(Duration::from_secs_f64(number))),
        _ => Err(ClaimRefusal::NoDate(claim)),
    }
}

fn user(raw: &RawValue) -> Result<Name, ClaimRefusal> {
    let text = json::integer(raw).map(Into::into).or_else(|| json::text(raw));
    Name::new(&text.ok_or(ClaimRefusal::UserNotAString)?).map_err(ClaimRefusal::User)
}

/// The strings of an array; `None` for everything else.
fn texts(raw: &RawValue) -> Option<Vec<String>> {
    serde_json::from_str(raw.get()).ok()
}

fn is_among(audience: &str, given: &RawValue) -> bool {
    match JsonKind::of(given) {
        JsonKind::Array => texts(given).is_some_and(|list| list.iter().any(|one| one == audience)),
        _ => json::text(given).as_deref() == Some(audience),
    }
}

/// Why a token proves no user. These texts are for the log: the client is told less, see [`IdentRefusal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefusal {
    /// The payload is no JSON object, or has a claim twice.
    #[error("the payload must be an object that has each claim once")]
    NotAnObject,
    /// There is no `exp`.
    #[error("exp missing")]
    ExpMissing,
    /// A claim is not a number of seconds since 1970.
    #[error("{0} is no number of seconds since 1970")]
    NoDate(&'static str),
    /// A claim is a date after the year 9999: it counts milliseconds, or it is a huge number that is meant as
    /// "never".
    #[error(
        "{0} is after the year 9999: it counts seconds, not milliseconds, and a token that never expires is not taken"
    )]
    DateTooLate(&'static str),
    /// The time is after `exp`.
    #[error("token expired")]
    Expired,
    /// The time is before `nbf`.
    #[error("nbf is in the future")]
    NotYet,
    /// `iss` is missing or is not `auth.issuer`.
    #[error("iss is missing or not auth.issuer")]
    Issuer,
    /// `aud` is missing, or neither is nor contains `auth.audience`.
    #[error("aud is missing, or does not contain auth.audience")]
    Audience,
    /// The token has an `aud`, and `auth.audience` is not set.
    #[error("the token has an aud, but auth.audience is not set to accept it")]
    AudienceUnset,
    /// The claim `auth.user_claim` is missing.
    #[error("the token has no claim auth.user_claim")]
    UserMissing,
    /// The claim `auth.user_claim` is neither a string nor an integer.
    #[error("auth.user_claim: neither a string nor an integer")]
    UserNotAString,
    /// The claim `auth.user_claim` is no name.
    #[error("auth.user_claim: {0}")]
    User(#[source] NameRefusal),
    /// The client names another user than the token does.
    #[error("the token is for another user")]
    OtherUser,
    /// The claim `auth.channels_claim` is no list of channels.
    #[error("auth.channels_claim: {0}")]
    Channels(#[source] GrantRefusal),
}

impl From<ClaimRefusal> for IdentRefusal {
    /// What the client is told.
    fn from(refusal: ClaimRefusal) -> Self {
        match refusal {
            ClaimRefusal::Expired => Self::Expired,
            _ => Self::NotVerified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(Duration::from_secs(1_800_000_000));

    fn rules() -> ClaimRules {
        ClaimRules { channels: Some("channels".to_owned()), ..ClaimRules::default() }
    }

    /// The user that `claims` and an `exp` that is good prove.
    fn read(rules: &ClaimRules, claims: &str) -> Result<String, ClaimRefusal> {
        let payload = format!(r#"{{"exp":1800000060{claims}}}"#);
        rules.read(&payload, None, NOW).map(|verified| verified.identity.name.as_str().to_owned())
    }

    #[test]
    fn a_token_is_good_from_nbf_to_exp_with_leeway_on_both_sides() {
        let check = |claims: &str, expected: Result<(), ClaimRefusal>| {
            let payload = format!(r#"{{"sub":"alice",{claims}}}"#);
            assert_eq!(rules().read(&payload, None, NOW).map(|_| ()), expected, "{claims}");
        };
        check(r#""exp":1799999970"#, Ok(()));
        check(r#""exp":1799999969"#, Err(ClaimRefusal::Expired));
        check(r#""exp":1799999970.5"#, Ok(()));
        check(r#""exp":1.8e9"#, Ok(()));
        check(r#""exp":253402300799"#, Ok(()));
        check(r#""exp":0"#, Err(ClaimRefusal::Expired));
        check(r#""exp":1800000001,"nbf":1800000030"#, Ok(()));
        check(r#""exp":1800000001,"nbf":1800000031"#, Err(ClaimRefusal::NotYet));
        for exp in ["1e400", "-1", r#""1800000060""#, "null", "true", "[]"] {
            check(&format!(r#""exp":{exp}"#), Err(ClaimRefusal::NoDate("exp")));
            check(&format!(r#""exp":1800000060,"nbf":{exp}"#), Err(ClaimRefusal::NoDate("nbf")));
        }
        for exp in ["253402300800", "1800000001000", "9223372036854775807", "18446744073709551615", "1e300"] {
            check(&format!(r#""exp":{exp}"#), Err(ClaimRefusal::DateTooLate("exp")));
            check(&format!(r#""exp":1800000060,"nbf":{exp}"#), Err(ClaimRefusal::DateTooLate("nbf")));
        }
        check(r#""nbf":1"#, Err(ClaimRefusal::ExpMissing));
    }

    #[test]
    fn the_proof_ends_with_its_token_and_is_accepted_for_the_leeway() {
        let verified = rules().read(r#"{"sub":"a","exp":1800000060}"#, None, NOW).unwrap();
        assert_eq!(verified.expires, Some(UnixTime(NOW.0 + Duration::from_secs(60))));
        assert_eq!(verified.leeway, TOKEN_LEEWAY);
    }

    #[test]
    fn the_user_is_a_name() {
        let rules = rules();
        for (claim, name) in [
            (r#""alice""#, "alice"),
            ("7", "7"),
            (r#""__proto__""#, "__proto__"),
            (r#""\u00e9\u05d0\ud83d\ude00""#, "\u{e9}\u{5d0}\u{1f600}"),
        ] {
            assert_eq!(read(&rules, &format!(r#","sub":{claim}"#)).as_deref(), Ok(name));
        }
        for claim in ["null", "true", "1.5", "{}", r#"["alice"]"#, r#""\ud800""#] {
            let refused = Err(ClaimRefusal::UserNotAString);
            assert_eq!(read(&rules, &format!(r#","sub":{claim}"#)), refused, "{claim}");
        }
        for claim in [String::new(), "a\\n".to_owned(), "\\u0000".to_owned(), "x".repeat(256)] {
            let refused = read(&rules, &format!(r#","sub":"{claim}""#));
            assert!(matches!(refused, Err(ClaimRefusal::User(_))), "{claim}");
        }
        assert_eq!(read(&rules, ""), Err(ClaimRefusal::UserMissing));
        let other = ClaimRules { user: "preferred name".to_owned(), ..rules };
        assert_eq!(read(&other, r#","sub":"a","preferred name":"b""#).as_deref(), Ok("b"));
    }

    #[test]
    fn issuer_and_audience_are_those_that_were_asked_for() {
        let asked = ClaimRules {
            issuer: Some("https://id".to_owned()),
            audience: Some("turted".to_owned()),
            ..rules()
        };
        let check = |rules: &ClaimRules, claims: &str, refused: Option<ClaimRefusal>| {
            assert_eq!(read(rules, &format!(r#","sub":"a"{claims}"#)).err(), refused, "{claims}");
        };
        check(&asked, r#","iss":"https://id","aud":"turted""#, None);
        check(&asked, r#","iss":"https://id","aud":["other","turted"]"#, None);
        for iss in [r#""https://id/""#, r#"["https://id"]"#, "null", "1"] {
            check(&asked, &format!(r#","iss":{iss},"aud":"turted""#), Some(ClaimRefusal::Issuer));
        }
        check(&asked, r#","aud":"turted""#, Some(ClaimRefusal::Issuer));
        for aud in [r#""other""#, "[]", r#"["turted",1]"#, r#"{"turted":1}"#, "null", r#"[["turted"]]"#] {
            check(&asked, &format!(r#","iss":"https://id","aud":{aud}"#), Some(ClaimRefusal::Audience));
        }
        check(&asked, r#","iss":"https://id""#, Some(ClaimRefusal::Audience));
        check(&rules(), r#","iss":"anyone""#, None);
        check(&rules(), r#","aud":"turted""#, Some(ClaimRefusal::AudienceUnset));
    }

    #[test]
    fn channels_are_a_list_of_patterns_or_the_token_proves_nothing() {
        let channel = |text: &str| Name::new(text).unwrap();
        let payload = r#"{"sub":"a","exp":1800000060,"channels":["chat","news.*"]}"#;
        let verified = rules().read(payload, None, NOW).unwrap();
        assert!(verified.channels.cover(&channel("news.1")));
        assert!(!verified.channels.cover(&channel("x")));
        let unread = ClaimRules::default().read(payload, None, NOW).unwrap();
        assert!(unread.channels.is_empty(), "no claim was named for channels");
        for (list, refusal) in [
            (r#""chat""#, GrantRefusal::NoList),
            (r#"["chat",true]"#, GrantRefusal::NoList),
            (r#"{"0":["chat"]}"#, GrantRefusal::NoList),
            (r#"[""]"#, GrantRefusal::Pattern(NameRefusal::Empty)),
        ] {
            let refusal = Err(ClaimRefusal::Channels(refusal));
            assert_eq!(read(&rules(), &format!(r#","sub":"a","channels":{list}"#)), refusal);
        }
        assert!(read(&rules(), r#","sub":"a","channels":[]"#).is_ok());
    }

    #[test]
    fn a_payload_is_an_object_with_each_claim_once() {
        for payload in [
            "",
            "null",
            "[]",
            r#""eyJhbGciOiJub25lIn0.e30.""#,
            r#"{"sub":"a","exp":1800000060"#,
            r#"{"sub":"a","exp":1800000060}{}"#,
            r#"{"sub":"a","exp":1,"exp":1800000060}"#,
            r#"{"sub":"a","\u0073ub":"b","exp":1800000060}"#,
            r#" {"sub":"a","exp":1800000060}"#,
        ] {
            assert_eq!(rules().read(payload, None, NOW), Err(ClaimRefusal::NotAnObject), "{payload}");
        }
    }

    #[test]
    fn a_client_that_names_itself_names_the_user_of_the_token() {
        let named =
            |text: &str, json: &str| UserField { name: Name::new(text).unwrap(), json: json.to_owned() };
        let payload = r#"{"sub":"7","exp":1800000060}"#;
        let read = |user: &UserField| rules().read(payload, Some(user), NOW);
        let same = read(&named("7", "7")).unwrap();
        assert_eq!(same.identity.username_json, "7", "repeated as the client wrote it");
        assert_eq!(read(&named("8", "8")), Err(ClaimRefusal::OtherUser));
    }
}
