//! Properties of origins and authorities that hold for any input.

use std::net::IpAddr;

use proptest::prelude::*;
use turted_core::origin::{Authority, Origin};

/// Texts that resemble authorities and origins.
fn nearly() -> impl Strategy<Value = String> {
    let parts = prop::sample::select(vec![
        "http",
        "https",
        "://",
        ":",
        "localhost",
        ".",
        "127.0.0.1",
        "[",
        "]",
        "::1",
        "80",
        "443",
        "65536",
        "+",
        "@",
        "/",
        "é",
        "\0",
        "null",
        "a",
        "%",
        ",",
    ]);
    prop::collection::vec(parts, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_makes_the_readers_panic(text in prop_oneof![any::<String>(), nearly()]) {
        if let Some(authority) = Authority::parse(&text) {
            let _ = authority.is_loopback();
        }
        if let Some(origin) = Origin::parse(&text) {
            let shown = origin.to_string();
            let again = Origin::parse(&shown);
            prop_assert!(again.is_some_and(|again| again.is(&origin)), "{shown}");
        }
    }

    #[test]
    fn an_address_is_loopback_as_an_authority_if_it_is_one(
        address in any::<IpAddr>(),
        port in any::<Option<u16>>(),
    ) {
        let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let text = port.map_or(host.clone(), |port| format!("{host}:{port}"));
        let expected = address.to_canonical().is_loopback();
        prop_assert_eq!(Authority::parse(&text).map(|authority| authority.is_loopback()), Some(expected));
    }

    #[test]
    fn a_page_is_of_the_own_host_only_with_the_same_host_and_port(
        (host, other) in ("[a-z]{1,9}(\\.[a-z]{1,9}){0,2}", "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}"),
        (port, other_port) in any::<(u16, u16)>(),
    ) {
        let own = format!("{host}:{port}");
        let page = format!("http://{own}");
        let is_of = |host: &str, port: u16| {
            let text = format!("{host}:{port}");
            Origin::parse(&page).unwrap().is_of(&Authority::parse(&text).unwrap())
        };
        prop_assert!(is_of(&host, port));
        prop_assert_eq!(is_of(&other, other_port), (&host, port) == (&other, other_port));
    }
}
