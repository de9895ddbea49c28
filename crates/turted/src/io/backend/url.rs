//! The address of a backend that is asked over HTTP.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use rustls::pki_types::ServerName;

/// An address such as `http://127.0.0.1:8080/auth/turted` or `https://app.example/turted`.
///
/// ```
/// use turted::authenticator::HttpUrl;
/// let url: HttpUrl = "http://[::1]:8080/auth".parse().unwrap();
/// assert_eq!((url.host(), url.port(), url.is_https()), ("::1", 8080, false));
/// let url: HttpUrl = "https://app.example/turted".parse().unwrap();
/// assert_eq!((url.host(), url.port(), url.is_https()), ("app.example", 443, true));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    is_https: bool,
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl HttpUrl {
    /// Whether the backend is spoken to over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host to connect to: a name or an address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the backend is on this machine by what is written: the host is a loopback address, or `localhost`. Other
    /// names are not looked up, because what they mean may change.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<IpAddr>();
        address.map_or(self.host.eq_ignore_ascii_case("localhost"), |ip| ip.to_canonical().is_loopback())
    }

    /// The URL without its query, which may hold a secret.
    pub(crate) fn shown(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{scheme}://{}{path}", self.authority)
    }

    /// The `Host` header.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        &self.target
    }
}

impl FromStr for HttpUrl {
    type Err = UrlRefusal;

    fn from_str(text: &str) -> Result<Self, UrlRefusal> {
        let uri: Uri = text.parse().map_err(|_| UrlRefusal::Malformed)?;
        let (is_https, usual_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(UrlRefusal::Malformed),
        };
        let authority = uri.authority().ok_or(UrlRefusal::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlRefusal::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that cannot be read is reported as none, but the text shows that there is one.
        let has_port = authority.as_str() != authority.host();
        let port = if has_port { authority.port_u16().unwrap_or(0) } else { usual_port };
        let is_nameable = !is_https || ServerName::try_from(host).is_ok();
        if host.is_empty() || port == 0 || !is_nameable {
            return Err(UrlRefusal::Malformed);
        }
        Ok(Self {
            text: text.to_owned(),
            is_https,
            host: host.to_owned(),
            port,
            authority: authority.to_string(),
            target: uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        })
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// Why a text is no address of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// It is no URL with a host.
    #[error("expected a URL such as \"http://127.0.0.1:8080/auth\"")]
    Malformed,
    /// It carries a user name or a password.
    #[error("a URL must not carry credentials")]
    Credentials,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_and_no_credentials() {
        let url: HttpUrl = "http://backend/auth?app=1".parse().unwrap();
        assert_eq!((url.host(), url.port(), url.target()), ("backend", 80, "/auth?app=1"));
        assert_eq!("http://b:81".parse::<HttpUrl>().unwrap().target(), "/");
        let url: HttpUrl = "https://backend:8443/auth?app=canary".parse().unwrap();
        assert_eq!((url.port(), url.shown()), (8443, "https://backend:8443/auth".to_owned()));
        for (text, refusal) in [
            ("", UrlRefusal::Malformed),
            ("backend", UrlRefusal::Malformed),
            ("/auth", UrlRefusal::Malformed),
            ("ftp://backend/", UrlRefusal::Malformed),
            ("http://", UrlRefusal::Malformed),
            ("https://", UrlRefusal::Malformed),
            ("http://backend:0/", UrlRefusal::Malformed),
            ("http://backend:99999/", UrlRefusal::Malformed),
            ("http://back end/", UrlRefusal::Malformed),
            // No certificate can have this name.
            ("https://-backend-/", UrlRefusal::Malformed),
            ("http://user:canary@backend/", UrlRefusal::Credentials),
            ("https://user:canary@backend/", UrlRefusal::Credentials),
        ] {
            assert_eq!(text.parse::<HttpUrl>(), Err(refusal), "{text}");
        }
    }

    #[test]
    fn loopback_is_an_address_that_is_written_out_or_localhost() {
        let is_loopback = |host: &str| format!("http://{host}/").parse::<HttpUrl>().unwrap().is_loopback();
        for host in ["127.0.0.1", "127.9.9.9:80", "[::1]", "[::ffff:127.0.0.1]", "localhost", "LocalHost:8"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["192.0.2.1", "[::]", "0.0.0.0", "localhost.example", "127.0.0.1.example", "2130706433"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
