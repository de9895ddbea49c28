//! Who is served above the transports: turted, or a test service of `turted conformance`.
//!
//! This is the line at which who answers is swapped. Transports carry the service of a client in
//! its session and hand it whole messages; it answers through the connection. No key, variable or
//! flag sets it: it comes from the routes, and those from [`Routes`].

use crate::cli::conformance::routes::{Suite, TestService};

/// Who answers the messages of a client. `T` are the test services of its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service<T = TestService> {
    /// The product.
    Turted,
    /// What an official suite expects.
    Test(T),
}

impl Service {
    /// The namespaces that a Socket.IO client may connect to, at most eight.
    pub(crate) fn namespaces(self) -> &'static [&'static str] {
        match self {
            Self::Turted => &["/"],
            Self::Test(service) => service.namespaces(),
        }
    }

    /// Whether its clients speak Socket.IO on Engine.IO, and have to connect to a namespace.
    pub(crate) fn speaks_socketio(self) -> bool {
        !self.namespaces().is_empty()
    }
}

/// What a server serves under its paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Routes {
    /// The product.
    #[default]
    Turted,
    /// The test services of a suite, and nothing else.
    Conformance(Suite),
}
