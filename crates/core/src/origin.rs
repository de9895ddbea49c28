//! Origins of pages (RFC 6454 7, the header `Origin`) and the authorities that requests are for (`Host`,
//! `:authority`): read strictly, and compared. What a page may do is decided by the callers.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The ports that a client leaves out of `Host`: those of http and https.
const DEFAULT_PORTS: [u16; 2] = [80, 443];
/// Digits of the largest port.
const PORT_DIGITS_MAX: usize = 5;

/// A host and a port, as `Host` and `:authority` have them.
///
/// ```
/// use turted_core::origin::Authority;
/// let authority = Authority::parse("LOCALHOST:7117").unwrap();
/// assert!(authority.is_loopback());
/// assert!(Authority::parse("user@localhost").is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Authority<'a> {
    /// A name, an IPv4 address, or an IPv6 address in brackets. Never empty.
    host: &'a str,
    /// `None` where there is none, or an empty one.
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Reads `host`, `host:port` or `[address]:port` (RFC 3986 3.2, without user information); `None` for any
    /// other text.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, behind) = rest.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (&text[..address.len() + 2], behind)
            }
            None => {
                let (host, behind) = text.split_at(text.find(':').unwrap_or(text.len()));
                is_name(host).then_some((host, behind))?
            }
        };
        Some(Self { host, port: read_port(port)? })
    }

    /// Whether it names the client's own machine: `localhost`, also with a dot behind it, or a loopback
    /// address.
    ///
    /// Names below `localhost` do not count. Some resolvers send them to name servers, although RFC 6761 6.3
    /// forbids it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let bare = self.host.trim_start_matches('[').trim_end_matches(']');
        match bare.parse::<IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self.host.strip_suffix('.').unwrap_or(self.host).eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Whether a text may be the name of a host: visible ASCII without the characters that have a meaning in URLs
/// and lists.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/\\?#@[]:,\"*".contains(&byte);
    !text.is_empty() && text.bytes().all(plain)
}

/// Reads the text behind a host: empty, or a colon and a port, which may be empty (RFC 3986 3.2.3).
fn read_port(text: &str) -> Option<Option<u16>> {
    if text.is_empty() || text == ":" {
        return Some(None);
    }
    let digits = text.strip_prefix(':')?;
    let plain = digits.len() <= PORT_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok())?.map(Some)
}

/// The origin of a page: scheme, host and port.
///
/// ```
/// use turted_core::origin::{Authority, Origin};
/// let origin = Origin::parse("https://Example.com:443").unwrap();
/// assert_eq!(origin.to_string(), "https://example.com");
/// assert!(origin.is_of(&Authority::parse("example.com").unwrap()));
/// assert!(Origin::parse("null").is_none());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    scheme: &'a str,
    authority: Authority<'a>,
}

impl<'a> Origin<'a> {
    /// Reads `scheme://host` or `scheme://host:port`; `None` for `null` and any other text.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
        let is_scheme =
            scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(plain);
        is_scheme.then_some(Self { scheme, authority: Authority::parse(authority)? })
    }

    /// Whether the page comes from the host that a request is for: the same host and the same port, by http
    /// or https. The two schemes count alike, because a proxy may speak TLS for the server. So if `authority`
    /// has no port, the default port of either scheme matches.
    #[must_use]
    pub fn is_of(&self, authority: &Authority<'_>) -> bool {
        let is_same_port = match (self.default_port().and(self.port()), authority.port) {
            (None, _) => false,
            (Some(own), None) => DEFAULT_PORTS.contains(&own),
            (Some(own), Some(port)) => own == port,
        };
        is_same_port && self.authority.host.eq_ignore_ascii_case(authority.host)
    }

    /// Whether it is the same origin as `other`.
    #[must_use]
    pub fn is(&self, other: &Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority.host.eq_ignore_ascii_case(other.authority.host)
            && self.port() == other.port()
    }

    /// The port. Where it is left out, the default port of the scheme.
    fn port(&self) -> Option<u16> {
        self.authority.port.or_else(|| self.default_port())
    }

    fn default_port(&self) -> Option<u16> {
        let is = |scheme| self.scheme.eq_ignore_ascii_case(scheme);
        let [http, https] = DEFAULT_PORTS;
        is("http").then_some(http).or_else(|| is("https").then_some(https))
    }
}

impl fmt::Display for Origin<'_> {
    /// Writes it as browsers send it: in lower case, and without the default port of its scheme.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.scheme.to_ascii_lowercase(), self.authority.host.to_ascii_lowercase());
        write!(formatter, "{scheme}://{host}")?;
        match self.authority.port.filter(|port| Some(*port) != self.default_port()) {
            Some(port) => write!(formatter, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_loopback_by_its_name_or_its_address() {
        for (text, expected) in [
            ("localhost", true),
            ("LocalHost:7117", true),
            ("localhost.", true),
            ("localhost.:7117", true),
            ("localhost:", true),
            ("127.0.0.1", true),
            ("127.1.2.3:7117", true),
            ("[::1]:7117", true),
            ("[0:0:0:0:0:0:0:1]", true),
            ("[::ffff:127.0.0.1]:7117", true),
            ("localhost..", false),
            ("a.localhost", false),
            ("localhost.evil.example:7117", false),
            ("127.0.0.1.evil.example", false),
            ("evil.example", false),
            ("127.1", false),
            ("0.0.0.0:7117", false),
            ("10.0.0.1", false),
            ("[::]:7117", false),
            ("[fd00::1]", false),
            ("2130706433", false),
        ] {
            let authority = Authority::parse(text);
            assert_eq!(authority.map(|authority| authority.is_loopback()), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_authority_is_refused() {
        for text in [
            "",
            ":",
            ":80",
            "a b",
            "a:80:90",
            "a:+80",
            "a:-1",
            "a:65536",
            "a:000080",
            "a:x",
            "::1",
            "[::1",
            "[::1]x",
            "[::1]7117",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "[]",
            "user@localhost",
            "localhost/",
            "localhost?",
            "localhost#",
            "localhost\\",
            "localhost,evil.example",
            "*",
            "é.example",
            "a\t",
        ] {
            assert_eq!(Authority::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_own_host_is_the_same_name_and_port_whatever_the_scheme() {
        for (origin, host, expected) in [
            ("http://localhost:7117", "localhost:7117", true),
            ("http://LOCALHOST:7117", "localhost:7117", true),
            ("https://a.example", "a.example", true),
            ("http://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("http://a.example", "a.example:80", true),
            ("https://a.example:443", "a.example", true),
            ("https://a.example", "A.example:", true),
            ("http://[::1]:7117", "[::1]:7117", true),
            ("http://a.example:7117", "a.example", false),
            ("http://a.example", "a.example:7117", false),
            ("http://a.example", "a.example:443", false),
            ("http://127.0.0.1:7118", "127.0.0.1:7117", false),
            ("http://localhost:7117", "127.0.0.1:7117", false),
            ("http://a.example.evil.example", "a.example", false),
            ("http://evil.a.example", "a.example", false),
            ("app://a.example", "a.example", false),
            ("app://a.example:80", "a.example", false),
        ] {
            let (page, authority) = (Origin::parse(origin).unwrap(), Authority::parse(host).unwrap());
            assert_eq!(page.is_of(&authority), expected, "{origin} {host}");
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "null",
            "",
            "https://",
            "https://a.example/",
            "https://a.example/path",
            "https://user@a.example",
            "https://a.example https://b.example",
            "https://a.example, https://b.example",
            "https:a.example",
            "://a.example",
            "1http://a.example",
            "ht tp://a.example",
            "file://",
        ] {
            assert!(Origin::parse(text).is_none(), "{text:?}");
        }
    }

    #[test]
    fn an_origin_is_shown_as_browsers_send_it() {
        for (text, shown) in [
            ("HTTPS://A.example:443", "https://a.example"),
            ("http://a.example:80", "http://a.example"),
            ("http://a.example:443", "http://a.example:443"),
            ("https://a.example:", "https://a.example"),
            ("http://[::1]:7117", "http://[::1]:7117"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
    }
}
