//! Where the page is, whether it is there, and for which requests.

use hyper::Request;

use crate::config::{ClientAuth, Config};
use crate::http::cors;

/// The path of the page. Its other files are below it.
pub(crate) const PATH: &str = "/demo";

/// Whether a path is that of the page or below it.
pub(super) fn is_below(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Which requests are answered with the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// None.
    Off,
    /// Those for a loopback name or address. A proxy in front of an open server passes on the requests of strangers,
    /// most often with the name that the strangers use. The page lets nobody do what an open server does not.
    ThisMachine,
    /// All.
    Everyone,
}

impl Reach {
    /// What a configuration says.
    pub(crate) fn of(config: &Config) -> Self {
        match config.demo {
            Some(true) => Self::Everyone,
            None if is_open(config) && !is_taken(config) => Self::ThisMachine,
            Some(false) | None => Self::Off,
        }
    }

    /// Whether a request is among them.
    pub(crate) fn includes<B>(self, request: &Request<B>) -> bool {
        match self {
            Self::Off => false,
            Self::ThisMachine => cors::is_for_loopback(request),
            Self::Everyone => true,
        }
    }
}

/// Whether nothing needs credentials, and other machines do not reach the server.
fn is_open(config: &Config) -> bool {
    config.auth.method == ClientAuth::Accept
        && config.push.is_open()
        && config.listen.ip().to_canonical().is_loopback()
}

/// Whether a transport or the push is where the page would be. Streams of TURTED for reactphp below `/` take only what
/// nobody else serves.
fn is_taken(config: &Config) -> bool {
    let paths = [
        &config.socketio.path,
        &config.websocket.path,
        &config.sse.path,
        &config.sockjs.path,
        &config.push.path,
    ];
    paths.into_iter().chain(&config.sse.reactphp_path).any(|path| is_below(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_there_by_itself_only_where_all_is_open_to_this_machine_alone() {
        let open = Config::default();
        let with = |change: fn(&mut Config)| {
            let mut config = open.clone();
            change(&mut config);
            Reach::of(&config)
        };
        assert_eq!(Reach::of(&open), Reach::ThisMachine);
        assert_eq!(with(|config| config.listen = "[::1]:0".parse().unwrap()), Reach::ThisMachine);
        assert_eq!(with(|config| config.sse.reactphp_path = Some(String::new())), Reach::ThisMachine);
        for change in [
            (|config| config.listen = "[::]:0".parse().unwrap()) as fn(&mut Config),
            |config| config.listen = "192.0.2.1:7117".parse().unwrap(),
            |config| config.push.password = Some("tiger".into()),
            |config| config.auth.method = ClientAuth::Password("tiger".into()),
            |config| config.sse.path = PATH.into(),
            |config| config.sse.reactphp_path = Some(PATH.into()),
            |config| config.socketio.path = "/demo/socket.io/".into(),
        ] {
            assert_eq!(with(change), Reach::Off);
        }
    }

    #[test]
    fn what_the_operator_says_counts() {
        for (demo, expected) in [(true, Reach::Everyone), (false, Reach::Off)] {
            let listen = "[::]:7117".parse().unwrap();
            assert_eq!(Reach::of(&Config { demo: Some(demo), ..Config::default() }), expected);
            assert_eq!(Reach::of(&Config { demo: Some(demo), listen, ..Config::default() }), expected);
        }
    }
}
