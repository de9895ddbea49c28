//! `auth.method` = "jwt": the key and what tokens must say.

use super::collect::Collected;
use super::error::Problem;
use super::model::ClientAuth;
use crate::authenticator::{Algorithm, JwtKey, JwtRule};
use turted_core::auth::Secret;

/// Bytes of the shortest key for an algorithm of HMAC (RFC 7518 3.2: as long as its hash).
fn key_bytes_min(algorithm: Algorithm) -> Option<usize> {
    match algorithm {
        Algorithm::HS256 => Some(32),
        Algorithm::HS384 => Some(48),
        Algorithm::HS512 => Some(64),
        _ => None,
    }
}

/// Whether `auth.key` is a secret: a public key is none.
pub(super) fn is_key_secret(collected: &Collected) -> bool {
    collected.settings.auth.algorithm.is_none_or(|algorithm| key_bytes_min(algorithm).is_some())
}

/// The rule for tokens, unless a key of the configuration is missing or wrong.
pub(super) fn rule(collected: &mut Collected, text: Secret) -> Option<ClientAuth> {
    let auth = &collected.settings.auth;
    let (algorithm, claims) = (auth.algorithm?, auth.claims.clone());
    let source = if auth.key.text.is_some() { "auth.key" } else { "auth.key_file" };
    if key_bytes_min(algorithm).is_some_and(|least| text.reveal().len() < least) {
        let warning = format!(
            "`{source}` is shorter than the hash of `auth.algorithm` = \"{algorithm:?}\" and can be guessed \
             from any token: use 64 random bytes, such as `openssl rand -hex 32` prints"
        );
        collected.warnings.push(warning);
    }
    match JwtKey::new(algorithm, text) {
        Ok(key) => Some(ClientAuth::Jwt(Box::new(JwtRule { algorithm, key, claims }))),
        Err(refusal) => {
            let what = format!("`{source}` with `auth.algorithm` = \"{algorithm:?}\": {refusal}");
            collected.problem(Problem::at(collected.origin(source), what));
            None
        }
    }
}
