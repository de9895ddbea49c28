//! Origins of pages and hosts of requests: an origin that is written and read again is the same, and it is
//! the origin of the host that it names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use turted_core::origin::{Authority, Origin};

fuzz_target!(|text: &str| {
    if let Some(authority) = Authority::parse(text) {
        let loopback = authority.is_loopback();
        let upper = text.to_ascii_uppercase();
        assert_eq!(Authority::parse(&upper).map(|upper| upper.is_loopback()), Some(loopback));
    }
    let Some(origin) = Origin::parse(text) else { return };
    let written = origin.to_string();
    let again = Origin::parse(&written).expect("a written origin is an origin");
    assert!(origin.is(&again) && again.is(&origin) && again.to_string() == written);
    let (_, host) = text.split_once("://").expect("it has a scheme");
    let own = Authority::parse(host).expect("it has an authority");
    assert_eq!(origin.is_of(&own), again.is_of(&own));
});
