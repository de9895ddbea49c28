//! From keys that are valid one by one to a configuration that is valid as a whole.

use std::time::Duration;

use super::addresses::collide;
use super::channels;
use super::cluster;
use super::collect::Collected;
use super::credentials;
use super::files::TlsSettings;
use super::hooks;
use super::log_keys;
use super::model::{AdminListen, AllowOrigins, Config};
use super::push_keys;
use super::push_sources;
use super::settings::{ClientMethod, PushMethod};
use crate::auth::ClientAuth;
use crate::io::tls::{Certificates, Tls, TlsError};

/// Reads credentials, completes `collected.settings.config`, and notes everything that does not fit together.
pub(super) fn resolve(collected: &mut Collected) {
    credentials::resolve(collected);
    push_keys::resolve(collected);
    channels::resolve(collected);
    push_sources::resolve(collected);
    hooks::resolve(collected);
    log_keys::resolve(collected);
    cluster::resolve(collected);
    normalize_paths(&mut collected.settings.config);
    check_paths(collected);
    check_assets(collected);
    check_tls(collected);
    check_proxies(collected);
    check_relations(collected);
    check_exposure(collected);
    check_admin_exposure(collected);
    check_admin_place(collected);
    warn_of_opaque_origins(collected);
}

fn normalize_paths(config: &mut Config) {
    if !config.socketio.path.ends_with('/') {
        config.socketio.path.push('/');
    }
    let config_paths =
        [&mut config.push.path, &mut config.websocket.path, &mut config.sse.path, &mut config.sockjs.path];
    for path in config_paths {
        if path.ends_with('/') {
            path.pop();
        }
    }
}

/// No path may lie within another one: requests would not reach what they are for.
fn check_paths(collected: &mut Collected) {
    let config = &collected.settings.config;
    let mut paths = vec![
        ("push.path", format!("{}/", config.push.path)),
        ("socketio.path", config.socketio.path.clone()),
        ("websocket.path", format!("{}/", config.websocket.path)),
        ("sse.path", format!("{}/", config.sse.path)),
        ("sockjs.path", format!("{}/", config.sockjs.path)),
    ];
    if config.demo == Some(true) {
        // The streams of TURTED for reactphp have what nobody else serves, so only the page can take theirs.
        let streams = config.sse.reactphp_path.iter().filter(|path| path.starts_with("/demo"));
        paths.extend(streams.map(|path| ("sse.reactphp_path", format!("{path}/"))));
        paths.push(("demo", "/demo/".into()));
    }
    for (index, (key, path)) in paths.iter().enumerate() {
        for (other_key, other) in &paths[index + 1..] {
            if path.starts_with(other) || other.starts_with(path) {
                let what = format!("`{key}` = {path:?} and `{other_key}` = {other:?} overlap");
                collected.blame(&[key, other_key], what);
            }
        }
    }
}

fn check_assets(collected: &mut Collected) {
    if let Some(directory) = &collected.settings.config.assets_dir
        && !directory.is_dir()
    {
        let what = format!("`assets_dir`: {} is not a directory", directory.display());
        collected.blame(&["assets_dir"], what);
    }
}

/// Certificate and key: both or neither, and such that they can be used.
fn check_tls(collected: &mut Collected) {
    let TlsSettings { cert, key } = collected.settings.tls.clone();
    let (cert, key) = match (cert, key) {
        (Some(cert), Some(key)) => (cert, key),
        (None, None) => return,
        (Some(_), None) => {
            return collected.blame(&["tls_cert", "tls_key"], "`tls_cert` needs `tls_key`".into());
        }
        (None, Some(_)) => {
            return collected.blame(&["tls_key", "tls_cert"], "`tls_key` needs `tls_cert`".into());
        }
    };
    credentials::warn_if_readable(collected, &key);
    let tls = Tls { cert, key };
    if let Err(error) = Certificates::load(&tls) {
        let name = if matches!(error, TlsError::Key { .. }) { "tls_key" } else { "tls_cert" };
        collected.blame(&[name], format!("`{name}`: {error}"));
    }
    collected.settings.config.tls = Some(tls);
}

fn check_proxies(collected: &mut Collected) {
    let config = &collected.settings.config;
    if config.proxy_protocol && config.trusted_proxies.networks().is_empty() {
        let what = "`proxy_protocol` needs `trusted_proxies`: only these may send a PROXY header";
        collected.blame(&["proxy_protocol", "trusted_proxies"], what.into());
    }
}

/// One value that must not be above another.
pub(super) struct Relation {
    small: (&'static str, fn(&Config) -> usize),
    large: (&'static str, fn(&Config) -> usize),
    reason: &'static str,
}

/// The relations that `turted_core::limits` asserts for the defaults.
pub(super) const RELATIONS: [Relation; 10] = [
    Relation {
        small: ("auth.timeout", |config| match config.auth.method {
            ClientAuth::Http(_) => millis(config.auth.timeout),
            _ => 0,
        }),
        large: ("socketio.ping_timeout", |config| millis(config.socketio.ping_timeout)),
        reason: "the answer to a heartbeat waits behind an IDENT (both in milliseconds)",
    },
    Relation {
        small: ("limits.message_bytes", |config| config.limits.message_bytes),
        large: ("socketio.max_payload", |config| config.socketio.max_payload),
        reason: "a message must fit into a polling body",
    },
    Relation {
        small: ("limits.message_bytes", |config| config.limits.message_bytes),
        large: ("limits.outbox_bytes", |config| config.limits.outbox_bytes),
        reason: "an echo must fit into an outbox",
    },
    Relation {
        small: ("limits.channels_per_connection", |config| config.limits.channels_per_connection),
        large: ("limits.message_burst", |config| config.limits.message_burst as usize),
        reason: "joining all channels must not be a flood",
    },
    Relation {
        small: ("limits.batch_dispatches", |config| config.limits.batch_dispatches),
        large: ("limits.inbox_dispatches", |config| config.limits.inbox_dispatches),
        reason: "a batch must fit into an inbox",
    },
    Relation {
        small: ("limits.push_body_bytes", |config| config.limits.push_body_bytes),
        large: ("limits.expansion_bytes", |config| config.limits.expansion_bytes),
        reason: "a push to one target must not be too large",
    },
    Relation {
        small: ("limits.push_body_bytes", |config| config.limits.push_body_bytes),
        large: ("limits.bodies_bytes", |config| config.limits.bodies_bytes),
        reason: "a push must be readable while no other is read",
    },
    Relation {
        small: ("socketio.max_payload", |config| config.socketio.max_payload),
        large: ("limits.bodies_bytes", |config| config.limits.bodies_bytes),
        reason: "a polling body must be readable while no other is read",
    },
    Relation {
        small: ("limits.outbox_bytes", |config| match config.limits.backlog_bytes {
            Some(_) => config.limits.outbox_bytes,
            None => 0,
        }),
        large: ("limits.backlog_bytes", |config| config.limits.backlog_bytes.unwrap_or(usize::MAX)),
        reason: "what waits for one connection is part of what waits for all",
    },
    Relation {
        small: ("limits.request_uri_bytes", |config| config.limits.request_uri_bytes),
        large: ("limits.request_head_bytes", |config| config.limits.request_head_bytes),
        reason: "a request target is part of the head",
    },
];

fn millis(duration: Duration) -> usize {
    usize::try_from(duration.as_millis()).unwrap_or(usize::MAX)
}

fn check_relations(collected: &mut Collected) {
    for Relation { small, large, reason } in &RELATIONS {
        let config = &collected.settings.config;
        let (below, above) = (small.1(config), large.1(config));
        if below > above {
            let what = format!("`{}` = {below} is above `{}` = {above}: {reason}", small.0, large.0);
            collected.blame(&[small.0, large.0], what);
        }
    }
}

/// Other machines may connect only with credentials, unless the operator says otherwise.
fn check_exposure(collected: &mut Collected) {
    let config = &collected.settings.config;
    if config.insecure || config.listen.ip().to_canonical().is_loopback() {
        return;
    }
    let (mut open, mut remedies) = (Vec::new(), Vec::new());
    // The settings are looked at, not the configuration: a secret that cannot be read is a problem of its own.
    if collected.settings.auth.method == ClientMethod::Accept && !collected.is_broken(&["auth"]) {
        open.push(r#"be any user (`auth.method` = "accept")"#);
        remedies.push(r#"`auth.method` to "password", "token", "jwt" or "http" and what it needs"#);
    }
    if collected.settings.push.method == PushMethod::None && !collected.is_broken(&["push"]) {
        open.push(r#"push (`push.method` = "none")"#);
        remedies.push("`push.password_file` or TURTED_PUSH_PASSWORD");
    }
    if !open.is_empty() {
        let what = format!(
            "`listen` = \"{}\" lets other machines in, and everyone may {}; set {}, or accept it with --insecure",
            config.listen,
            open.join(" and "),
            remedies.join(", and "),
        );
        collected.blame(&["listen", "insecure"], what);
    }
}

/// The admin listener tells metrics: other machines must show a token, or the configuration accepts that they read them.
fn check_admin_exposure(collected: &mut Collected) {
    let config = &collected.settings.config;
    let Some(address) = config.admin.listen.address() else { return };
    let tokens = [&collected.settings.admin_token, &collected.settings.admin_write_token];
    let has_token = tokens.iter().any(|token| token.text.is_some() || token.file.is_some());
    if config.insecure || has_token || address.ip().to_canonical().is_loopback() {
        return;
    }
    let what = format!(
        "`admin_listen` = \"{address}\" lets other machines read metrics without a token; set `admin_token_file`, \
         or accept it with --insecure"
    );
    collected.blame(&["admin_listen", "insecure", "admin_token", "admin_token_file"], what);
}

fn check_admin_place(collected: &mut Collected) {
    let config = &collected.settings.config;
    let (listen, AdminListen::At(admin)) = (config.listen, config.admin.listen) else { return };
    if collide(listen, admin) {
        let what =
            format!("`admin_listen` = \"{admin}\" is where `listen` = \"{listen}\" is; choose another port");
        collected.blame(&["admin_listen", "listen"], what);
    }
}

fn warn_of_opaque_origins(collected: &mut Collected) {
    let AllowOrigins::Only(listed) = &collected.settings.config.allow_origins else { return };
    if listed.iter().any(|origin| origin == "null") {
        let warning = "`allow_origins` lists \"null\": every page can send that from a sandboxed frame, so all pages may connect";
        collected.warnings.push(warning.to_owned());
    }
}
