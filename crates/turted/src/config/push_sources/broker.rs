//! Where a broker is, and who we are there: `url`, `url_file`, `ca`, `tls_cert`, `tls_key`.

use percent_encoding::percent_decode_str;

use super::keys::SourceSettings;
use super::kind::blame;
use crate::config::collect::Collected;
use crate::config::credentials::{read_secret, warn_if_readable};
use crate::config::error::Origin;
use crate::io::broker::{Broker, BrokerTls};
use crate::io::tls::{self, Tls};
use turted_core::secret::Secret;

/// What the URL of a broker begins with, and its ports.
pub(super) struct Schemes {
    pub(super) plain: (&'static str, u16),
    pub(super) tls: (&'static str, u16),
    /// The URL as people write it.
    pub(super) example: &'static str,
}

/// The broker of a source, and the path of its URL, without its first `/` and percent-decoded. Notes what is wrong.
pub(super) fn resolve(
    collected: &mut Collected,
    settings: &SourceSettings,
    schemes: &Schemes,
) -> Option<(Broker, Option<String>)> {
    let (key, url) = url(collected, settings)?;
    let parsed = Url::parse(url.reveal(), schemes);
    let url = parsed
        // What was found is not repeated: there may be a password in it.
        .map_err(|fault| {
            let what = format!("`sources.{key}`: expected {}: {fault}", schemes.example);
            blame(collected, settings, key, what);
        })
        .ok();
    let is_tls = url.as_ref().is_none_or(|url| url.is_tls);
    let tls = tls(collected, settings, (is_tls, schemes.tls.0));
    let (url, tls) = (url?, tls?);
    let Url { host, port, user, password, path, is_tls } = url;
    let broker = Broker { host, port, user, password, tls: is_tls.then_some(tls) };
    Some((broker, path))
}

fn url(collected: &mut Collected, settings: &SourceSettings) -> Option<(&'static str, Secret)> {
    let kind = settings.kind;
    match (&settings.url, &settings.url_file) {
        (None, None) => {
            let what = format!("a source of type {kind:?} needs `url` or `url_file`");
            blame(collected, settings, "url", what);
            None
        }
        (Some(_), Some(_)) => {
            let what = "`sources.url` and `sources.url_file` are both set; keep one of the two";
            blame(collected, settings, "url_file", what);
            None
        }
        (Some(url), None) => {
            let origin = settings.origins.get("url").cloned();
            if let Some(Origin::File { path, .. }) = origin.filter(|_| url.reveal().contains('@')) {
                warn_if_readable(collected, &path);
            }
            Some(("url", url.clone()))
        }
        (None, Some(path)) => match read_secret(path) {
            Ok(url) => {
                warn_if_readable(collected, path);
                Some(("url_file", url))
            }
            Err(error) => {
                let what = format!("`sources.url_file`: cannot read {}: {error}", path.display());
                blame(collected, settings, "url_file", what);
                None
            }
        },
    }
}

/// `None` if something is wrong.
fn tls(
    collected: &mut Collected,
    settings: &SourceSettings,
    (is_tls, scheme): (bool, &str),
) -> Option<BrokerTls> {
    let SourceSettings { ca, tls_cert, tls_key, .. } = settings;
    let files = [("ca", ca), ("tls_cert", tls_cert), ("tls_key", tls_key)];
    if let Some((key, _)) = files.iter().find(|(_, file)| file.is_some() && !is_tls) {
        let what = format!("`sources.{key}` has no effect without TLS: `url` begins with {scheme}:// then");
        blame(collected, settings, key, what);
        return None;
    }
    let identity = match (tls_cert, tls_key) {
        (Some(cert), Some(key)) => Some(Tls { cert: cert.clone(), key: key.clone() }),
        (None, None) => None,
        (given, _) => {
            let key = if given.is_some() { "tls_cert" } else { "tls_key" };
            blame(collected, settings, key, "`sources.tls_cert` and `sources.tls_key` belong together");
            return None;
        }
    };
    if let Err(error) = tls::broker_connector(ca.as_deref(), identity.as_ref()) {
        // Whom the system trusts may change before the broker is reached.
        if ca.is_some() || identity.is_some() {
            let key = if identity.is_some() { "tls_cert" } else { "ca" };
            blame(collected, settings, key, format!("TLS of the source: {error}"));
            return None;
        }
    }
    Some(BrokerTls { ca: ca.clone(), identity })
}

/// The broker that a URL names, with nothing said of trust yet, and the path behind it. What is wrong is told without any part
/// of the URL.
pub(super) fn parse(text: &str, schemes: &Schemes) -> Result<(Broker, Option<String>), &'static str> {
    let Url { host, port, user, password, path, is_tls } = Url::parse(text, schemes)?;
    let tls = is_tls.then(BrokerTls::default);
    Ok((Broker { host, port, user, password, tls }, path))
}

/// A URL, taken apart.
struct Url {
    is_tls: bool,
    user: Option<String>,
    password: Option<Secret>,
    host: String,
    port: u16,
    path: Option<String>,
}

impl Url {
    /// What is wrong is told without any part of the URL.
    fn parse(text: &str, schemes: &Schemes) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("there is no ://")?;
        let (is_tls, port) = match scheme {
            scheme if scheme == schemes.plain.0 => (false, schemes.plain.1),
            scheme if scheme == schemes.tls.0 => (true, schemes.tls.1),
            _ => return Err("it begins with something else"),
        };
        if rest.contains(['?', '#']) {
            return Err("? and # have no meaning in it; in a password write %3F and %23");
        }
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(decode(path)?)),
            None => (rest, None),
        };
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (user, password) = match user.map(|user| user.split_once(':').unwrap_or((user, ""))) {
            Some((user, password)) => (filled(decode(user)?), filled(decode(password)?).map(Secret::from)),
            None => (None, None),
        };
        let (host, port) = address_of(address, port)?;
        Ok(Self { is_tls, user, password, host, port, path })
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn decode(text: &str) -> Result<String, &'static str> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "it is not UTF-8")?;
    if decoded.contains(char::is_control) {
        Err("it has a control character")
    } else {
        Ok(decoded.into_owned())
    }
}

/// Host and port.
pub(in crate::config) fn address_of(text: &str, usual: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or("an address in brackets has no end")?,
        None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
    };
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == '%') {
        return Err("there is no host");
    }
    let port = match port.strip_prefix(':') {
        Some(port) => {
            port.parse().ok().filter(|port| *port > 0).ok_or("the port is no number from 1 to 65535")?
        }
        None if port.is_empty() => usual,
        None => return Err("behind the host comes a colon and a port"),
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: Schemes =
        Schemes { plain: ("redis", 6379), tls: ("rediss", 6380), example: "redis://HOST" };

    /// Whether TLS is spoken, user, password, host, port and path.
    fn parts(text: &str) -> Result<String, &'static str> {
        let Url { is_tls, user, password, host, port, path } = Url::parse(text, &SCHEMES)?;
        let password = password.map(|password| password.reveal().to_owned());
        Ok(format!("{is_tls} {user:?} {password:?} {host} {port} {path:?}"))
    }

    #[test]
    fn a_url_is_taken_apart_and_decoded() {
        for (text, expected) in [
            ("redis://h", "false None None h 6379 None"),
            ("rediss://h", "true None None h 6380 None"),
            ("redis://h:1/", r#"false None None h 1 Some("")"#),
            ("redis://:p@h/2", r#"false None Some("p") h 6379 Some("2")"#),
            ("redis://u:p%40%2f:@[::1]:7/a%20b", r#"false Some("u") Some("p@/:") ::1 7 Some("a b")"#),
            ("redis://u@[::1]", r#"false Some("u") None ::1 6379 None"#),
            ("redis://u:a@b@h", r#"false Some("u") Some("a@b") h 6379 None"#),
        ] {
            assert_eq!(parts(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_it() {
        for text in [
            "",
            "secret",
            "http://secret",
            "redis://",
            "redis://:secret@",
            "redis://secret:@:1",
            "redis://h:0",
            "redis://h:65536",
            "redis://h:secret",
            "redis://[::1",
            "redis://[::1]1",
            "redis://h?secret",
            "redis://h/#secret",
            "redis://:secret%ff@h",
            "redis://:secret%00@h",
            "redis://a b",
        ] {
            let fault = parts(text).expect_err(text);
            assert!(!fault.contains("secret"), "{text}: {fault}");
        }
    }
}
