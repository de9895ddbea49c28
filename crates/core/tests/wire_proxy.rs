//! Properties of the PROXY protocol that hold for any input.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use turted_core::wire::proxy::{Header, decode};

fn encode_v1(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port()).into_bytes()
}

fn encode_v2(source: SocketAddr, destination: SocketAddr, more: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for address in [source, destination] {
        match address {
            SocketAddr::V4(address) => body.extend(address.ip().octets()),
            SocketAddr::V6(address) => body.extend(address.ip().octets()),
        }
    }
    body.extend(source.port().to_be_bytes());
    body.extend(destination.port().to_be_bytes());
    body.extend(more);
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
    header.push(if source.is_ipv4() { 0x11 } else { 0x21 });
    header.extend(u16::try_from(body.len()).expect("short").to_be_bytes());
    header.extend(body);
    header
}

/// Two addresses of one family.
fn addresses() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    prop_oneof![
        any::<([u8; 4], u16, [u8; 4], u16)>()
            .prop_map(|(from, port, to, other)| ((from, port).into(), (to, other).into())),
        any::<([u8; 16], u16, [u8; 16], u16)>()
            .prop_map(|(from, port, to, other)| ((from, port).into(), (to, other).into())),
    ]
}

/// How headers begin, so that the decoder reads random bytes beyond the signature.
const STARTS: [&[u8]; 5] =
    [b"", b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11"];

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_whatever_follows(
        (source, destination) in addresses(),
        more in vec(any::<u8>(), 0..64),
        rest in vec(any::<u8>(), 0..64),
    ) {
        for header in [encode_v1(source, destination), encode_v2(source, destination, &more)] {
            let input = [&header[..], &rest].concat();
            prop_assert_eq!(decode(&input), Ok(Some(Header { bytes: header.len(), source: Some(source) })));
        }
    }

    #[test]
    fn a_header_that_is_cut_needs_more((source, destination) in addresses(), more in vec(any::<u8>(), 0..64)) {
        for header in [encode_v1(source, destination), encode_v2(source, destination, &more)] {
            for cut in 0..header.len() {
                prop_assert_eq!(decode(&header[..cut]), Ok(None), "{}", cut);
            }
        }
    }

    #[test]
    fn what_is_refused_or_complete_stays_so_with_more_bytes(
        start in select(&STARTS[..]),
        tail in vec(any::<u8>(), 0..200),
    ) {
        let input = [start, &tail].concat();
        let mut verdict = Ok(None);
        for cut in 0..=input.len() {
            let next = decode(&input[..cut]);
            if verdict != Ok(None) {
                prop_assert_eq!(next, verdict);
            }
            verdict = next;
        }
    }
}
