//! The address of a backend that verifies IDENTs.

use std::fmt;
use std::str::FromStr;

use hyper::Uri;

/// An address such as `http://127.0.0.1:8080/auth/turted`.
///
/// ```
/// use turted::authenticator::HttpUrl;
/// let url: HttpUrl = "http://[::1]:8080/auth".parse().unwrap();
/// assert_eq!((url.host(), url.port()), ("::1", 8080));
/// assert!("https://example.com/".parse::<HttpUrl>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpUrl {
    text: String,
    host: String,
    port: u16,
    authority: String,
    target: String,
}

impl HttpUrl {
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
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(UrlRefusal::Https),
            _ => return Err(UrlRefusal::Malformed),
        }
        let authority = uri.authority().ok_or(UrlRefusal::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlRefusal::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        // A port that cannot be read is reported as none, but the text shows that there is one.
        let has_port = authority.as_str() != authority.host();
        let port = if has_port { authority.port_u16().unwrap_or(0) } else { 80 };
        if host.is_empty() || port == 0 {
            return Err(UrlRefusal::Malformed);
        }
        Ok(Self {
            text: text.to_owned(),
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
    /// It asks for TLS.
    #[error("https is not supported: reach the backend inside its network, or through a local proxy")]
    Https,
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
        for (text, refusal) in [
            ("", UrlRefusal::Malformed),
            ("backend", UrlRefusal::Malformed),
            ("/auth", UrlRefusal::Malformed),
            ("ftp://backend/", UrlRefusal::Malformed),
            ("http://", UrlRefusal::Malformed),
            ("http://backend:0/", UrlRefusal::Malformed),
            ("http://backend:99999/", UrlRefusal::Malformed),
            ("http://back end/", UrlRefusal::Malformed),
            ("https://backend/", UrlRefusal::Https),
            ("http://user:canary@backend/", UrlRefusal::Credentials),
        ] {
            assert_eq!(text.parse::<HttpUrl>(), Err(refusal), "{text}");
        }
    }
}
