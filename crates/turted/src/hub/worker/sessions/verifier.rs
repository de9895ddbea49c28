//! By which configuration the users of a file were verified. A server that verifies them otherwise must not take them
//! over: a client that once named itself would be a user that it cannot prove to be.

use sha2::{Digest, Sha256};

use crate::auth::ClientAuth;

/// How often the hash is made anew. Who reads the disk can try passwords against it, and each try takes so often as long.
/// Tests read thousands of files.
const ROUNDS: usize = if cfg!(test) { 2 } else { 1_024 };

/// How a server verifies who clients are.
#[derive(Clone, Debug)]
pub(crate) struct Verification(Vec<u8>);

impl Verification {
    /// By this part of the configuration.
    pub(crate) fn of(method: &ClientAuth) -> Self {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut add = |part: &str| parts.push(part.as_bytes().to_vec());
        match method {
            ClientAuth::Accept => add("accept"),
            ClientAuth::Password(password) => ["password", password.reveal()].map(add).into_iter().collect(),
            ClientAuth::Token(rule) => {
                let hash = format!("{:?}", rule.hash);
                ["token", &hash, rule.prefix.reveal(), rule.suffix.reveal()].map(add).into_iter().collect()
            }
            ClientAuth::Jwt(rule) => {
                let (algorithm, claims) = (format!("{:?}", rule.algorithm), format!("{:?}", rule.claims));
                ["jwt", &algorithm, rule.keys.text().reveal(), &claims].map(add).into_iter().collect()
            }
            ClientAuth::Http(url) => ["http", &url.to_string()].map(add).into_iter().collect(),
        }
        // With its length before each part, two configurations have no bytes in common.
        Self(parts.iter().flat_map(|part| [&part.len().to_le_bytes()[..], part].concat()).collect())
    }

    /// By a part of the embedding program, which is taken for the same at each start.
    pub(crate) fn embedded() -> Self {
        Self(b"embedded".to_vec())
    }

    /// What is written of it.
    pub(super) fn mark(&self, salt: &[u8; 16]) -> [u8; 32] {
        let mut hash = Sha256::new().chain_update(salt).chain_update(&self.0).finalize();
        for _ in 1..ROUNDS {
            hash = Sha256::new().chain_update(salt).chain_update(hash).finalize();
        }
        hash.into()
    }
}

#[cfg(test)]
mod tests {
    use turted_core::auth::{Hash, TokenRule};

    use super::*;

    #[test]
    fn any_other_way_to_verify_has_another_mark() {
        let token = |prefix: &str, suffix: &str| {
            let rule = TokenRule { hash: Hash::Sha256, prefix: prefix.into(), suffix: suffix.into() };
            Verification::of(&ClientAuth::Token(rule))
        };
        let all = [
            Verification::of(&ClientAuth::Accept),
            Verification::embedded(),
            Verification::of(&ClientAuth::Password("a".into())),
            Verification::of(&ClientAuth::Password("b".into())),
            token("a", "b"),
            token("ab", ""),
        ];
        let salt = [7; 16];
        for (number, one) in all.iter().enumerate() {
            assert_eq!(one.mark(&salt), one.clone().mark(&salt));
            assert_ne!(one.mark(&salt), one.mark(&[8; 16]));
            assert!(all[number + 1..].iter().all(|other| other.mark(&salt) != one.mark(&salt)), "{number}");
        }
    }
}
