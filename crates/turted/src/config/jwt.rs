//! `auth.method` = "jwt": the key and what tokens must say.

use super::collect::Collected;
use super::error::Problem;
use crate::auth::ClientAuth;
use crate::auth::{Algorithm, JwtKeys, JwtRule};
use turted_core::secret::Secret;

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

/// Whether `auth.key_file` counts and not `auth.key`. If both are set the stronger source wins.
fn is_from_file(collected: &Collected) -> bool {
    let rank = |key| collected.origin(key).rank();
    collected.settings.auth.key.text.is_none() || rank("auth.key_file") > rank("auth.key")
}

/// The rule for tokens, unless a key of the configuration is missing or wrong.
pub(super) fn rule(collected: &mut Collected, text: Secret) -> Option<ClientAuth> {
    let auth = &collected.settings.auth;
    let (algorithm, claims) = (auth.algorithm?, auth.claims.clone());
    let file = auth.key.file.clone().filter(|_| is_from_file(collected));
    let source = if file.is_some() { "auth.key_file" } else { "auth.key" };
    if key_bytes_min(algorithm).is_some_and(|least| text.reveal().len() < least) {
        let warning = format!(
            "`{source}` is shorter than the hash of `auth.algorithm` = \"{algorithm:?}\" and can be guessed \
             from any token: `openssl rand -hex 32` prints 64 characters that cannot be guessed"
        );
        collected.warnings.push(warning);
    }
    match JwtKeys::new(algorithm, text) {
        Ok(keys) => {
            let keys = match file {
                Some(file) => keys.from_file(&file),
                None => keys,
            };
            Some(ClientAuth::Jwt(Box::new(JwtRule { algorithm, keys, claims })))
        }
        Err(refusal) => {
            let what = format!("`{source}` with `auth.algorithm` = \"{algorithm:?}\": {refusal}");
            collected.problem(Problem::at(collected.origin(source), what));
            None
        }
    }
}
