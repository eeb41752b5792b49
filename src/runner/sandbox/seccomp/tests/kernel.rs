//! The filters in forked processes, with real system calls.
use super::*;

/// What `work` answers in a process under the filters.
fn inside(variant: Variant, work: impl FnOnce() -> Vec<i64>) -> Ending {
    let filters = Filters::compile(variant).expect("the policy");
    forked(|| {
        nix::sys::prctl::set_no_new_privs().expect("no_new_privs");
        filters.install().expect("filters");
        work()
    })
}

/// What each call answers inside.
fn answers(variant: Variant, calls: &[(&str, [u64; 6])]) -> Vec<i64> {
    let arch = Arch::here().expect("an architecture");
    let numbers: Vec<_> =
        calls.iter().map(|(name, args)| (i64::from(names::number(arch, name).expect(name)), *args)).collect();
    let ending = inside(variant, || numbers.iter().map(|(number, args)| call(*number, *args)).collect());
    let Ending::Said(answers) = ending else { panic!("{ending:?}") };
    assert_eq!(answers.len(), calls.len());
    answers
}

fn expect(variant: Variant, expected: i32, calls: &[(&str, [u64; 6])]) {
    for ((name, args), answer) in calls.iter().zip(answers(variant, calls)) {
        assert_eq!(answer, -i64::from(expected), "{name} {args:x?}");
    }
}

const NONE: [u64; 6] = [0; 6];

fn first(a: i64, b: i64, c: i64) -> [u64; 6] {
    [a, b, c, 0, 0, 0].map(i64::cast_unsigned)
}

#[test]
fn hostile_calls_fail_with_eperm() {
    let lines = parse(TEXT).expect("the policy");
    let arch = Arch::here().expect("an architecture");
    let whole = lines.iter().filter(|line| line.verb == Verb::Deny && line.tests.is_empty() && line.only.is_none());
    let calls: Vec<_> = whole.flat_map(|line| &line.calls).filter(|call| names::number(arch, call).is_some()).collect();
    assert!(calls.len() > 90, "{}", calls.len());
    let calls: Vec<_> = calls.into_iter().map(|call| (call.as_str(), NONE)).collect();
    for variant in VARIANTS {
        expect(variant, libc::EPERM, &calls);
    }
}

#[test]
fn unknown_calls_fail_with_enosys() {
    let mut calls = vec![("io_uring_setup", NONE), ("clone3", NONE), ("cachestat", NONE), ("syncfs", NONE)];
    calls.push(("prctl", first(i64::from(libc::PR_SET_MM), 0, 0)));
    calls.push(("prctl", first(i64::from(libc::PR_SET_SECCOMP), 2, 0)));
    calls.push(("prctl", first(i64::from(libc::PR_CAP_AMBIENT), 0, 0)));
    calls.push(("prlimit64", first(1, 7, 0)));
    calls.push(("ioctl", first(0, libc::SIOCGIFCONF as i64, 0)));
    calls.push(("socketpair", first(2, 1, 0)));
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ] {
        calls.push(("clone", first(i64::from(flag | libc::SIGCHLD), 0, 0)));
    }
    for variant in VARIANTS {
        expect(variant, libc::ENOSYS, &calls);
    }
}

#[test]
fn ioctls_that_leave_the_jail_fail() {
    let numbers = [0x401c_5820, libc::FS_IOC_SETFLAGS as i64, libc::TIOCSTI as i64, libc::TIOCLINUX as i64];
    // The kernel compares 32 bits: more above do not pass either.
    let high = numbers.map(|number| number | 1 << 40);
    let calls: Vec<_> = numbers.into_iter().chain(high).map(|number| ("ioctl", first(0, number, 0))).collect();
    expect(Variant::Namespaced, libc::EPERM, &calls);
}

#[test]
fn sockets_are_of_the_few_kinds() {
    let socket = |domain: i32, kind: i32, protocol: i32| {
        ("socket", first(i64::from(domain), i64::from(kind), i64::from(protocol)))
    };
    let mut denied: Vec<_> = [libc::AF_PACKET, libc::AF_ALG, libc::AF_VSOCK, libc::AF_XDP, libc::AF_TIPC, libc::AF_CAN]
        .into_iter()
        .chain([libc::AF_KEY, libc::AF_RDS, 43, 0, -1])
        .map(|domain| socket(domain, libc::SOCK_DGRAM, 0))
        .collect();
    for family in [libc::AF_INET, libc::AF_INET6] {
        for protocol in [libc::IPPROTO_MPTCP, libc::IPPROTO_SCTP, libc::IPPROTO_ICMP, libc::IPPROTO_UDPLITE, 255] {
            denied.push(socket(family, libc::SOCK_STREAM, protocol));
            denied.push(socket(family, libc::SOCK_DGRAM, protocol));
            denied.push(socket(family, libc::SOCK_RAW, protocol));
        }
    }
    denied.push(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_NETFILTER));
    denied.push(socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT));
    let raw = [socket(libc::AF_INET, libc::SOCK_RAW, 0), socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_UDP)];
    let quick = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let mut fine = vec![
        socket(libc::AF_UNIX, libc::SOCK_STREAM | quick, 0),
        socket(libc::AF_UNIX, libc::SOCK_DGRAM, 0),
        socket(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0),
        socket(libc::AF_INET, libc::SOCK_STREAM | quick, 0),
        socket(libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP),
        socket(libc::AF_INET, libc::SOCK_DGRAM | quick, libc::IPPROTO_UDP),
    ];
    let netlink = socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, libc::NETLINK_ROUTE);
    for variant in VARIANTS {
        expect(variant, libc::EPERM, &denied);
        expect(variant, libc::ENOSYS, &raw);
    }
    expect(Variant::ProcessOnly, libc::EPERM, &[netlink]);
    fine.push(netlink);
    for (n, answer) in answers(Variant::Namespaced, &fine).into_iter().enumerate() {
        assert!(answer > 0, "{:x?}: {answer}", fine[n]);
    }
}

#[test]
fn without_namespaces_nothing_but_connect_has_an_address() {
    let datagram = |family: i32| ("socket", first(i64::from(family), i64::from(libc::SOCK_DGRAM), 0));
    let fast = i64::from(libc::MSG_FASTOPEN | libc::MSG_NOSIGNAL);
    let pair = ("socketpair", first(i64::from(libc::AF_UNIX), i64::from(libc::SOCK_DGRAM), 0));
    let with_flags = |at: usize| {
        let mut args = [u64::MAX, 0, 0, 0, 0, 0];
        args[at] = fast.cast_unsigned();
        args
    };
    let sends = [("sendto", with_flags(3)), ("sendmsg", with_flags(2)), ("sendmmsg", with_flags(3))];
    expect(Variant::ProcessOnly, libc::EPERM, &sends);
    expect(
        Variant::ProcessOnly,
        libc::EPERM,
        &[datagram(libc::AF_INET), datagram(libc::AF_INET6), datagram(libc::AF_UNIX), pair],
    );
    // Answers of the kernel itself, not of a filter.
    expect(Variant::ProcessOnly, libc::EBADF, &["sendto", "sendmsg", "sendmmsg"].map(|name| (name, first(-1, 0, 0))));
    expect(Variant::Namespaced, libc::EBADF, &sends);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn x32_numbers_fail_and_32_bit_calls_kill() {
    let Ending::Said(answers) =
        inside(Variant::Namespaced, || [39, 0, 59, 520, 42].map(|number| call(number | 0x4000_0000, NONE)).to_vec())
    else {
        panic!("it must live")
    };
    assert_eq!(answers, [-i64::from(libc::ENOSYS); 5]);
    let ending = inside(Variant::Namespaced, || {
        // SAFETY: getpid of 32 bit processes: the kernel kills this process for it.
        unsafe {
            std::arch::asm!("int 0x80", inout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
        };
        vec![]
    });
    assert_eq!(ending, Ending::Killed(libc::SIGSYS));
}

/// In a thread beside others too: the whole process ends, it does not hang with one thread less.
#[test]
#[cfg(target_arch = "x86_64")]
fn a_foreign_call_in_a_thread_kills_the_process() {
    let ending = inside(Variant::Namespaced, || {
        let thread = std::thread::spawn(|| {
            // SAFETY: as above.
            unsafe {
                std::arch::asm!("int 0x80", inout("eax") 20 => _, out("r8") _, out("r9") _, out("r10") _, out("r11") _)
            };
        });
        let _ = thread.join();
        vec![]
    });
    assert_eq!(ending, Ending::Killed(libc::SIGSYS));
}

#[test]
fn ordinary_work_goes_on() {
    let ending = inside(Variant::ProcessOnly, || {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::File::create(&file).expect("a file");
        std::fs::hard_link(&file, folder.path().join("other")).expect("a link");
        let program = std::process::Command::new("/bin/true").status().expect("a program");
        let threads = std::thread::available_parallelism().expect("a count").get();
        let sum = std::thread::spawn(|| 41 + 1).join().expect("a thread");
        vec![i64::from(program.success()), i64::from(threads > 0), sum]
    });
    assert_eq!(ending, Ending::Said(vec![1, 1, 42]));
}
