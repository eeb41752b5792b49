//! Tells systemd (`Type=notify`) how this server is. Where nobody asked to be told, nothing happens.
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// `READY=1` and the like, one a line; see sd_notify(3).
pub fn tell(state: &str) {
    let Some(to) = std::env::var("NOTIFY_SOCKET").ok().filter(|to| !to.is_empty()) else { return };
    if let Err(error) = send(&to, state) {
        tracing::warn!(%error, state, "systemd could not be told");
    }
}

fn send(to: &str, state: &str) -> io::Result<()> {
    let address = match to.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(to)?,
    };
    UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    Ok(())
}
