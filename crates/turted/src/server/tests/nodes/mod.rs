//! Several servers without a balancer that keeps clients at one of them: each request comes to another node.
//!
//! | file | what |
//! |---|---|
//! | `cluster` | servers that know each other, and what they share |
//! | `client` | a client of HTTP/1 that chooses its node for each request |
//! | `polling`, `sockjs` | sessions whose requests come to any node |
//! | `away` | nodes that are gone, full or elsewhere, and clients that are |
//! | `strangers` | who may call a node |
//! | `secured` | TLS between nodes, HTTP/2 before them |

mod cluster;
mod client;
mod polling;
mod sockjs;
mod away;
mod strangers;
mod secured;
