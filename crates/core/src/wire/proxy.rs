//! The PROXY protocol, versions 1 and 2: the first bytes of a connection that a proxy made, which name the
//! client behind it (HAProxy's `doc/proxy-protocol.txt`, 2020/03/05).
//!
//! It does not decide whether the proxy is trusted: see [`crate::trust`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Bytes of a version 1 header, its line end included (section 2.1).
pub const V1_BYTES_MAX: usize = 107;
/// Bytes of a version 2 header. Addresses take 52. What follows them describes the connection; the longest
/// part is the name in a client certificate. Senders should stay below 536 (section 2.2).
pub const V2_BYTES_MAX: usize = 4096;

/// How every header of version 2 begins. No request of HTTP or TLS begins like this.
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;
const V1_START: &[u8] = b"PROXY ";

/// A complete header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// How many bytes the header takes. What follows belongs to the connection itself.
    pub bytes: usize,
    /// The client that connected to the proxy. `None` if the proxy made the connection for itself, for a
    /// health check say, or if there is no IP address.
    pub source: Option<SocketAddr>,
}

/// The rule that a header breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// There is no header: the connection starts with something else.
    #[error("no PROXY header")]
    Missing,
    /// The header is longer than one may be.
    #[error("the PROXY header is too long")]
    TooLong,
    /// The header does not follow the grammar of its version.
    #[error("malformed PROXY header")]
    Malformed,
}

/// Decodes the header at the start of `input`. `None` if the header is not complete yet; then all of `input`
/// belongs to it.
///
/// ```
/// use turted_core::wire::proxy::decode;
/// let header = decode(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\r\nGET /")?.expect("complete");
/// assert_eq!(header.bytes, 42);
/// assert_eq!(header.source, Some("192.0.2.7:40000".parse().unwrap()));
/// # Ok::<(), turted_core::wire::proxy::Violation>(())
/// ```
///
/// # Errors
/// The rule that `input` breaks, as soon as it is broken.
pub fn decode(input: &[u8]) -> Result<Option<Header>, Violation> {
    if starts_alike(input, V2_SIGNATURE) {
        return decode_v2(input);
    }
    if starts_alike(input, V1_START) {
        return decode_v1(input);
    }
    Err(Violation::Missing)
}

/// Whether `input` is the start of `start`, or starts with it.
fn starts_alike(input: &[u8], start: &[u8]) -> bool {
    input.iter().zip(start).all(|(is, expected)| is == expected)
}

fn decode_v1(input: &[u8]) -> Result<Option<Header>, Violation> {
    let window = &input[..input.len().min(V1_BYTES_MAX)];
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if window.len() == V1_BYTES_MAX { Err(Violation::TooLong) } else { Ok(None) };
    };
    let line = std::str::from_utf8(&input[V1_START.len()..end]).map_err(|_| Violation::Malformed)?;
    Ok(Some(Header { bytes: end + 2, source: v1_source(line).ok_or(Violation::Malformed)? }))
}

/// The source named after `PROXY `; the outer `None` is a line that does not follow the grammar.
fn v1_source(line: &str) -> Option<Option<SocketAddr>> {
    let mut fields = line.split(' ');
    let source = match fields.next()? {
        // What follows is ignored.
        "UNKNOWN" => return Some(None),
        "TCP4" => v1_addresses::<Ipv4Addr>(&mut fields)?,
        "TCP6" => v1_addresses::<Ipv6Addr>(&mut fields)?,
        _ => return None,
    };
    fields.next().is_none().then_some(Some(source))
}

fn v1_addresses<A>(fields: &mut std::str::Split<'_, char>) -> Option<SocketAddr>
where
    A: FromStr + Into<IpAddr>,
{
    let source: A = fields.next()?.parse().ok()?;
    let _destination: A = fields.next()?.parse().ok()?;
    let port = v1_port(fields.next()?)?;
    let _destination_port = v1_port(fields.next()?)?;
    Some(SocketAddr::new(source.into(), port))
}

/// A decimal number without sign or leading zero.
fn v1_port(text: &str) -> Option<u16> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain)
}

fn decode_v2(input: &[u8]) -> Result<Option<Header>, Violation> {
    // Each byte is checked as soon as it has arrived.
    if input.get(12).is_some_and(|version| version & 0xF0 != 0x20 || version & 0x0F > 1) {
        return Err(Violation::Malformed);
    }
    let Some((fixed, rest)) = input.split_at_checked(V2_FIXED_BYTES) else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if V2_FIXED_BYTES + length > V2_BYTES_MAX {
        return Err(Violation::TooLong);
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let source = v2_source(fixed[13], body)?;
    let is_local = fixed[12] & 0x0F == 0;
    Ok(Some(Header { bytes: V2_FIXED_BYTES + length, source: source.filter(|_| !is_local) }))
}

/// The source in the addresses of a family and protocol (section 2.2, byte 14).
fn v2_source(family: u8, body: &[u8]) -> Result<Option<SocketAddr>, Violation> {
    let (addresses, is_tcp) = match family {
        // Unspecified, and sockets without an IP address.
        0x00 => (0, false),
        0x31 | 0x32 => (216, false),
        0x11 => (12, true),
        0x21 => (36, true),
        // Datagrams: well formed, although turted has none.
        0x12 => (12, false),
        0x22 => (36, false),
        _ => return Err(Violation::Malformed),
    };
    let addresses = body.get(..addresses).ok_or(Violation::Malformed)?;
    if !is_tcp {
        return Ok(None);
    }
    let source = match addresses {
        [a, b, c, d, _, _, _, _, high, low, ..] if family == 0x11 => {
            SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), u16::from_be_bytes([*high, *low]))
        }
        _ => {
            let octets: [u8; 16] = addresses[..16].try_into().expect("36 bytes were taken");
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            SocketAddr::new(Ipv6Addr::from(octets).into(), port)
        }
    };
    Ok(Some(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    /// A version 2 header: version and command, family and protocol, addresses and the rest.
    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&V2_SIGNATURE[..], &[command, family], &length, body].concat()
    }

    const IPV4: [u8; 12] = [192, 0, 2, 7, 192, 0, 2, 1, 0x9C, 0x40, 0x01, 0xBB];

    fn ipv6() -> Vec<u8> {
        let [source, destination] = ["fd00::7", "fd00::1"].map(|text| text.parse::<Ipv6Addr>().unwrap());
        [&source.octets()[..], &destination.octets(), &[0x9C, 0x40, 0x01, 0xBB]].concat()
    }

    #[test]
    fn headers_of_version_1_name_the_source() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.7 192.0.2.1 40000 443", source("192.0.2.7:40000")),
            ("PROXY TCP6 fd00::7 fd00::1 40000 443", source("[fd00::7]:40000")),
            ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", source("255.255.255.255:65535")),
            ("PROXY TCP4 0.0.0.0 0.0.0.0 0 0", source("0.0.0.0:0")),
            ("PROXY UNKNOWN", None),
            ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535", None),
        ] {
            let input = format!("{line}\r\nGET / HTTP/1.1\r\n\r\n");
            let header = Header { bytes: line.len() + 2, source: expected };
            assert_eq!(decode(input.as_bytes()), Ok(Some(header)), "{line}");
        }
    }

    #[test]
    fn lines_outside_the_grammar_are_refused() {
        for line in [
            "PROXY ",
            "PROXY  TCP4 192.0.2.7 192.0.2.1 40000 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443 ",
            "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443 1",
            "PROXY TCP4 192.0.2.7 192.0.2.1 40000",
            "PROXY TCP4 192.0.2.7",
            "PROXY TCP4 192.0.2.07 192.0.2.1 40000 443",
            "PROXY TCP4 192.0.2 192.0.2.1 40000 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1 65536 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1 +1 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1 01 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1  443",
            "PROXY TCP4 fd00::7 fd00::1 40000 443",
            "PROXY TCP6 192.0.2.7 192.0.2.1 40000 443",
            "PROXY TCP5 192.0.2.7 192.0.2.1 40000 443",
            "PROXY tcp4 192.0.2.7 192.0.2.1 40000 443",
            "PROXY TCP4 192.0.2.7 192.0.2.1 40000 443\n",
        ] {
            assert_eq!(decode(format!("{line}\r\n").as_bytes()), Err(Violation::Malformed), "{line}");
        }
        assert_eq!(decode(b"PROXY TCP4 \xFF\r\n"), Err(Violation::Malformed));
    }

    #[test]
    fn headers_of_version_2_name_the_source() {
        let with_more = [&IPV4[..], &[0x04, 0, 1, 0]].concat();
        for (command, family, body, expected) in [
            (0x21, 0x11, IPV4.to_vec(), source("192.0.2.7:40000")),
            (0x21, 0x11, with_more, source("192.0.2.7:40000")),
            (0x21, 0x21, ipv6(), source("[fd00::7]:40000")),
            (0x20, 0x00, vec![], None),
            (0x20, 0x11, IPV4.to_vec(), None),
            (0x21, 0x00, vec![1, 2, 3], None),
            (0x21, 0x12, IPV4.to_vec(), None),
            (0x21, 0x22, ipv6(), None),
            (0x21, 0x31, vec![0; 216], None),
        ] {
            let input = v2(command, family, &body);
            let header = Header { bytes: input.len(), source: expected };
            let input = [&input[..], b"\x16\x03\x01"].concat();
            assert_eq!(decode(&input), Ok(Some(header)), "{command:x} {family:x}");
        }
    }

    #[test]
    fn broken_headers_of_version_2_are_refused() {
        for (command, family, body) in [
            (0x11, 0x11, &IPV4[..]),
            (0x22, 0x11, &IPV4[..]),
            (0x21, 0x11, &IPV4[..11]),
            (0x21, 0x21, &IPV4[..]),
            (0x21, 0x31, &[0; 215][..]),
            (0x21, 0x13, &IPV4[..]),
            (0x21, 0x41, &[0; 216][..]),
            (0x21, 0x01, &IPV4[..]),
        ] {
            let refused = decode(&v2(command, family, body));
            assert_eq!(refused, Err(Violation::Malformed), "{command:x} {family:x}");
        }
    }

    #[test]
    fn a_header_of_the_longest_length_is_read_and_one_byte_more_is_refused() {
        let longest = v2(0x21, 0x00, &[0; V2_BYTES_MAX - V2_FIXED_BYTES]);
        assert!(decode(&longest).is_ok_and(|header| header.is_some()));
        let longer = v2(0x21, 0x00, &[0; V2_BYTES_MAX - V2_FIXED_BYTES + 1]);
        assert_eq!(decode(&longer[..V2_FIXED_BYTES]), Err(Violation::TooLong));

        let unknown = |bytes: usize| format!("PROXY UNKNOWN {}\r\n", "x".repeat(bytes - 16));
        assert!(decode(unknown(V1_BYTES_MAX).as_bytes()).is_ok_and(|header| header.is_some()));
        assert_eq!(decode(unknown(V1_BYTES_MAX + 1).as_bytes()), Err(Violation::TooLong));
    }

    #[test]
    fn a_connection_without_header_is_known_by_its_first_bytes() {
        for input in [&b"G"[..], b"PROXZ", b"\x16\x03\x01", b"\r\nX", b"PROXY\t"] {
            assert_eq!(decode(input), Err(Violation::Missing), "{input:?}");
        }
        for input in [&b""[..], b"P", b"PROXY ", b"\r", b"\r\n\r\n\0\r\nQUIT\n", b"PROXY TCP4 1\r"] {
            assert_eq!(decode(input), Ok(None), "{input:?}");
        }
    }
}
