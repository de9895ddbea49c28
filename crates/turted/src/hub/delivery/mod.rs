//! From an inbox to one write per connection.

pub(crate) mod fanout;
pub(crate) mod round;
pub(crate) mod frame;
pub(crate) mod wire;
pub(crate) mod outlet;
pub(crate) mod metrics;
