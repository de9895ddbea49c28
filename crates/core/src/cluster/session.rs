//! What is kept of a session, so that its client can come back to any node.

use std::borrow::Borrow;

use super::head::{self, Author, Read};
use crate::record::field::{Fields, Malformed};
use crate::record::session::{self, SessionState};
use crate::session_key::SessionKey;

/// Bytes of a session: 3,900 channels with the longest names. A client of a larger one begins anew at another
/// node.
pub const SESSION_BYTES_MAX: usize = 1024 * 1024;

mod kind {
    pub(super) const WHOLE: u8 = 0;
    pub(super) const SUCCEEDED: u8 = 1;
}

/// A session as it is kept. `S` is its state, or refers to one that is written.
///
/// ```
/// use turted_core::cluster::head::{Author, Read};
/// use turted_core::cluster::session::{Kept, KeptSession, decode};
/// use turted_core::record::session::SessionState;
/// let owner = Author { node: 3, process: 17 };
/// let session = KeptSession { owner, kept: Kept::Whole(SessionState::default()) };
/// assert_eq!(decode(&session.encode()), Read::Ours(session));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptSession<S = SessionState> {
    /// Who has written it. Another process writes it only after it has taken it.
    pub owner: Author,
    /// What it is.
    pub kept: Kept<S>,
}

/// What is kept of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept<S = SessionState> {
    /// All that it is.
    Whole(S),
    /// Its client was given this session in its place, and may not know it yet.
    Succeeded(SessionKey),
}

impl<S: Borrow<SessionState>> KeptSession<S> {
    /// The bytes of the session.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = head::begin(256);
        self.owner.put(&mut bytes);
        match &self.kept {
            Kept::Whole(state) => {
                let state = state.borrow();
                bytes.push(kind::WHOLE);
                session::put_state(&mut bytes, state);
                session::put_names(&mut bytes, &state.presence);
            }
            Kept::Succeeded(key) => {
                bytes.push(kind::SUCCEEDED);
                bytes.extend_from_slice(&key.to_bytes());
            }
        }
        bytes
    }
}

/// Reads a session.
#[must_use]
pub fn decode(bytes: &[u8]) -> Read<KeptSession> {
    if bytes.len() > SESSION_BYTES_MAX {
        return Read::Foreign;
    }
    head::read(bytes, |fields| Ok(KeptSession { owner: Author::read(fields)?, kept: kept(fields)? }))
}

fn kept(fields: &mut Fields<'_>) -> Result<Kept, Malformed> {
    match fields.u8()? {
        kind::WHOLE => {
            let state = session::state(fields)?;
            Ok(Kept::Whole(SessionState { presence: session::names(fields)?, ..state }))
        }
        kind::SUCCEEDED => Ok(Kept::Succeeded(SessionKey::from_bytes(fields.array()?))),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::membership::Since;
    use crate::name::Name;
    use crate::record::session::tests::{key, state};

    fn kept_session() -> impl Strategy<Value = KeptSession> {
        let kept = prop_oneof![state().prop_map(Kept::Whole), key().prop_map(Kept::Succeeded)];
        (any::<(u16, u64)>(), kept)
            .prop_map(|((node, process), kept)| KeptSession { owner: Author { node, process }, kept })
    }

    proptest! {
        #[test]
        fn a_session_is_read_as_it_was_written(session in kept_session()) {
            prop_assert_eq!(decode(&session.encode()), Read::Ours(session));
        }

        #[test]
        fn a_session_that_is_cut_or_too_long_is_none(session in kept_session(), cut: prop::sample::Index) {
            let mut bytes = session.encode();
            prop_assert_eq!(decode(&bytes[..cut.index(bytes.len())]), Read::Foreign);
            bytes.push(0);
            prop_assert_eq!(decode(&bytes), Read::Foreign);
        }

        #[test]
        fn what_is_read_from_any_bytes_is_written_as_the_same_bytes(kind in 0..3_u8, rest in vec(any::<u8>(), 0..60)) {
            let mut bytes = head::begin(0);
            Author { node: 1, process: 2 }.put(&mut bytes);
            bytes.push(kind);
            bytes.extend(rest);
            if let Read::Ours(session) = decode(&bytes) {
                prop_assert_eq!(session.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_session_above_its_bound_is_refused() {
        let name = Name::new(&"x".repeat(255)).unwrap();
        let of = |channels: usize| {
            let mut state = SessionState::default();
            state.memberships.channels = vec![(name.clone(), Since(1)); channels];
            KeptSession { owner: Author { node: 1, process: 2 }, kept: Kept::Whole(state) }
        };
        assert!(decode(&of(3_900).encode()).ours().is_some());
        assert_eq!(decode(&of(4_000).encode()), Read::Foreign);
    }
}
