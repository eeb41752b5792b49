//! Which addresses an app may reach: public ones, and never the server's own. Pure.
//!
//! Source: the IANA special-purpose address registries for IPv4 and IPv6.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// First address, bits of the prefix, and what such an address is.
const BARRED_V4: &[([u8; 4], u32, &str)] = &[
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "cloud metadata"),
    ([169, 254, 0, 0], 16, "link-local or cloud metadata"),
    ([172, 16, 0, 0], 12, "private"),
    ([192, 0, 0, 0], 24, "reserved for protocols"),
    ([192, 0, 2, 0], 24, "for documentation"),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, "private"),
    ([198, 18, 0, 0], 15, "for benchmarks"),
    ([198, 51, 100, 0], 24, "for documentation"),
    ([203, 0, 113, 0], 24, "for documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved or broadcast"),
];

/// All outside of 2000::/3 is barred as a whole; the first rows only give better words.
const BARRED_V6: &[([u16; 8], u32, &str)] = &[
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 96, "an IPv4 address in an old form"),
    ([0, 0, 0, 0, 0, 0xffff, 0, 0], 96, "an IPv4 address in IPv6 form"),
    ([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96, "NAT64"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "NAT64"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "private"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link-local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
    // Teredo, benchmarks, ORCHID and other protocols.
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "reserved for protocols"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "for documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "for documentation"),
];

const GLOBAL_V6: ([u16; 8], u32) = ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Why no app may reach this address, in a word or two; `None` when it is public.
/// The server's own addresses are not known here: see [`super::own::Own`].
pub fn barred(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(v4) => BARRED_V4.iter().find(|(first, bits, _)| in_v4(v4, *first, *bits)).map(|row| row.2),
        IpAddr::V6(v6) => {
            let row = BARRED_V6.iter().find(|(first, bits, _)| in_v6(v6, *first, *bits));
            row.map(|row| row.2).or_else(|| (!in_v6(v6, GLOBAL_V6.0, GLOBAL_V6.1)).then_some("reserved"))
        }
    }
}

/// Where cloud machines find their credentials on networks that are otherwise private.
const METADATA: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)), IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254))];

/// Whether it is of a private network and not public: what an owner may open to apps under a host's name.
pub fn is_private(address: IpAddr) -> bool {
    matches!(barred(address), Some("private" | "carrier-grade NAT")) && !METADATA.contains(&address)
}

/// Whether it hands out credentials of the machine, or is no single host: nothing an owner may open to apps.
pub fn is_never_for_apps(address: IpAddr) -> bool {
    match barred(address) {
        None | Some("loopback" | "for documentation") => false,
        Some(_) => !is_private(address),
    }
}

fn in_v4(address: Ipv4Addr, first: [u8; 4], bits: u32) -> bool {
    (address.to_bits() ^ u32::from_be_bytes(first)) >> (32 - bits) == 0
}

fn in_v6(address: Ipv6Addr, first: [u16; 8], bits: u32) -> bool {
    (address.to_bits() ^ Ipv6Addr::from(first).to_bits()) >> (128 - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> IpAddr {
        text.parse().expect(text)
    }

    #[test]
    fn what_is_not_public_is_barred() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "100.127.255.255",
            "127.0.0.1",
            "127.8.8.8",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            assert!(barred(at(text)).is_some(), "{text}");
        }
    }

    #[test]
    fn neighbours_of_barred_ranges_are_public() {
        for text in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.1",
            "168.63.129.15",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "8.8.8.8",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
            "2003::1",
        ] {
            assert_eq!(barred(at(text)), None, "{text}");
        }
    }

    proptest! {
        /// The standard library's own tests are a second opinion on part of the table.
        #[test]
        fn the_standard_library_agrees_v4(bits: u32) {
            let ip = Ipv4Addr::from_bits(bits);
            if ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast()
                || ip.is_broadcast() || ip.is_documentation() || ip.is_unspecified() {
                prop_assert!(barred(ip.into()).is_some());
            }
        }

        #[test]
        fn no_form_of_an_ipv4_address_inside_ipv6_passes(bits: u32, tail: u64) {
            let v4 = Ipv4Addr::from_bits(bits);
            let [a, b] = [(bits >> 16) as u16, bits as u16];
            let low = Ipv6Addr::from_bits(u128::from(tail));
            prop_assert!(barred(v4.to_ipv6_mapped().into()).is_some());
            prop_assert!(barred(v4.to_ipv6_compatible().into()).is_some());
            for first in [[0x64, 0xff9b, 0, 0, 0, 0, a, b], [0x2002, a, b, 0, 0, 0, 0, 0], [0x2001, 0, a, b, 0, 0, 0, 0]] {
                prop_assert!(barred(Ipv6Addr::from(first).into()).is_some());
                let with_tail = Ipv6Addr::from_bits(Ipv6Addr::from(first).to_bits() | low.to_bits());
                if first[0] != 0x64 {
                    prop_assert!(barred(with_tail.into()).is_some());
                }
            }
        }

        #[test]
        fn only_global_unicast_passes_v6(bits: u128) {
            let ip = Ipv6Addr::from_bits(bits);
            if barred(ip.into()).is_none() {
                prop_assert_eq!(ip.segments()[0] >> 13, 1);
            }
        }
    }
}
