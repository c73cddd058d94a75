//! `ip("...")`: lines that hold an address out of a set.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses from the first to the last, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpMatcher {
    first: IpAddr,
    last: IpAddr,
}

impl IpMatcher {
    /// Reads an address, a CIDR block or a range `a-b`. `None`: it is neither.
    pub fn parse(pattern: &str) -> Option<Self> {
        if let Some((first, last)) = pattern.split_once('-') {
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            return (same_family(first, last) && first <= last).then_some(Self { first, last });
        }
        match pattern.split_once('/') {
            Some((address, bits)) => Self::block(address.parse().ok()?, bits.parse().ok()?),
            None => pattern.parse().ok().map(|address| Self { first: address, last: address }),
        }
    }

    fn block(address: IpAddr, bits: u32) -> Option<Self> {
        match address {
            IpAddr::V4(v4) => {
                let host = u32::MAX.checked_shr(bits).unwrap_or(0);
                let base = u32::from(v4) & !host;
                (bits <= 32).then(|| Self { first: IpAddr::V4(Ipv4Addr::from(base)), last: IpAddr::V4(Ipv4Addr::from(base | host)) })
            }
            IpAddr::V6(v6) => {
                let host = u128::MAX.checked_shr(bits).unwrap_or(0);
                let base = u128::from(v6) & !host;
                (bits <= 128).then(|| Self { first: IpAddr::V6(Ipv6Addr::from(base)), last: IpAddr::V6(Ipv6Addr::from(base | host)) })
            }
        }
    }

    /// Whether some address in `line` is in the set. Only runs of address characters that are an address as a whole count, so
    /// the IPv4 part of `2001:db8::10.0.0.1` is no address of its own.
    pub fn matches(&self, line: &[u8]) -> bool {
        let mut rest = line;
        while !rest.is_empty() {
            let in_address = if starts_v4(rest) {
                in_v4
            } else if starts_v6(rest) {
                in_v6
            } else {
                rest = rest.get(1..).unwrap_or(&[]);
                continue;
            };
            let length = rest.iter().position(|&byte| !in_address(byte)).unwrap_or(rest.len());
            let (run, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            if self.contains(run) {
                return true;
            }
            rest = after.get(1..).unwrap_or(&[]);
        }
        false
    }

    fn contains(&self, text: &[u8]) -> bool {
        let address: Option<IpAddr> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
        address.is_some_and(|address| same_family(address, self.first) && self.first <= address && address <= self.last)
    }
}

const fn same_family(a: IpAddr, b: IpAddr) -> bool {
    a.is_ipv4() == b.is_ipv4()
}

/// A digit with a dot among the next three bytes, and at least four bytes left.
fn starts_v4(text: &[u8]) -> bool {
    text.len() >= 4 && text.first().is_some_and(u8::is_ascii_digit) && text.iter().skip(1).take(3).any(|&byte| byte == b'.')
}

/// One to four hexadecimal digits and a colon, or `::` and a hexadecimal digit.
fn starts_v6(text: &[u8]) -> bool {
    if let [b':', b':', digit, ..] = text {
        return digit.is_ascii_hexdigit();
    }
    let digits = text.iter().take(5).take_while(|byte| byte.is_ascii_hexdigit()).count();
    (1..=4).contains(&digits) && text.get(digits) == Some(&b':')
}

const fn in_v4(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

const fn in_v6(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
}
