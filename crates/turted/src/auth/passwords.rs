//! The passwords that a push may have, each with what it lets through.

use std::sync::Arc;

use turted_core::push::Scope;
use turted_core::secret::{Digested, Secret};

/// A password, and what may be pushed with it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Password {
    /// Its name, if it has one: it is one of `push.keys`.
    pub(crate) name: Option<String>,
    pub(crate) scope: Scope,
    /// Whether it is too long to be guessed.
    pub(crate) is_strong: bool,
    digest: Digested,
}

impl Password {
    pub(crate) fn new(name: Option<String>, password: &Secret, scope: Scope) -> Self {
        Self { name, scope, is_strong: password.is_strong(), digest: password.digested() }
    }
}

/// All of them. No two are the same.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Passwords(Vec<Arc<Password>>);

/// Why a push has no right password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mismatch {
    /// It shows none at all, so it is no guess.
    Missing,
    Wrong,
    /// Its items have different ones, all of them right.
    Mixed,
}

impl Passwords {
    /// `None` if there is no password.
    pub(crate) fn new(passwords: impl Iterator<Item = Password>) -> Option<Self> {
        let passwords: Vec<_> = passwords.map(Arc::new).collect();
        (!passwords.is_empty()).then_some(Self(passwords))
    }

    /// Those that are among `push.keys`.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Password> {
        self.0.iter().map(|password| &**password).filter(|password| password.name.is_some())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The one without a name.
    pub(crate) fn nameless(&self) -> Option<&Password> {
        self.0.iter().map(|password| &**password).find(|password| password.name.is_none())
    }

    /// The password that `candidate` is. It is compared with each one, so the time does not show which.
    pub(crate) fn find(&self, candidate: &str) -> Option<&Arc<Password>> {
        let candidate = Digested::of(candidate);
        self.0.iter().fold(None, |found, password| match password.digest.matches(&candidate) {
            true => Some(password),
            false => found,
        })
    }

    /// The password of a push: that of the header if there is one, else the one that all of its items have.
    pub(crate) fn of_push<'a>(
        &self,
        header: Option<&str>,
        items: impl Iterator<Item = Option<&'a Secret>>,
    ) -> Result<&Arc<Password>, Mismatch> {
        if let Some(header) = header {
            return self.find(header).ok_or(Mismatch::Wrong);
        }
        let (mut found, mut last) = (None, None);
        for given in items {
            let Some(given) = given.filter(|given| !given.is_empty()) else {
                return Err(if last.is_some() { Mismatch::Wrong } else { Mismatch::Missing });
            };
            // A batch usually has one password in all of its items: it is hashed once.
            if last.replace(given) == Some(given) {
                continue;
            }
            let password = self.find(given.reveal()).ok_or(Mismatch::Wrong)?;
            if found.is_some_and(|found| !Arc::ptr_eq(found, password)) {
                return Err(Mismatch::Mixed);
            }
            found = Some(password);
        }
        found.ok_or(Mismatch::Missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords() -> Passwords {
        let named =
            |name: &str, text: &str| Password::new(Some(name.to_owned()), &Secret::from(text), Scope::ALL);
        let nameless = Password::new(None, &Secret::from("tiger"), Scope::ALL);
        // An embedding program may set an empty one: nothing is it.
        let empty = named("empty", "");
        Passwords::new([nameless, named("a", "lion"), named("b", "bear"), empty].into_iter()).unwrap()
    }

    #[test]
    fn each_password_is_found_by_its_text_alone() {
        let all = passwords();
        let name = |candidate: &str| all.find(candidate).map(|password| password.name.as_deref());
        assert_eq!(
            [name("tiger"), name("lion"), name("bear")],
            [Some(None), Some(Some("a")), Some(Some("b"))]
        );
        for candidate in ["", "Tiger", "tiger ", "a", "lio", "lionbear"] {
            assert_eq!(name(candidate), None, "{candidate:?}");
        }
    }

    #[test]
    fn all_items_of_a_push_have_the_same_password() {
        let all = passwords();
        let of = |header: Option<&str>, items: &[Option<&str>]| {
            let items: Vec<_> = items.iter().map(|item| item.map(Secret::from)).collect();
            all.of_push(header, items.iter().map(Option::as_ref)).map(|password| password.name.clone())
        };
        let (lion, named) = (Some("lion"), Ok(Some("a".to_owned())));
        assert_eq!(of(None, &[lion]), named);
        assert_eq!(of(None, &[lion, lion, lion]), named);
        assert_eq!(of(lion, &[Some("wrong"), None]), named, "the header counts");
        assert_eq!(of(Some("wrong"), &[lion]), Err(Mismatch::Wrong));
        for (items, mismatch) in [
            (&[None][..], Mismatch::Missing),
            (&[Some("")], Mismatch::Missing),
            (&[None, Some("wrong")], Mismatch::Missing),
            (&[], Mismatch::Missing),
            (&[Some("wrong")], Mismatch::Wrong),
            (&[lion, None], Mismatch::Wrong),
            (&[lion, lion, Some("wrong")], Mismatch::Wrong),
            (&[Some("wrong"), Some("wrong")], Mismatch::Wrong),
            (&[lion, Some("bear")], Mismatch::Mixed),
            (&[lion, Some("tiger"), Some("wrong")], Mismatch::Mixed),
        ] {
            assert_eq!(of(None, items), Err(mismatch), "{items:?}");
        }
    }

    #[test]
    fn no_password_is_shown_by_debug() {
        let shown = format!("{:?}", passwords());
        assert!(!["tiger", "lion", "bear"].iter().any(|text| shown.contains(text)), "{shown}");
        assert!(shown.contains("digest: ***"), "{shown}");
    }
}
