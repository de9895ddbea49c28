//! What a client may ask, whatever it speaks.
//!
//! | file | what |
//! |---|---|
//! | `commands` | IDENT, JOIN, LEAVE, PRESENCE, ECHO and PING, and their refusals |
//! | `identity` | what an IDENT changes on its connection, and when that ends |
//! | `record` | what becomes of a session is recorded before its client is answered |
//! | `place` | a place for a session that lives by requests |
//! | `resume`, `replay` | a client comes back; what it missed, found in the log |
//! | `stream` | a client without a session comes back, with its position |
//! | `claim` | a session that another node has is claimed for this one |
//! | `history` | the last events of channels, for a client that has joined them |
//! | `presence` | who is in a channel, for its members: at once, and when it changes |
//! | `operator` | what operators do to clients |

pub(crate) mod commands;
pub(crate) mod identity;
pub(crate) mod record;
pub(crate) mod place;
pub(crate) mod resume;
pub(crate) mod replay;
pub(crate) mod stream;
pub(crate) mod claim;
pub(crate) mod history;
pub(crate) mod presence;
pub(crate) mod operator;
