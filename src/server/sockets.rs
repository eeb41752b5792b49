//! Listening sockets: handed over by the server that ran before or by systemd, bound by ourselves otherwise.
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use crate::base::{Error, Kind, Result, ResultExt as _};
use crate::runner::sandbox::passed;

/// Those that were handed over and are not in use yet.
#[derive(Default)]
pub struct Sockets(Vec<(String, TcpListener)>);

impl Sockets {
    pub(super) fn new(handed: impl IntoIterator<Item = (String, OwnedFd)>) -> Self {
        Self(handed.into_iter().map(|(name, fd)| (name, TcpListener::from(fd))).collect())
    }

    /// What a socket unit of systemd passes to this process, if it does. Once, at the start of the program.
    /// Errors: `BadInput` when they are no listening sockets.
    pub(super) fn of_systemd() -> Result<Self> {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
        // The variables stay in the environment of whoever is started later, for whom they are not.
        let (Some(pid), Some(count)) = (number("LISTEN_PID"), number("LISTEN_FDS")) else { return Ok(Self::default()) };
        if pid != std::process::id() {
            return Ok(Self::default());
        }
        let passed = passed::descriptors(count).map_err(|e| {
            Error::bad_input("what systemd passed (LISTEN_FDS) are not listening sockets")
                .because(e)
                .hint("The unit steady.socket takes lines such as ListenStream=0.0.0.0:80 only.")
        })?;
        Ok(Self::new(passed.into_iter().map(|fd| ("systemd".to_owned(), fd))))
    }

    /// The socket for `address`: the one that was handed over for it, else a new one. `name` is the same in every
    /// server, so that a port the kernel chose stays.
    /// Errors: `Conflict` when the address is taken or not to be had.
    pub(super) fn open(&mut self, name: &str, address: SocketAddr) -> Result<tokio::net::TcpListener> {
        let fits = |(handed, socket): &(String, TcpListener)| {
            let Ok(bound) = socket.local_addr() else { return false };
            bound == address || (address.port() == 0 && handed == name && bound.ip() == address.ip())
        };
        let listener = match self.0.iter().position(fits) {
            Some(at) => self.0.swap_remove(at).1,
            None => TcpListener::from(bind(address, if name == super::HTTP { "--listen" } else { "tls_listen" })?),
        };
        listener.set_nonblocking(true).internal("while preparing a listening socket")?;
        tokio::net::TcpListener::from_std(listener).internal("while preparing a listening socket")
    }

    /// Closes the rest. Addresses that nobody opened.
    pub(super) fn close(&mut self) -> Vec<SocketAddr> {
        self.0.drain(..).filter_map(|(_, socket)| socket.local_addr().ok()).collect()
    }
}

/// Connections that may wait to be accepted: many arrive while one server hands over to the next.
const WAITING: i32 = 4096;

/// `setting` is where another address can be chosen.
fn bind(address: SocketAddr, setting: &str) -> Result<OwnedFd> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
    let bound = || {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &address)?;
        listen(&socket, WAITING)?;
        Ok(socket)
    };
    bound().map_err(|e: rustix::io::Errno| {
        let e = std::io::Error::from(e);
        let hint = match e.kind() {
            std::io::ErrorKind::AddrInUse => {
                format!("Another program listens there: stop it, or choose another with {setting}.")
            }
            std::io::ErrorKind::PermissionDenied => "Ports below 1024 need root or CAP_NET_BIND_SERVICE.".to_owned(),
            _ => format!("Choose an address of this machine with {setting}."),
        };
        Error::new(Kind::Conflict, format!("cannot listen on {address}")).because(e).hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed(name: &str) -> (Sockets, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("an address");
        (Sockets::new([(name.to_owned(), OwnedFd::from(socket))]), address)
    }

    #[tokio::test]
    async fn one_is_found_by_its_address_or_by_its_name_for_any_port() {
        let (mut sockets, address) = handed("http");
        let found = sockets.open("http", address).expect("the same");
        assert_eq!(found.local_addr().ok(), Some(address));
        assert!(sockets.close().is_empty());

        let (mut sockets, address) = handed("http");
        let found = sockets.open("http", "127.0.0.1:0".parse().expect("an address")).expect("the same");
        assert_eq!(found.local_addr().ok(), Some(address), "a port that the kernel chose stays");

        let (mut sockets, address) = handed("https");
        let other = sockets.open("http", "127.0.0.1:0".parse().expect("an address")).expect("a new one");
        assert_ne!(other.local_addr().ok(), Some(address));
        assert_eq!(sockets.close(), [address], "nobody wanted it");
    }

    #[tokio::test]
    async fn an_address_in_use_says_so() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = holder.local_addr().expect("an address");
        let error = Sockets::default().open("http", address).expect_err("in use");
        assert!(error.public.contains(&address.to_string()), "{error:?}");
        assert!(error.hint.is_some_and(|hint| hint.contains("--listen")));
    }
}
