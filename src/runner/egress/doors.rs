//! What the engine needs of a jail: to hear of attempts, and to have sockets made inside. Traits, so that
//! the engine knows no jail and can be tested without one.
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;

use super::fake::Ranges;

pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One program's `connect`, waiting for an answer. `id` is whatever [`Attempts`] needs to find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    pub id: u64,
    pub to: SocketAddr,
    /// The socket is UDP: connecting sends nothing.
    pub datagram: bool,
}

/// The waiting connects of one app. Answers never block; one for an attempt that is gone does nothing.
pub trait Attempts: Send + Sync + 'static {
    /// The next one; `None` when there will be no more. Only the engine calls it, one call at a time.
    fn next(&self) -> Later<'_, Option<Attempt>>;
    /// Lets the system call happen in the app's own network.
    fn go_on(&self, id: u64);
    /// Makes it fail with this error number.
    fn refuse(&self, id: u64, errno: i32);
    /// Puts this connected socket in the place of the program's own and makes the call succeed.
    /// Asked for only when there is no [`Namespace`].
    fn replace(&self, id: u64, socket: OwnedFd);
}

/// Makes sockets in an app's network namespace. Errors: the system's, unchanged.
pub trait Namespace: Send + Sync + 'static {
    /// Bound and listening.
    fn listen_tcp(&self, at: SocketAddr) -> Later<'_, io::Result<TcpListener>>;
    fn bind_udp(&self, at: SocketAddr) -> Later<'_, io::Result<UdpSocket>>;
}

/// All the ways between the engine and one app.
pub struct Doors {
    pub attempts: Arc<dyn Attempts>,
    /// Where the app's DNS queries arrive: port 53 of 127.0.0.1, and of ::1 if it likes.
    pub dns_udp: Vec<UdpSocket>,
    /// Listening.
    pub dns_tcp: Vec<TcpListener>,
    /// `None`: the app has no network of its own (the process-only tier); sockets are replaced instead.
    pub namespace: Option<Arc<dyn Namespace>>,
    /// [`Ranges::JAIL`], without `v6` where the kernel has no IPv6.
    pub ranges: Ranges,
}
