//! Mounts: which service is under which prefix and with which options, and how it is told what clients
//! say.
//!
//! This is the line between the transport and what is said: the files beside this one know requests,
//! receivers and frames, a [`Service`] knows none of them. A service is told of a new connection and of
//! each message, and answers by [`Connection::send_message`] and [`Connection::close`].

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use turted_core::name::Name;
use turted_core::wire::sockjs::IframePage;

use crate::config::SockJs;
use crate::hub::worker::connection::Client;
use crate::hub::worker::session::Step;
use crate::transport::assets::Assets;

/// The file that the page for iframes loads, if the operator names no other.
const CLIENT_FILE: &str = "sockjs.min.js";

/// What answers the clients of a mount.
#[derive(Debug)]
pub(crate) struct Service {
    /// A connection is open: its client was told so, and messages can be sent.
    pub(crate) opened: fn(Client<'_>),
    /// A message came.
    pub(crate) receive: fn(Client<'_>, &str) -> Step,
    /// A proof of who the client is has expired, and the connection has lost these channels.
    pub(crate) expired: fn(Client<'_>, &[Name]),
    /// An operator has taken the client out of this channel.
    pub(crate) removed: fn(Client<'_>, &Name),
}

/// A service at its place on a server.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) options: SockJs,
    pub(crate) service: &'static Service,
    pub(super) iframe: IframePage,
    pub(super) assets: Option<Arc<Assets>>,
    /// Keyed anew at each start: clients choose the ids of sessions, and must not be able to choose the
    /// worker.
    hasher: RandomState,
}

impl Mount {
    /// A service at the path of its options.
    pub(crate) fn new(options: SockJs, service: &'static Service, assets: Option<Arc<Assets>>) -> Self {
        let own = format!("{}/{CLIENT_FILE}", options.path);
        let iframe = IframePage::new(options.sockjs_url.as_deref().unwrap_or(&own));
        Self { options, service, iframe, assets, hasher: RandomState::new() }
    }

    /// The part of `path` below the path of this mount; `None` if `path` is not below it.
    pub(super) fn below<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.options.path).filter(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The name of a session with an id: the same id names another session under another path.
    pub(super) fn key(&self, session: &str) -> String {
        format!("{}/{session}", self.options.path)
    }

    /// Which of so many workers owns the session with this key.
    pub(super) fn owner(&self, key: &str, workers: usize) -> u8 {
        let owner = self.hasher.hash_one(key) % (workers as u64).max(1);
        u8::try_from(owner).expect("there are at most 256 workers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn turted(config: &Config) -> Mount {
        Mount::turted(config, None)
    }

    #[test]
    fn a_mount_has_what_is_below_its_path_and_nothing_beside_it() {
        let mount = turted(&Config::default());
        for path in ["/turted", "/turted/", "/turted/info", "/turted/a/b/xhr"] {
            assert!(mount.below(path).is_some(), "{path}");
        }
        for path in ["/turtedx", "/turte", "/", "/a/turted", "/Turted"] {
            assert!(mount.below(path).is_none(), "{path}");
        }
    }

    #[test]
    fn every_worker_owns_sessions_and_each_session_has_one_owner() {
        let mount = turted(&Config::default());
        let mut owned = [0; 3];
        for number in 0..300 {
            let key = format!("/turted/{number}");
            let owner = mount.owner(&key, 3);
            assert_eq!(owner, mount.owner(&key, 3));
            owned[usize::from(owner)] += 1;
        }
        assert!(owned.iter().all(|count| *count > 30), "{owned:?}");
    }

    #[test]
    fn the_page_for_iframes_loads_what_the_operator_names() {
        let own = turted(&Config::default());
        assert!(own.iframe.html().contains(r#"src="/turted/sockjs.min.js""#));
        let mut config = Config::default();
        config.sockjs.sockjs_url = Some("https://files.example/sockjs.js".into());
        assert!(turted(&config).iframe.html().contains(r#"src="https://files.example/sockjs.js""#));
    }
}
