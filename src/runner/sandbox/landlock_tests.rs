//! Walls in forked processes. Where a kernel's ABI lacks a wall, the tests expect just that.
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Command;

use super::*;
use crate::runner::sandbox::forked::{Ending, forked};

fn errno<T>(result: io::Result<T>) -> i64 {
    result.map_or_else(|e| i64::from(e.raw_os_error().unwrap_or(-1)), |_| 0)
}

fn said(ending: Ending) -> Vec<i64> {
    let Ending::Said(answers) = ending else { panic!("{ending:?}") };
    answers
}

/// What a dynamic program needs.
fn system() -> Vec<PathBuf> {
    ["/bin", "/usr", "/lib", "/lib64"].map(PathBuf::from).to_vec()
}

const DENIED: i64 = libc::EACCES as i64;

#[test]
fn files_are_reached_as_the_lists_say() {
    let top = tempfile::tempdir().expect("a folder");
    let [read, write, neither] = ["read", "write", "neither"].map(|name| top.path().join(name));
    for folder in [&read, &write, &neither] {
        fs::create_dir(folder).expect("a folder");
        File::create(folder.join("file")).expect("a file");
        fs::copy("/bin/true", folder.join("program")).expect("a program");
    }
    let mut walls = Walls { read: vec!["/proc".into(), read.clone()], execute: system(), ..Walls::default() };
    walls.write = vec![write.clone(), "/dev/null".into(), top.path().join("missing")];
    let answers = said(forked(|| {
        let outcome = restrict(&walls).expect("walls");
        assert_eq!((outcome.abi, &outcome.missing), (best_abi().min(10), &vec![top.path().join("missing")]));
        let append = |path: PathBuf| errno(fs::OpenOptions::new().append(true).open(path));
        let device = |path: PathBuf| {
            let (kind, mode) = (nix::sys::stat::SFlag::S_IFCHR, nix::sys::stat::Mode::S_IRWXU);
            errno(nix::sys::stat::mknod(&path, kind, mode, libc::makedev(1, 3)).map_err(io::Error::from))
        };
        vec![
            errno(File::open(read.join("file"))),
            errno(File::open(write.join("file"))),
            errno(File::open("/proc/self/maps")),
            errno(fs::read_dir(&read)),
            append(write.join("file")),
            append("/dev/null".into()),
            errno(fs::create_dir(write.join("folder"))),
            errno(Command::new("/bin/true").status()),
            errno(std::os::unix::fs::symlink("a", write.join("link"))),
            errno(fs::remove_file(write.join("link"))),
            errno(UnixListener::bind(write.join("socket"))),
            // Denied from here.
            append(read.join("file")),
            errno(File::open(neither.join("file"))),
            errno(fs::read_dir(&neither)),
            errno(File::create(neither.join("new"))),
            errno(fs::create_dir(read.join("folder"))),
            errno(fs::remove_file(read.join("file"))),
            errno(Command::new(read.join("program")).status()),
            errno(Command::new(write.join("program")).status()),
            i64::from(device(write.join("device")) != 0) * DENIED,
            errno(File::open("/etc/passwd")),
        ]
    }));
    assert_eq!(answers, [[0; 11].as_slice(), &[DENIED; 10]].concat());
}

#[test]
fn tcp_ends_at_the_walls() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = server.local_addr().expect("an address");
    let before = TcpStream::connect(at).expect("a connection");
    let (mut peer, _) = server.accept().expect("a connection");
    peer.write_all(b"x").expect("a byte");
    let try_all = |walls: Walls| {
        said(forked(|| {
            restrict(&walls).expect("walls");
            let mut byte = [0];
            vec![
                errno(TcpStream::connect(at)),
                errno(TcpListener::bind("127.0.0.1:0")),
                errno((&before).read_exact(&mut byte)),
            ]
        }))
    };
    let expected = if best_abi() >= 4 { DENIED } else { 0 };
    assert_eq!(try_all(Walls { deny_tcp: true, ..Walls::default() }), [expected, expected, 0]);
    peer.write_all(b"x").expect("a byte");
    assert_eq!(try_all(Walls::default()), [0, 0, 0]);
}

#[test]
fn signals_and_abstract_sockets_end_at_the_walls() {
    let name = format!("steady-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a name");
    let _server = UnixListener::bind_addr(&address).expect("an abstract socket");
    let kill = |pid| errno(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).map_err(io::Error::from));
    let answers = said(forked(|| {
        let parent = nix::unistd::getppid().as_raw();
        let before = [kill(parent), errno(UnixStream::connect_addr(&address))];
        restrict(&Walls::default()).expect("walls");
        let own = nix::unistd::getpid().as_raw();
        vec![before[0], before[1], kill(own), kill(parent), errno(UnixStream::connect_addr(&address))]
    }));
    let expected = if best_abi() >= 6 { i64::from(libc::EPERM) } else { 0 };
    assert_eq!(answers, [0, 0, 0, expected, expected]);
}
