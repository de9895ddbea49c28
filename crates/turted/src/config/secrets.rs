//! The secrets that are read again while the server runs: the passwords for pushes and the admin tokens.
//!
//! Not here: the secrets for IDENTs. Keys of JSON Web Tokens are read again by `authenticator::Rotation`. The
//! others change with a restart, because clients would be refused that show what was right a moment ago.

use std::sync::{Arc, PoisonError, RwLock};

use turted_core::push::Scope;
use turted_core::secret::Secret;

use crate::auth::passwords::{Password, Passwords};
use crate::config::{Config, Push};

/// Something that may be exchanged for another; whether there is one does not change. The lock is held for a copy.
#[derive(Debug)]
pub(crate) struct Current<T>(Option<Arc<RwLock<Arc<T>>>>);

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Current<T> {
    fn new(first: Option<T>) -> Self {
        Self(first.map(|first| Arc::new(RwLock::new(Arc::new(first)))))
    }

    /// What counts now.
    pub(crate) fn get(&self) -> Option<Arc<T>> {
        let current = self.0.as_ref()?;
        Some(Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Lets `next` count from now on. Returns what did until now, and what does now. If there was none, nothing
    /// changes.
    fn replace(&self, next: Option<T>) -> Option<(Arc<T>, Arc<T>)> {
        let (current, next) = (self.0.as_ref()?, Arc::new(next?));
        let mut current = current.write().unwrap_or_else(PoisonError::into_inner);
        Some((std::mem::replace(&mut *current, Arc::clone(&next)), next))
    }
}

/// The secrets of a server that may be exchanged while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Secrets {
    pub(crate) push: Current<Passwords>,
    pub(crate) admin: Current<Secret>,
    pub(crate) admin_write: Current<Secret>,
}

impl Secrets {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            push: Current::new(passwords(&config.push)),
            admin: Current::new(config.admin.token.clone()),
            admin_write: Current::new(config.admin.write_token.clone()),
        }
    }

    /// Lets the passwords for pushes and the admin tokens of `config` count from now on. Returns the keys of those
    /// that changed. If the server did not have any before, or `config` has none, nothing changes: that takes a
    /// restart.
    pub fn replace(&self, config: &Config) -> Vec<&'static str> {
        let mut changed = Vec::new();
        if let Some((old, new)) = self.push.replace(passwords(&config.push)) {
            changed.extend((old.nameless() != new.nameless()).then_some("push.password"));
            changed.extend((!old.named().eq(new.named())).then_some("push.keys"));
        }
        if let Some((old, new)) = self.admin.replace(config.admin.token.clone()) {
            changed.extend((old != new).then_some("admin_token"));
        }
        if let Some((old, new)) = self.admin_write.replace(config.admin.write_token.clone()) {
            changed.extend((old != new).then_some("admin_write_token"));
        }
        changed
    }

    /// The keys of secrets that the server has and `config` has not, or the other way round: that takes a restart.
    pub(crate) fn other_than(&self, config: &Config) -> Vec<&'static str> {
        let mut other = Vec::new();
        match (self.push.get(), passwords(&config.push).map(Arc::new)) {
            (Some(only), None) | (None, Some(only)) => {
                other.extend(only.nameless().map(|_| "push.password"));
                other.extend(only.named().next().map(|_| "push.keys"));
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        let admin = [
            ("admin_token", &self.admin, &config.admin.token),
            ("admin_write_token", &self.admin_write, &config.admin.write_token),
        ];
        for (key, own, configured) in admin {
            other.extend((own.get().is_some() != configured.is_some()).then_some(key));
        }
        other
    }
}

/// The passwords that a push may have.
fn passwords(push: &Push) -> Option<Passwords> {
    let nameless = push.password.iter().map(|password| Password::new(None, password, Scope::ALL));
    let named =
        push.keys.iter().map(|key| Password::new(Some(key.name.clone()), &key.password, key.scope.clone()));
    Passwords::new(nameless.chain(named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PushKey;

    #[test]
    fn a_secret_is_exchanged_but_neither_given_nor_taken_away() {
        let mut config = Config::default();
        config.push.password = Some(Secret::from("a"));
        let secrets = Secrets::new(&config);
        assert_eq!(secrets.replace(&config), [""; 0]);
        config.push.password = Some(Secret::from("b"));
        assert_eq!(secrets.other_than(&config), [""; 0]);
        config.admin.token = Some(Secret::from("c"));
        config.admin.write_token = Some(Secret::from("d"));
        assert_eq!(secrets.replace(&config), ["push.password"]);
        assert_eq!(secrets.other_than(&config), ["admin_token", "admin_write_token"], "the server has none");
        assert_eq!(secrets.other_than(&Config::default()), ["push.password"], "the configuration has none");
        let taken = ["push.password", "admin_token", "admin_write_token"];
        assert_eq!(Secrets::new(&Config::default()).other_than(&config), taken);
        let counts = |secrets: &Secrets, text: &str| secrets.push.get().unwrap().find(text).is_some();
        assert_eq!((counts(&secrets, "a"), counts(&secrets, "b"), secrets.admin.get()), (false, true, None));
        assert_eq!(secrets.replace(&Config::default()), [""; 0]);
        assert!(counts(&secrets, "b"));
    }

    #[test]
    fn keys_for_pushes_come_go_and_change_as_a_list() {
        let key = |name: &str, password: &str| PushKey {
            name: name.to_owned(),
            password: Secret::from(password),
            scope: Scope::ALL,
        };
        let mut config = Config::default();
        config.push.password = Some(Secret::from("a"));
        let secrets = Secrets::new(&config);
        let name = |text: &str| secrets.push.get().unwrap().find(text).map(|found| found.name.clone());
        config.push.keys = vec![key("new", "b"), key("old", "c")];
        assert_eq!(secrets.replace(&config), ["push.keys"]);
        assert_eq!((name("a"), name("b")), (Some(None), Some(Some("new".to_owned()))));
        config.push.keys.pop();
        config.push.password = None;
        assert_eq!(secrets.replace(&config), ["push.password", "push.keys"]);
        assert_eq!((name("a"), name("c"), name("b").is_some()), (None, None, true));
        config.push.keys[0].scope.users = false;
        assert_eq!(secrets.replace(&config), ["push.keys"]);
        config.push.keys.clear();
        assert_eq!(secrets.replace(&config), [""; 0], "pushes without a password take a restart");
        assert!(name("b").is_some());
    }
}
