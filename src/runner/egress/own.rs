//! The server's own addresses: an app never reaches them, whatever network they are in.
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::base::Clock;

/// How long a list is believed: an address may come or go at any time.
const FRESH: Duration = Duration::from_secs(2);

/// When, and what; `None` when it could not be read.
type Read = (Instant, Option<HashSet<IpAddr>>);

/// Addresses of this machine's interfaces, in the network namespace of the server.
#[derive(Default)]
pub struct Own {
    read: Mutex<Option<Read>>,
}

impl Own {
    /// Whether this is one of the server's own. When the list cannot be read, every address is.
    pub fn has(&self, address: IpAddr) -> bool {
        let mut read = self.read.lock().unwrap_or_else(|e| e.into_inner());
        if read.as_ref().is_none_or(|(at, _)| at.elapsed() > FRESH) {
            let list = list().inspect_err(|e| tracing::error!("cannot list the server's own addresses: {e}"));
            *read = Some((Clock::stopwatch(), list.ok()));
        }
        match read.as_ref() {
            Some((_, Some(list))) => list.contains(&address.to_canonical()),
            _ => true,
        }
    }
}

fn list() -> Result<HashSet<IpAddr>, String> {
    let all = nix::ifaddrs::getifaddrs().map_err(|e| e.to_string())?;
    let ip = |address: nix::sys::socket::SockaddrStorage| -> Option<IpAddr> {
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()).to_canonical()))
    };
    // A point-to-point link's other end is the provider's gateway, or a container: not the public either.
    let both = all.flat_map(|one| [one.address, one.broadcast, one.destination]);
    Ok(both.flatten().filter_map(ip).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn loopback_is_found() {
        let own = Own::default();
        assert!(own.has(IpAddr::from([127, 0, 0, 1])));
        assert!(own.has("::ffff:127.0.0.1".parse().expect("an address")));
        assert!(!own.has(IpAddr::from([8, 8, 8, 8])));
    }

    #[test]
    fn the_address_that_packets_leave_from_is_found() {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        // Connecting sends nothing; it asks the kernel for a route. Without one there is nothing to find.
        if socket.connect("192.0.2.1:9").is_ok() {
            assert!(Own::default().has(socket.local_addr().expect("its address").ip()));
        }
    }
}
