//! The cluster as a node sees it: the other nodes, and what it shares with them.
//!
//! | file | what |
//! |---|---|
//! | `peers` | the other nodes as those need them who pass requests on: addresses, the secret, TLS |
//! | `claims` | which node has a session whose id its client chose |

pub(crate) mod peers;
pub(crate) mod claims;
