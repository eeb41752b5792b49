//! A forked process asks under the filter; the test answers.
use std::io::{IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::FromRawFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

use super::*;
use crate::runner::sandbox::forked::{Child, Ending, call};
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
    // Linux before 6.11 tells the end of the last process when it is reaped, not when it dies.
    let reaper = std::thread::spawn(move || child.end());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = Listener::new(receive(&ours), variant == Variant::ProcessOnly).expect("a listener");
        // Far longer than the forked process lives.
        tokio::time::timeout(Duration::from_secs(120), serve(listener)).await.expect("an end");
    });
    reaper.join().expect("the reaper")
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

/// The answer to a raw `connect` with these bytes.
fn connect_raw(fd: i64, bytes: &[u8], length: u64) -> i64 {
    call(libc::SYS_connect, [fd.cast_unsigned(), bytes.as_ptr().addr() as u64, length, 0, 0, 0])
}

#[test]
fn the_caller_is_read_exactly() {
    let ip6: SocketAddr = "[2001:db8::7%3]:8443".parse().expect("an address");
    let work = || {
        let datagram = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        let first = errno(datagram.connect("198.18.0.7:53"));
        let fd = call(libc::SYS_socket, [10, libc::SOCK_STREAM as u64, 0, 0, 0, 0]);
        let mut bytes = vec![10, 0, 0x20, 0xfb, 0, 0, 0, 0, 0x20, 1, 0x0d, 0xb8];
        bytes.resize(28, 0);
        (bytes[23], bytes[24]) = (7, 3);
        let second = connect_raw(fd, &bytes, 28);
        let third = std::thread::spawn(move || connect_raw(fd, &[0, 0], 2)).join().expect("a thread");
        // What the kernel would refuse never reaches the server.
        let short = connect_raw(fd, &bytes, 5);
        let file = std::fs::File::open("/dev/null").expect("a file");
        let refused = [(99, 28), (file.as_raw_fd().into(), 28), (fd, 129), (fd, u64::from(u32::MAX))];
        let refused = refused.map(|(fd, length)| connect_raw(fd, &bytes, length));
        let fault = call(libc::SYS_connect, [fd.cast_unsigned(), 8, 28, 0, 0, 0]);
        [&[first, second, third, short], refused.as_slice(), &[fault]].concat()
    };
    let ending = ask(Variant::Namespaced, work, |listener| async move {
        let expected = [
            (To::Ip("198.18.0.7:53".parse().expect("an address")), true, AddressFamily::INET),
            (To::Ip(ip6), false, AddressFamily::INET6),
            (To::Nowhere, false, AddressFamily::INET6),
            (To::Other(10), false, AddressFamily::INET6),
        ];
        for expected in expected {
            let call = listener.next().await.expect("no error").expect("a call");
            assert_eq!((call.to.clone(), call.datagram, call.family), expected);
            listener.refuse(call, libc::ENETUNREACH).expect("refuse");
        }
        assert!(listener.next().await.expect("no error").is_none());
    });
    let [net, bad] = [libc::ENETUNREACH, libc::EBADF].map(i64::from);
    let [socket, invalid, fault] = [libc::ENOTSOCK, libc::EINVAL, libc::EFAULT].map(i64::from);
    assert_eq!(ending, Ending::Said(vec![net, -net, -net, -net, -bad, -socket, -invalid, -invalid, -fault]));
}

/// Who does not wait gets a socket that is still connecting, with the options it had set.
#[test]
fn a_socket_in_place_is_like_the_old() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = server.local_addr().expect("an address");
    let work = || {
        let quick = (libc::SOCK_STREAM | libc::SOCK_NONBLOCK) as u64;
        let fd = call(libc::SYS_socket, [2, quick, 0, 0, 0, 0]);
        // SAFETY: the socket just made, owned here alone.
        let socket = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
        sockopt::set_tcp_nodelay(&socket, true).expect("an option");
        sockopt::set_socket_keepalive(&socket, true).expect("an option");
        sockopt::set_tcp_keepidle(&socket, Duration::from_secs(77)).expect("an option");
        let mut bytes = vec![2, 0, 0, 80, 192, 0, 2, 1];
        bytes.resize(16, 0);
        let answer = connect_raw(fd, &bytes, 16);
        let stays = rustix::io::fcntl_getfd(&socket).expect("flags").is_empty();
        let quick = rustix::fs::fcntl_getfl(&socket).expect("flags").contains(OFlags::NONBLOCK);
        let idle = sockopt::tcp_keepidle(&socket).expect("an option").as_secs();
        let options = [sockopt::tcp_nodelay(&socket), sockopt::socket_keepalive(&socket), Ok(quick), Ok(stays)];
        let options = options.map(|on| i64::from(on.expect("an option")));
        // A socket that waits takes no half-made connection.
        let waits = errno(TcpStream::connect("192.0.2.1:80"));
        [&[answer, idle as i64, waits], options.as_slice()].concat()
    };
    let ending = ask(Variant::ProcessOnly, work, |listener| async move {
        let fresh = || rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        let call = listener.next().await.expect("no error").expect("a call");
        assert!(call.nonblocking);
        let ours = fresh();
        listener.replace(call, ours).expect("replace");
        let call = listener.next().await.expect("no error").expect("a call");
        let error = listener.replace(call, fresh()).expect_err("half made");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(listener.next().await.expect("no error").is_none());
    });
    let [progress, aborted] = [libc::EINPROGRESS, libc::ECONNABORTED].map(i64::from);
    assert_eq!(ending, Ending::Said(vec![-progress, 77, aborted, 1, 1, 1, 1]));
    drop((server, at));
}

#[test]
fn unix_sockets_are_reached_in_one_folder_only() {
    let top = tempfile::tempdir().expect("a folder");
    let path = |name: &str| top.path().join(name);
    std::fs::create_dir(path("home")).expect("a folder");
    let inside = UnixListener::bind(path("home/socket")).expect("a socket");
    let _outside = UnixListener::bind(path("outside")).expect("a socket");
    std::os::unix::fs::symlink(path("outside"), path("home/link")).expect("a link");
    std::os::unix::fs::symlink(top.path(), path("home/up")).expect("a link");
    std::fs::File::create(path("home/file")).expect("a file");
    let names = ["home/socket", "home/link", "home/up/outside", "home/../outside", "outside", "home/no", "home/file"];
    let names = names.map(path);
    let work = || {
        let mut answers: Vec<i64> = names.iter().map(|name| errno(UnixStream::connect(name))).collect();
        let mut stream = UnixStream::connect(&names[0]).expect("connect");
        stream.write_all(b"!").expect("write");
        answers.push(connect_raw(stream.as_raw_fd().into(), &[0, 0], 2));
        answers
    };
    let home = path("home");
    let ending = ask(Variant::ProcessOnly, work, |listener| async move {
        while let Some(call) = listener.next().await.expect("no error") {
            match call.to {
                To::Unix(_) => listener.reach_unix(call, &home).expect("reach"),
                To::Nowhere => listener.forget(call).expect("forget"),
                _ => panic!("{call:?}"),
            }
        }
    });
    let denied = i64::from(libc::EACCES);
    let [none, refused] = [libc::ENOENT, libc::ECONNREFUSED].map(i64::from);
    // A unix stream socket cannot forget: the kernel's own answer.
    let forget = -i64::from(libc::EINVAL);
    assert_eq!(ending, Ending::Said(vec![0, denied, denied, denied, denied, none, refused, forget]));
    drop(inside);
}

/// A caller that is killed while it waits is nobody's error, and the others go on.
#[test]
fn a_dead_caller_is_skipped() {
    let work = || {
        let fork = || {
            // SAFETY: one thread here; the child only connects, and ends with _exit.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let code = errno(TcpStream::connect("192.0.2.1:80"));
                // SAFETY: ends the process at once.
                unsafe { libc::_exit(code as i32) };
            }
            pid
        };
        let mut codes = vec![];
        for _ in 0..2 {
            let mut status = 0;
            let pid = fork();
            // SAFETY: our own child.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            codes.push(i64::from(if libc::WIFSIGNALED(status) { -1 } else { libc::WEXITSTATUS(status) }));
        }
        codes
    };
    let ending = ask(Variant::Namespaced, work, |listener| async move {
        let call = listener.next().await.expect("no error").expect("a call");
        let victim = nix::unistd::Pid::from_raw(call.thread);
        nix::sys::signal::kill(victim, nix::sys::signal::Signal::SIGKILL).expect("kill");
        let second = listener.next().await.expect("no error").expect("another call");
        listener.refuse(call, libc::EPERM).expect("too late is fine");
        listener.refuse(second, libc::EHOSTUNREACH).expect("refuse");
        assert!(listener.next().await.expect("no error").is_none());
    });
    assert_eq!(ending, Ending::Said(vec![-1, i64::from(libc::EHOSTUNREACH)]));
}

/// When the listener closes, callers get an error instead of waiting for ever.
#[test]
fn without_a_listener_connect_fails() {
    let work = || vec![errno(TcpStream::connect("192.0.2.1:80")), errno(TcpStream::connect("192.0.2.1:80"))];
    let ending = ask(Variant::Namespaced, work, |listener| async move {
        drop(listener.next().await.expect("no error").expect("a call"));
        drop(listener);
    });
    assert_eq!(ending, Ending::Said(vec![i64::from(libc::ENOSYS); 2]));
}

/// Landlock forbids to bind a port, but listening without one would take any.
#[test]
fn only_unix_sockets_listen_without_namespaces() {
    let top = tempfile::tempdir().expect("a folder");
    let path = top.path().join("socket");
    let work = || {
        let fd = call(libc::SYS_socket, [2, libc::SOCK_STREAM as u64, 0, 0, 0, 0]);
        let tcp = call(libc::SYS_listen, [fd.cast_unsigned(), 5, 0, 0, 0, 0]);
        let server = UnixListener::bind(&path).expect("a unix socket");
        let client = std::thread::spawn(move || errno(UnixStream::connect(&path)));
        server.accept().expect("a connection");
        let none = call(libc::SYS_listen, [99, 5, 0, 0, 0, 0]);
        vec![tcp, client.join().expect("a thread"), none]
    };
    let folder = top.path().to_owned();
    let ending = ask(Variant::ProcessOnly, work, |listener| async move {
        while let Some(call) = listener.next().await.expect("no error") {
            listener.reach_unix(call, &folder).expect("reach");
        }
    });
    assert_eq!(ending, Ending::Said(vec![-i64::from(libc::EACCES), 0, -i64::from(libc::EBADF)]));
}

/// Closing a socket can wait for what it still has to send, as long as its owner says. Who answers must never be
/// the one who closes it last.
#[test]
fn a_socket_that_lingers_does_not_hold_up_who_answers() {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a socket pair");
    // Only a failing test waits so long.
    theirs.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
    let work = || {
        let server = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut stream = TcpStream::connect(server.local_addr().expect("an address")).expect("connect");
        let peer = server.accept().expect("a connection");
        stream.set_nonblocking(true).expect("an option");
        while stream.write(&[0; 64 << 10]).is_ok() {}
        sockopt::set_socket_linger(&stream, Some(Duration::from_secs(3600))).expect("an option");
        let fd = i64::from(std::os::fd::IntoRawFd::into_raw_fd(stream));
        let again =
            std::thread::spawn(move || connect_raw(fd, &[2, 0, 0, 1, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], 16));
        theirs.read_exact(&mut [0]).expect("it was heard of");
        // This may wait for ever now, but the number is free at once.
        std::thread::spawn(move || call(libc::SYS_close, [fd.cast_unsigned(), 0, 0, 0, 0, 0]));
        while call(libc::SYS_fcntl, [fd.cast_unsigned(), libc::F_GETFD as u64, 0, 0, 0, 0]) >= 0 {
            std::thread::yield_now();
        }
        theirs.write_all(b"!").expect("write");
        let answer = again.join().expect("a thread");
        let free = theirs.read_exact(&mut [0]).is_ok();
        drop(peer);
        vec![answer, i64::from(free)]
    };
    let ending = ask(Variant::Namespaced, work, |listener| async move {
        let call = listener.next().await.expect("no error").expect("a call");
        listener.go_on(call).expect("go on");
        let call = listener.next().await.expect("no error").expect("a call");
        ours.write_all(b"!").expect("write");
        ours.read_exact(&mut [0]).expect("it is closed");
        listener.go_on(call).expect("go on");
        ours.write_all(b"!").expect("write");
        assert!(listener.next().await.expect("no error").is_none());
    });
    assert_eq!(ending, Ending::Said(vec![-i64::from(libc::EBADF), 1]));
}
