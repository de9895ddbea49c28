//! The secrets that are read again while the server runs: the push password and the admin token.
//!
//! Not here: the secrets for IDENTs. Keys of JSON Web Tokens are read again by `authenticator::Rotation`. The
//! others change with a restart, because clients would be refused that show what was right a moment ago.

use std::sync::{Arc, PoisonError, RwLock};

use turted_core::secret::Secret;

use crate::config::Config;

/// A secret that may be exchanged for another; whether there is one does not change. The lock is held for a copy.
#[derive(Clone, Debug)]
pub(crate) struct Current(Option<Arc<RwLock<Arc<Secret>>>>);

impl Current {
    fn new(secret: Option<Secret>) -> Self {
        Self(secret.map(|secret| Arc::new(RwLock::new(Arc::new(secret)))))
    }

    /// The secret that counts now.
    pub(crate) fn get(&self) -> Option<Arc<Secret>> {
        let current = self.0.as_ref()?;
        Some(Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Lets `secret` count from now on. Returns whether another one did until now. If there was none, nothing
    /// changes.
    fn replace(&self, secret: Option<&Secret>) -> bool {
        let (Some(current), Some(secret)) = (&self.0, secret) else { return false };
        let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
        let is_new = **current != *secret;
        *current = Arc::new(secret.clone());
        is_new
    }
}

/// The secrets of a server that may be exchanged while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub(crate) push: Current,
    pub(crate) admin: Current,
}

impl Secrets {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            push: Current::new(config.push.password.clone()),
            admin: Current::new(config.admin.token.clone()),
        }
    }

    /// Lets the push password and the admin token of `config` count from now on. Returns the keys of those that
    /// changed. A secret that the server did not have before, or that `config` has no more, changes nothing:
    /// that takes a restart.
    pub fn replace(&self, config: &Config) -> Vec<&'static str> {
        let push = self.push.replace(config.push.password.as_ref()).then_some("push.password");
        let admin = self.admin.replace(config.admin.token.as_ref()).then_some("admin_token");
        push.into_iter().chain(admin).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_exchanged_but_neither_given_nor_taken_away() {
        let mut config = Config::default();
        config.push.password = Some(Secret::from("a"));
        let secrets = Secrets::new(&config);
        assert_eq!(secrets.replace(&config), [""; 0]);
        config.push.password = Some(Secret::from("b"));
        config.admin.token = Some(Secret::from("c"));
        assert_eq!(secrets.replace(&config), ["push.password"]);
        assert_eq!((secrets.push.get(), secrets.admin.get()), (Some(Arc::new(Secret::from("b"))), None));
        assert_eq!(secrets.replace(&Config::default()), [""; 0]);
        assert!(secrets.push.get().is_some());
    }
}
