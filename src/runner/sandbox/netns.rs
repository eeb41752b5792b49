//! The network a child has: loopback, and every other address of the world as a local one, so that a
//! connection leads to whoever listens in here, which is the server.
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, listen, recv, send, socket_with,
    sockopt,
};

use super::jail::{Failure, Step as _, write_plain};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 512;
/// In every network namespace the first interface is loopback.
const LOOPBACK: u32 = 1;

/// Brings loopback up, routes everything to it, and lets the child's own port numbers be any.
pub(super) fn prepare() -> Result<(), Failure> {
    loopback_up().step("bring loopback up")?;
    local_route(libc::AF_INET as u8).step("route the world to loopback")?;
    // A kernel without IPv6 has nothing to route.
    let _ = local_route(libc::AF_INET6 as u8);
    write_plain("/proc/sys/net/ipv4/ip_unprivileged_port_start".as_ref(), b"0").step("open the low ports")
}

/// The DNS stub's sockets, UDP and TCP in turn; those of IPv6 where there is any.
pub(super) fn doors() -> Result<Vec<OwnedFd>, Failure> {
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
    let v6 = SocketAddr::from((Ipv6Addr::LOCALHOST, 53));
    let mut doors = vec![udp(v4).step("open the DNS socket")?, tcp(v4).step("open the DNS socket")?];
    if let (Ok(udp), Ok(tcp)) = (udp(v6), tcp(v6)) {
        doors.extend([udp, tcp]);
    }
    Ok(doors)
}

fn socket(at: SocketAddr, kind: SocketType) -> io::Result<OwnedFd> {
    let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, true)?;
        // Unlike IPv4, IPv6 does not let a socket have an address that is only a local route.
        sockopt::set_ipv6_freebind(&fd, true)?;
    }
    Ok(fd)
}

/// A listening socket, not blocking.
pub(super) fn tcp(at: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(at, SocketType::STREAM)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    bind(&fd, &at)?;
    listen(&fd, BACKLOG)?;
    Ok(fd)
}

/// A bound socket, not blocking.
pub(super) fn udp(at: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(at, SocketType::DGRAM)?;
    bind(&fd, &at)?;
    Ok(fd)
}

/// A connection to something that listens in here. Loopback answers at once.
pub(super) fn connection(to: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(to, SocketType::STREAM)?;
    match connect(&fd, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(fd),
        Err(e) => Err(e.into()),
    }
}

fn loopback_up() -> io::Result<()> {
    let fd = socket(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), SocketType::DGRAM)?;
    // SAFETY: all-zero is a valid value of this plain struct.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(*b"lo") {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: the request is what this control takes, and outlives the call.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `ip route add local default dev lo` in one netlink message: header, route, one attribute.
fn local_route(family: u8) -> io::Result<()> {
    const LENGTH: u32 = 16 + 12 + 8;
    let mut message = Vec::with_capacity(LENGTH as usize);
    message.extend(LENGTH.to_ne_bytes());
    message.extend(libc::RTM_NEWROUTE.to_ne_bytes());
    let flags = libc::NLM_F_REQUEST | libc::NLM_F_ACK | libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    message.extend((flags as u16).to_ne_bytes());
    message.extend([0u8; 8]); // sequence, port
    // family, prefix lengths, tos, table, protocol, scope, type, flags
    message.extend([family, 0, 0, 0, libc::RT_TABLE_LOCAL, libc::RTPROT_STATIC, libc::RT_SCOPE_HOST, libc::RTN_LOCAL]);
    message.extend(0u32.to_ne_bytes());
    message.extend(8u16.to_ne_bytes());
    message.extend(libc::RTA_OIF.to_ne_bytes());
    message.extend(LOOPBACK.to_ne_bytes());
    let fd = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    send(&fd, &message, SendFlags::empty())?;
    let mut answer = [0u8; 256];
    let (_, length) = recv(&fd, &mut answer, RecvFlags::empty())?;
    // An NLMSG_ERROR whose code is zero says yes.
    match answer.get(16..20).filter(|_| length >= 20).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes) {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}
