//! Which proxies are trusted to say a client's address, and the address behind them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The addresses that providers use between their customers and their own NAT (RFC 6598 7): the network, and
/// the length of its prefix in bits.
const SHARED_NETWORK: (Ipv4Addr, u32) = (Ipv4Addr::new(100, 64, 0, 0), 10);

/// What counts as one address: an IPv6 customer is given a /64 and may use all of it.
#[must_use]
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

/// Whether several clients may share an address, because a proxy or a NAT stands before them, or only this
/// machine or its own network can have it: loopback, private (RFC 1918), link-local, unique local (RFC 4193)
/// and shared between a provider's customers (RFC 6598). An IPv4 address that is mapped into IPv6 counts as
/// IPv4.
///
/// ```
/// use turted_core::trust::is_private;
/// assert!(is_private("10.1.2.3".parse().unwrap()));
/// assert!(!is_private("192.0.2.7".parse().unwrap()));
/// ```
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_loopback() || address.is_private() || address.is_link_local() || is_shared(address)
        }
        IpAddr::V6(address) => {
            address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local()
        }
    }
}

/// Whether a provider may share an address between its customers.
const fn is_shared(address: Ipv4Addr) -> bool {
    let (network, prefix) = SHARED_NETWORK;
    (address.to_bits() ^ network.to_bits()) >> (32 - prefix) == 0
}

/// Addresses that share their first bits, `10.0.0.0/8` or `fd00::/8` say.
///
/// ```
/// use turted_core::trust::Network;
/// let network: Network = "10.0.0.0/8".parse()?;
/// assert!(network.contains("10.1.2.3".parse().unwrap()));
/// assert!("10.0.0.1/8".parse::<Network>().is_err(), "bits behind the prefix are a mistake");
/// # Ok::<(), turted_core::trust::NetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The text names no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network: expected one such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError;

impl Network {
    /// Whether an address is part of it. An IPv4 address that is mapped into IPv6 counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (address, own) = (address.to_canonical(), self.address);
        address.is_ipv4() == own.is_ipv4() && (bits(address) ^ bits(own)) & self.mask() == 0
    }

    /// The bits that all its addresses share, from the left.
    fn mask(&self) -> u128 {
        u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0)
    }
}

/// The bits of an address, from the left.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads `address/prefix`, or an address alone, which is a network of one.
    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => whole,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| NetworkError)?
            }
            Some(_) => return Err(NetworkError),
        };
        let network = Self { address, prefix };
        let fits = prefix <= whole && bits(address) & !network.mask() == 0;
        // A mapped address never matches: connections are compared in their IPv4 form.
        (fits && address == address.to_canonical()).then_some(network).ok_or(NetworkError)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.prefix)
    }
}

/// The proxies that are trusted to say a client's address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// The proxies in these networks.
    #[must_use]
    pub const fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// The networks.
    #[must_use]
    pub fn networks(&self) -> &[Network] {
        &self.0
    }

    /// Whether this address is a trusted proxy.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client for which `peer` asks, by its `X-Forwarded-For` lines in their order. Each proxy appends
    /// the address it was asked from. So the client is the first address from the right that is no trusted
    /// proxy; everything to the left of it may be invented.
    ///
    /// ```
    /// use turted_core::trust::TrustedProxies;
    /// let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
    /// let client = proxies.client("10.0.0.1".parse().unwrap(), ["6.6.6.6, 192.0.2.7", "10.0.0.2"]);
    /// assert_eq!(client, "192.0.2.7".parse::<std::net::IpAddr>().unwrap());
    /// ```
    #[must_use]
    pub fn client<'a, L>(&self, peer: IpAddr, lines: L) -> IpAddr
    where
        L: IntoIterator<Item = &'a str, IntoIter: DoubleEndedIterator>,
    {
        let mut client = peer.to_canonical();
        let mut named = lines.into_iter().rev().flat_map(|line| line.rsplit(','));
        while self.trusts(client)
            && let Some(address) = named.next().and_then(parse_forwarded)
        {
            client = address;
        }
        client
    }
}

/// One address of `X-Forwarded-For`. Some proxies append a port.
fn parse_forwarded(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().ok();
    address
        .or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()))
        .map(|a| a.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "fd00::/8", "127.0.0.1"].map(|text| text.parse().unwrap()).into())
    }

    #[test]
    fn loopback_private_link_local_and_shared_addresses_are_private() {
        for (first, last) in [
            ("127.0.0.0", "127.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("::ffff:10.0.0.0", "::ffff:100.127.255.255"),
            ("::1", "::1"),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        ] {
            assert!(is_private(address(first)), "{first} to {last}");
            assert!(is_private(address(last)), "{first} to {last}");
        }
    }

    #[test]
    fn an_address_beside_the_private_ones_is_public() {
        for text in [
            "126.255.255.255",
            "128.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "192.0.2.7",
            "::ffff:192.0.2.7",
            "::2",
            "fbff::",
            "fe00::",
            "fe7f::",
            "fec0::",
            "2001:db8::7",
        ] {
            assert!(!is_private(address(text)), "{text}");
        }
    }

    #[test]
    fn a_network_holds_the_addresses_that_share_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.128/25", "192.0.2.255", "192.0.2.127"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "fd00::1", "10.0.0.1"),
            ("fd00::/9", "fd7f::", "fd80::"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(address(inside)), "{inside} in {network}");
            assert!(!parsed.contains(address(outside)), "{outside} in {network}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.1/8",
            "fd00::/129",
            "fd00::1/64",
            "10.0.0/8",
            "localhost",
            "10.0.0.0/8/8",
            " 10.0.0.0/8",
            "::ffff:10.0.0.0/104",
            "10.0.0.0/256",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text:?}");
        }
    }

    #[test]
    fn the_client_is_the_rightmost_address_that_is_no_proxy() {
        for (peer, lines, client) in [
            ("10.0.0.1", &["192.0.2.7"][..], "192.0.2.7"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.7, 10.0.0.2"], "192.0.2.7"),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.7,10.0.0.2", "10.0.0.3"], "192.0.2.7"),
            ("::ffff:10.0.0.1", &["192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["::ffff:192.0.2.7"], "192.0.2.7"),
            ("10.0.0.1", &["192.0.2.7:4711"], "192.0.2.7"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
            ("fd00::1", &["2001:db8::7"], "2001:db8::7"),
            // Only proxies: the one farthest away asked on its own behalf.
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[], "10.0.0.1"),
            // What stands to the left of an unreadable entry is not known to be true.
            ("10.0.0.1", &["192.0.2.7, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["192.0.2.7, , 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            // An address that is no trusted proxy is not believed.
            ("192.0.2.9", &["6.6.6.6"], "192.0.2.9"),
            ("127.0.0.2", &["6.6.6.6"], "127.0.0.2"),
        ] {
            let named = proxies().client(address(peer), lines.iter().copied());
            assert_eq!(named, address(client), "{peer} {lines:?}");
        }
    }

    #[test]
    fn nobody_is_trusted_by_default() {
        assert_eq!(TrustedProxies::default().client(address("127.0.0.1"), ["6.6.6.6"]), address("127.0.0.1"));
    }
}
