//! A forked process asks under the filter; the test answers.
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::*;
use crate::runner::sandbox::forked::{Child, Ending};
use crate::runner::sandbox::seccomp::{Filters, Variant};

fn send(wire: &UnixStream, fd: OwnedFd) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [std::os::fd::AsFd::as_fd(&fd)];
    assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
    sendmsg(wire, &[IoSlice::new(b"x")], &mut control, SendFlags::empty()).expect("send the listener");
}

fn receive(wire: &UnixStream) -> OwnedFd {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(wire, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message");
    let fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    fds.expect("the listener")
}

/// Runs `work` under the filters of `variant`, and `serve` with the listener outside.
fn ask<F: Future<Output = ()>>(
    variant: Variant,
    work: impl FnOnce() -> Vec<i64>,
    serve: impl FnOnce(Listener) -> F,
) -> Ending {
    let filters = Filters::compile(variant).expect("the policy");
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    let child = Child::start(|| {
        nix::sys::prctl::set_no_new_privs().expect("no_new_privs");
        send(&theirs, filters.listen().expect("a listener"));
        filters.install().expect("filters");
        work()
    });
    drop(theirs);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = Listener::new(receive(&ours)).expect("a listener");
        // Far longer than the forked process lives.
        tokio::time::timeout(Duration::from_secs(120), serve(listener)).await.expect("an end");
    });
    child.end()
}

fn errno<T>(result: io::Result<T>) -> i64 {
    result.map_or_else(|e| i64::from(e.raw_os_error().unwrap_or(-1)), |_| 0)
}

#[test]
fn a_call_goes_on_or_is_refused() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = server.local_addr().expect("an address");
    let ending = ask(
        Variant::Namespaced,
        || {
            let first = errno(TcpStream::connect(at));
            let second = errno(TcpStream::connect(at));
            vec![first, second]
        },
        |listener| async move {
            let call = listener.next().await.expect("no error").expect("a call");
            assert_eq!((&call.to, call.datagram, call.nonblocking), (&To::Ip(at), false, false));
            listener.go_on(call).expect("go on");
            let call = listener.next().await.expect("no error").expect("a call");
            listener.refuse(call, libc::ENETUNREACH).expect("refuse");
            assert!(listener.next().await.expect("no error").is_none());
        },
    );
    assert_eq!(ending, Ending::Said(vec![0, i64::from(libc::ENETUNREACH)]));
}

#[test]
fn another_socket_comes_in_place() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = server.local_addr().expect("an address");
    let elsewhere: SocketAddr = "192.0.2.1:443".parse().expect("an address");
    let ending = ask(
        Variant::ProcessOnly,
        || {
            let mut stream = TcpStream::connect(elsewhere).expect("connect");
            stream.write_all(b"ping").expect("write");
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).expect("read");
            let flags = rustix::io::fcntl_getfd(&stream).expect("flags");
            vec![i64::from(answer == *b"pong"), i64::from(flags.contains(rustix::io::FdFlags::CLOEXEC))]
        },
        |listener| async move {
            let call = listener.next().await.expect("no error").expect("a call");
            assert_eq!(call.to, To::Ip(elsewhere));
            let ours = TcpStream::connect(at).expect("connect");
            listener.replace(call, ours.into()).expect("replace");
            let (mut peer, _) = server.accept().expect("accept");
            let mut asked = [0; 4];
            peer.read_exact(&mut asked).expect("read");
            assert_eq!(&asked, b"ping");
            peer.write_all(b"pong").expect("write");
            assert!(listener.next().await.expect("no error").is_none());
        },
    );
    assert_eq!(ending, Ending::Said(vec![1, 1]));
}
