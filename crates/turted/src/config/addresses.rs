//! Addresses to listen on and origins of pages, as an operator writes them.

use std::net::{Ipv4Addr, SocketAddr};

use super::model::{AdminListen, AllowOrigins};
use super::text::show_list;
use turted_core::origin::Origin;

/// What pages without an origin of their own say in `Origin`: those in a sandbox, in a file, or from a `data:` URL.
/// Web views of apps say `file://`.
const OPAQUE: [&str; 2] = ["null", "file://"];

/// What becomes of pages without an origin of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opaque {
    /// They may be listed.
    Listable,
    /// They may not be listed: any page can show one of them in a sandboxed frame.
    Refused,
}

/// An address and a port. The only name that is taken for an address is `localhost`.
pub(super) fn parse_address(text: &str) -> Option<SocketAddr> {
    match text.split_once(':') {
        Some((host, port)) if host.eq_ignore_ascii_case("localhost") => {
            Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)))
        }
        _ => text.parse().ok(),
    }
}

/// An address; an empty text means off.
pub(super) fn parse_admin_listen(text: &str) -> Option<AdminListen> {
    if text.is_empty() { Some(AdminListen::Off) } else { parse_address(text).map(AdminListen::At) }
}

/// Whether a socket at one of two addresses is in the way of one at the other. `[::]` takes IPv4 too.
pub(super) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |all: SocketAddr, one: SocketAddr| {
        all.ip().is_unspecified() && (all.is_ipv6() || one.ip().to_canonical().is_ipv4())
    };
    let same = one.ip().to_canonical() == other.ip().to_canonical();
    one.port() == other.port() && one.port() != 0 && (same || covers(one, other) || covers(other, one))
}

/// `*` alone, or origins as browsers send them: scheme, host and port, without a path.
///
/// # Errors
/// What is wrong with the first entry that is no origin.
pub(super) fn parse_origins(list: &[&str], opaque: Opaque) -> Result<AllowOrigins, String> {
    if list == ["*"] {
        return Ok(AllowOrigins::Any);
    }
    let origins: Result<_, _> = list.iter().map(|text| parse_origin(text, opaque)).collect();
    origins.map(AllowOrigins::Only)
}

/// What is wrong with the first of `list` that is no origin.
pub(super) fn fault_of_origins(list: &[&str], opaque: Opaque) -> Option<String> {
    parse_origins(list, opaque).err()
}

/// An origin as browsers send it, however it is written.
fn parse_origin(text: &str, opaque: Opaque) -> Result<String, String> {
    if let Some(name) = OPAQUE.iter().find(|name| name.eq_ignore_ascii_case(text)) {
        return match opaque {
            Opaque::Listable => Ok((*name).to_owned()),
            Opaque::Refused => Err(format!(
                "{name:?} is what every page can send from a sandboxed frame, so it would let all pages push"
            )),
        };
    }
    let origin = Origin::parse(text).map(|origin| origin.to_string());
    origin.ok_or_else(|| fault_of_origin(text))
}

fn fault_of_origin(text: &str) -> String {
    let is_origin = |text: &str| Origin::parse(text).is_some();
    if text == "*" {
        return "\"*\" must be the only entry".to_owned();
    }
    if is_origin(&format!("https://{text}")) {
        return format!("{text:?} has no scheme: \"https://{text}\"");
    }
    let slash = text.find("://").and_then(|end| Some(end + 3 + text.get(end + 3..)?.find('/')?));
    match slash.map(|slash| text.split_at(slash)) {
        Some((origin, "/")) if is_origin(origin) => {
            format!("{text:?} has a slash at its end, an origin has none: {origin:?}")
        }
        Some((origin, _)) if is_origin(origin) => {
            format!("{text:?} has a path, an origin has none: {origin:?}")
        }
        _ => format!("{text:?} is no origin"),
    }
}

pub(super) fn show_origins(origins: &AllowOrigins) -> String {
    match origins {
        AllowOrigins::Any => r#"["*"]"#.into(),
        AllowOrigins::Only(list) => show_list(list),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_is_an_address_and_no_other_name_is() {
        for text in ["localhost:7117", "LocalHost:7117", "127.0.0.1:7117"] {
            assert_eq!(parse_address(text), Some(SocketAddr::from(([127, 0, 0, 1], 7117))), "{text}");
        }
        for text in ["localhost", "localhost:", "localhost:65536", "example.com:80", "localhost.:1", ":1"] {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn two_sockets_collide_where_one_covers_the_other() {
        let collide = |one: &str, other: &str| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(collide(one, other), collide(other, one));
            collide(one, other)
        };
        for (one, other) in [
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "127.0.0.1:1"),
            ("[::]:1", "0.0.0.0:1"),
            ("[::]:1", "[::1]:1"),
            ("[::ffff:127.0.0.1]:1", "0.0.0.0:1"),
        ] {
            assert!(collide(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("127.0.0.1:1", "127.0.0.1:2"),
            ("127.0.0.1:0", "127.0.0.1:0"),
            ("127.0.0.1:1", "127.0.0.2:1"),
            ("0.0.0.0:1", "[::1]:1"),
        ] {
            assert!(!collide(one, other), "{one} {other}");
        }
    }
}
