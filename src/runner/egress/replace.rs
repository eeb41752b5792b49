//! Without a network namespace: the program's socket is exchanged for one of ours, so that the same relay
//! stands behind it.
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

use super::doors::Attempt;
use super::site::Site;

impl Site {
    pub fn replace(self: &Arc<Self>, at: SocketAddr, attempt: u64) {
        let site = Arc::clone(self);
        self.spawn("egress socket", async move {
            match pair().await.and_then(|(theirs, ours)| Ok((OwnedFd::from(theirs.into_std()?), ours))) {
                Ok((theirs, ours)) => {
                    site.attempts.replace(attempt, theirs);
                    site.carry(ours, at);
                }
                Err(error) => {
                    tracing::warn!("cannot make a pair of sockets for an app: {error}");
                    site.attempts.refuse(attempt, Errno::CONNREFUSED.raw_os_error());
                }
            }
        });
    }

    pub fn replace_dns(&self, stub: SocketAddr, attempt: Attempt) {
        let socket = || {
            if !attempt.datagram {
                // The stub listens on our own loopback: this does not wait.
                let socket = std::net::TcpStream::connect(stub)?;
                socket.set_nonblocking(true)?;
                return Ok(OwnedFd::from(socket));
            }
            let any = if stub.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
            let socket = std::net::UdpSocket::bind(any)?;
            socket.connect(stub)?;
            socket.set_nonblocking(true)?;
            Ok::<_, io::Error>(OwnedFd::from(socket))
        };
        match socket() {
            Ok(socket) => self.attempts.replace(attempt.id, socket),
            Err(error) => {
                tracing::warn!("cannot make a DNS socket for an app: {error}");
                self.attempts.refuse(attempt.id, Errno::CONNREFUSED.raw_os_error());
            }
        }
    }
}

/// Two ends of one TCP connection, on the server's own loopback.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let theirs = TcpStream::connect(listener.local_addr()?).await?;
    loop {
        // Anybody on this machine may have been faster.
        let (ours, peer) = listener.accept().await?;
        if peer == theirs.local_addr()? {
            return Ok((theirs, ours));
        }
    }
}
