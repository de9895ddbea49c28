//! SockJS by hand, as the tests of one server speak it.

#[path = "../it/sockjs/client.rs"]
pub(crate) mod client;
