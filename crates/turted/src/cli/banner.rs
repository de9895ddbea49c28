//! What the operator sees at the start: every endpoint, the credentials it needs, and loudly what is open.

use std::net::SocketAddr;

use crate::config::{ClientAuth, ClusterConfig, Config, Push, PushSource};
use crate::server::demo::{PATH, Reach};

/// The banner of a server that listens on `bound`, for operators on `admin` if it is there; the
/// configuration may have asked for port 0.
#[must_use]
pub fn banner(config: &Config, bound: SocketAddr, admin: Option<SocketAddr>) -> String {
    let mut lines = vec![
        format!("turted {}, workers: {}", env!("CARGO_PKG_VERSION"), config.workers),
        format!("listening on {}://{bound}", if config.tls.is_some() { "https" } else { "http" }),
        endpoint(&config.socketio.path, "Socket.IO clients", client_credentials(config)),
        endpoint(&config.websocket.path, "WebSocket clients", client_credentials(config)),
        endpoint(&config.sse.path, "event streams", client_credentials(config)),
        endpoint(&config.sockjs.path, "SockJS clients", client_credentials(config)),
        endpoint(&format!("{}/", config.push.path), "REST push", push_credentials(config)),
    ];
    if let Some(path) = &config.sse.reactphp_path {
        let streams = endpoint(&format!("{path}/"), "reactphp streams", client_credentials(config));
        lines.insert(lines.len() - 1, streams);
    }
    lines.extend(demo(config, bound));
    if !config.sources.is_empty() {
        lines.push("sources".to_owned());
        lines.extend(config.sources.iter().map(source));
    }
    if !config.hooks.is_empty() {
        lines.push("hooks".to_owned());
        lines.extend(config.hooks.iter().map(|hook| format!("  {:<14} {}", hook.name, hook.url.shown())));
    }
    if let Some(admin) = admin {
        lines.push(format!("admin on http://{admin}"));
        lines.push(endpoint("/", "page, metrics, API", admin_credentials(config, admin)));
    }
    lines.extend(warning(config, bound));
    lines.join("\n") + "\n"
}

/// A node's place among others: the prefix and the log that it shares with them, and where they call it.
pub(crate) fn cluster(cluster: &ClusterConfig, number: u16, calls: Option<SocketAddr>) -> String {
    let calls = cluster
        .advertise
        .or(calls)
        .map(|address| format!(", other nodes call it at {address}"))
        .unwrap_or_default();
    format!("node {number} of the cluster {} in {}{calls}\n", cluster.prefix, cluster.redis())
}

/// Where the demo is, as a browser has it.
fn demo(config: &Config, bound: SocketAddr) -> Option<String> {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let host = match bound.ip() {
        ip if ip.is_unspecified() => format!("localhost:{}", bound.port()),
        _ => bound.to_string(),
    };
    (Reach::of(config) != Reach::Off).then(|| format!("demo on {scheme}://{host}{PATH}"))
}

fn endpoint(path: &str, what: &str, credentials: &str) -> String {
    format!("  {path:<14} {what:<18} {credentials}")
}

fn source(source: &PushSource) -> String {
    let credentials = match (source.require_auth, source.kind.is_open()) {
        (true, _) => "needs the password",
        (false, true) => "OPEN: everyone who reaches it may push",
        (false, false) => "trusted",
    };
    let what = format!("{} {}", source.kind.name(), source.kind.address());
    format!("  {:<14} {what:<18} {credentials}", source.name)
}

fn client_credentials(config: &Config) -> &'static str {
    match config.auth.method {
        ClientAuth::Accept => "OPEN: everyone may IDENT as any user",
        ClientAuth::Password(_) => "IDENT needs the password",
        ClientAuth::Token(_) => "IDENT needs a token",
        ClientAuth::Jwt(_) => "IDENT needs a JSON Web Token",
        ClientAuth::Http(_) => "IDENT is decided by the backend",
    }
}

fn push_credentials(config: &Config) -> &'static str {
    match &config.push {
        push if push.is_open() => "OPEN: everyone may push",
        Push { url: Some(_), .. } => "is decided by the backend",
        Push { keys, .. } if keys.is_empty() => "needs the password",
        Push { .. } => "needs a password",
    }
}

fn admin_credentials(config: &Config, admin: SocketAddr) -> &'static str {
    match (&config.admin.token, &config.admin.write_token) {
        (None, None) if admin.ip().to_canonical().is_loopback() => "OPEN: everyone may read",
        (None, None) => "OPEN: everyone may read metrics; the rest needs a token, and none is set",
        _ => "needs the token",
    }
}

fn warning(config: &Config, bound: SocketAddr) -> Option<String> {
    let mut remedies = Vec::new();
    if config.auth.method == ClientAuth::Accept {
        remedies.push("auth.method");
    }
    if config.push.is_open() {
        remedies.push("push.password_file");
    }
    if remedies.is_empty() {
        return None;
    }
    let reach = if bound.ip().to_canonical().is_loopback() {
        "on this machine"
    } else {
        "ON ANY MACHINE THAT REACHES IT"
    };
    Some(format!("WARNING: no credentials needed {reach}; to change that set {}", remedies.join(" and ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Hook, Secret};

    #[test]
    fn an_open_server_says_so_loudly() {
        let config = Config { workers: 2, ..Config::default() };
        assert_eq!(
            banner(&config, "127.0.0.1:40000".parse().unwrap(), "127.0.0.1:40001".parse().ok()),
            format!(
                "turted {}, workers: 2\n\
                 listening on http://127.0.0.1:40000\n  \
                 /socket.io/    Socket.IO clients  OPEN: everyone may IDENT as any user\n  \
                 /ws            WebSocket clients  OPEN: everyone may IDENT as any user\n  \
                 /sse           event streams      OPEN: everyone may IDENT as any user\n  \
                 /turted        SockJS clients     OPEN: everyone may IDENT as any user\n  \
                 /push/         REST push          OPEN: everyone may push\n\
                 demo on http://127.0.0.1:40000/demo\n\
                 admin on http://127.0.0.1:40001\n  \
                 /              page, metrics, API OPEN: everyone may read\n\
                 WARNING: no credentials needed on this machine; to change that set auth.method and push.password_file\n",
                env!("CARGO_PKG_VERSION")
            )
        );
    }

    #[test]
    fn of_an_admin_listener_that_others_reach_only_metrics_are_open() {
        let open = |admin: &str| {
            let (public, admin) = ("127.0.0.1:7117".parse().unwrap(), admin.parse().ok());
            banner(&Config::default(), public, admin)
                .contains("everyone may read metrics; the rest needs a token")
        };
        assert!(open("0.0.0.0:7118") && open("[::]:7118"));
        assert!(!open("127.0.0.1:7118") && !open("[::1]:7118"));
    }

    #[test]
    fn every_path_that_is_served_is_named() {
        let mut config = Config::default();
        config.sse.reactphp_path = Some("/events".to_owned());
        let banner = banner(&config, "127.0.0.1:7117".parse().unwrap(), None);
        assert!(banner.contains("\n  /events/       reactphp streams   OPEN"), "{banner}");
    }

    #[test]
    fn a_hook_is_named_without_what_may_be_secret() {
        let hook = Hook {
            name: "app".to_owned(),
            url: "https://app.example/turted?key=canary".parse().unwrap(),
            secrets: vec![Secret::from("canary")],
            dispatches: Vec::new(),
            clients: Vec::new(),
            grace: std::time::Duration::ZERO,
            ca: None,
            node: None,
        };
        let config = Config { hooks: vec![hook], ..Config::default() };
        let banner = banner(&config, "127.0.0.1:7117".parse().unwrap(), None);
        assert!(banner.contains("\nhooks\n  app            https://app.example/turted\n"), "{banner}");
        assert!(!banner.contains("canary"), "{banner}");
    }

    #[test]
    fn a_server_open_to_the_network_shouts() {
        let banner = banner(&Config::default(), "[::]:7117".parse().unwrap(), None);
        assert!(banner.contains("listening on http://[::]:7117\n"), "{banner}");
        assert!(banner.contains("ON ANY MACHINE"), "{banner}");
    }

    #[test]
    fn the_demo_is_named_as_a_browser_reaches_it() {
        let tls = Some(crate::config::Tls { cert: "cert.pem".into(), key: "key.pem".into() });
        let config = Config { tls, demo: Some(true), ..Config::default() };
        for (bound, url) in
            [("[::]:7117", "https://localhost:7117/demo"), ("192.0.2.1:443", "https://192.0.2.1:443/demo")]
        {
            let banner = banner(&config, bound.parse().unwrap(), None);
            assert!(banner.contains(&format!("\ndemo on {url}\n")), "{banner}");
        }
        let off = Config { demo: Some(false), ..Config::default() };
        assert!(!banner(&off, "127.0.0.1:7117".parse().unwrap(), None).contains("demo"));
    }

    #[test]
    fn a_server_with_a_certificate_is_reached_by_https() {
        let tls = Some(crate::config::Tls { cert: "cert.pem".into(), key: "key.pem".into() });
        let banner = banner(&Config { tls, ..Config::default() }, "127.0.0.1:7117".parse().unwrap(), None);
        assert!(banner.contains("listening on https://127.0.0.1:7117\n"), "{banner}");
    }

    #[test]
    fn a_protected_server_is_quiet_and_shows_no_secret() {
        let mut config = Config::default();
        config.auth.method = ClientAuth::Password(Secret::from("canary"));
        config.push.password = Some(Secret::from("canary"));
        let banner = banner(&config, "127.0.0.1:7117".parse().unwrap(), None);
        assert!(!banner.contains("WARNING"), "{banner}");
        assert!(!banner.contains("/demo"), "{banner}");
        assert!(!banner.contains("canary"), "{banner}");
    }
}
