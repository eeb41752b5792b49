//! What the server, the zygote and each child's init say to each other: small messages over
//! sequenced-packet sockets, with descriptors beside them.
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::unix::AsyncFd;

/// Bytes of one message. Specs, which are larger, travel as a descriptor.
const MAX: usize = 32 << 10;
/// Descriptors beside one message.
const MAX_FDS: usize = 8;

/// Server → zygote.
#[derive(Serialize, Deserialize)]
pub enum Ask {
    /// Beside it: wire, standard output, standard error, and the folder of a v2 group to start in when
    /// `grouped`. `join`: the `cgroup.procs` files of a v1 group.
    Spawn { id: u64, grouped: bool, join: Vec<PathBuf> },
}

/// Zygote → server.
#[derive(Serialize, Deserialize)]
pub enum Told {
    Ready {
        /// Whether homes can be mounted with their owners mapped.
        maps_owners: bool,
    },
    /// It cannot build what it was told to, and ends.
    Unable {
        why: String,
    },
    /// Beside it: a descriptor of the process.
    Spawned {
        id: u64,
        pid: u32,
    },
    NotSpawned {
        id: u64,
        why: String,
    },
    /// As `wait` gives it.
    Ended {
        pid: u32,
        status: i32,
    },
}

/// Server → init: things only a process in there can do.
#[derive(Serialize, Deserialize)]
pub enum Order {
    /// The first. Beside it: the spec of what to run.
    Enter,
    /// The first, in place of it. Beside it: the spec of a program that waits for its app.
    Park,
    /// Beside it: what makes it that app's.
    Assign,
    /// A listening TCP socket.
    Listen { id: u32, at: SocketAddr },
    /// A bound UDP socket.
    Bind { id: u32, at: SocketAddr },
    /// A TCP connection.
    Connect { id: u32, to: SocketAddr },
    /// SIGTERM to the program and what it has started in its group.
    Terminate,
}

/// Init (and, before it becomes the program, its child) → server.
#[derive(Serialize, Deserialize)]
pub enum Word {
    /// Beside it: the sockets of the DNS stub, UDP and TCP in turn.
    Doors,
    /// Beside it: the folder of its socket, where it has a root of its own.
    Run,
    /// Beside it: where the kernel tells of connects.
    Watch,
    /// The program has begun, and will wait.
    Parked,
    /// The program runs; its process id, where it has no namespace of its own.
    Entered { pid: u32 },
    /// `jail: <step>: <cause>`
    Failed { why: String },
    /// Beside it: the socket, unless `error` (an errno).
    Made { id: u32, error: Option<i32> },
    /// The program's own end, as `wait` gives it.
    Ended { status: i32 },
}

pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// For waiting in the runtime.
pub fn register(socket: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    rustix::io::ioctl_fionbio(&socket, true)?;
    // SAFETY: an owned descriptor names one open file until it is dropped, and the `AsyncFd` owns it.
    Ok(unsafe { AsyncFd::register(socket)? })
}

/// Errors: `InvalidInput` when it is too long, and what the socket says.
pub fn send(to: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MAX || fds.len() > MAX_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let pieces = [IoSlice::new(&bytes)];
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(&to, &pieces, &mut beside, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// `None` at the end. Errors: what the socket says (`WouldBlock` included), or a message that is none.
pub fn receive<T: DeserializeOwned>(from: impl AsFd) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0u8; MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let length = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&from, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC)
    })?
    .bytes;
    let mut fds = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    if length == 0 {
        return Ok(None);
    }
    Ok(Some((serde_json::from_slice(&bytes[..length])?, fds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_with_its_descriptors() {
        let (a, b) = pair().expect("a pair");
        let file = std::fs::File::open("/dev/null").expect("null");
        send(&a, &Word::Made { id: 7, error: None }, &[file.as_fd()]).expect("sent");
        let (word, fds) = receive::<Word>(&b).expect("received").expect("a message");
        assert!(matches!(word, Word::Made { id: 7, error: None }));
        assert_eq!(fds.len(), 1);
        drop(a);
        assert!(receive::<Word>(&b).expect("the end").is_none());
    }
}
