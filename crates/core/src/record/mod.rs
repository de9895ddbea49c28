//! What stands in the files of the log: bytes that are written once and read at the next start.
//!
//! A file may have been torn by a kill, damaged by a disk, or written by a stranger. So reading is total: whatever
//! the bytes are, a reader yields a record or says what is wrong, and allocates no more than the file has.
//!
//! | file | what |
//! |---|---|
//! | `frame` | a record with its length and its checksums, one behind the other |
//! | `push` | pushes with their keys, and what is written about them later |
//! | `dispatch` | one dispatch, in a push or in the log of several machines |
//! | `history` | what stands in front of the history of channels |
//! | `session`, `fold` | what becomes of a session; what sessions are after all that is said about them |
//! | `field` | the fields of a record: numbers, texts, and how many of them follow |

pub mod frame;
pub mod push;
pub(crate) mod dispatch;
pub mod history;
pub mod session;
pub mod fold;
pub mod field;
