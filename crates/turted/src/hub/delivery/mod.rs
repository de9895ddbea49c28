//! From an inbox to one write per connection.
//!
//! | file | what |
//! |---|---|
//! | `fanout`, `round` | which connections each dispatch goes to, and when; a few of them, written one after the other |
//! | `frame`, `wire` | one message, encoded once for all that receive it; how it is encoded |
//! | `outlet` | the way out of a connection, and what waits for it |
//! | `metrics` | what a worker counts |

pub(crate) mod fanout;
pub(crate) mod round;
pub(crate) mod frame;
pub(crate) mod wire;
pub(crate) mod outlet;
pub(crate) mod metrics;
