//! The policy as data, and what the kernel makes of it.
use std::collections::{BTreeMap, BTreeSet};

use nix::libc::{self, sock_filter};

use super::names::Arch;
use super::policy::{Line, Op, TEXT, Verb, parse};
use super::{Filters, Variant, names};
use crate::runner::sandbox::forked::{Ending, call, forked};

mod kernel;

const VARIANTS: [Variant; 2] = [Variant::Namespaced, Variant::ProcessOnly];
/// Who a line may be for. A line nobody of these needs has no place in the policy.
const WHO: &[&str] = &["bun", "bun install", "jsc", "glibc", "musl", "sqlite", "go", "addons", "hostile"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Allowed,
    Denied,
    Missing,
}

/// What the lines say of a call: the meaning of the policy, written a second time.
fn decide(lines: &[&Line], variant: Variant, call: &str, args: [u64; 6]) -> Answer {
    let named = |line: &&&Line| line.only.is_none_or(|only| only == variant) && line.calls.iter().any(|c| c == call);
    let holds = |line: &&Line| line.tests.iter().all(|test| test.holds(args[usize::from(test.arg)]));
    let verbs: Vec<Verb> = lines.iter().filter(named).filter(|line| holds(line)).map(|line| line.verb).collect();
    if verbs.contains(&Verb::Deny) {
        Answer::Denied
    } else if verbs.contains(&Verb::Allow) {
        Answer::Allowed
    } else {
        Answer::Missing
    }
}

/// Argument lists that tell the lines about `call` apart: every value that some test mentions, and such that
/// none does, in every combination.
fn witnesses(lines: &[&Line], call: &str) -> Vec<[u64; 6]> {
    let mut values: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
    for test in lines.iter().filter(|line| line.calls.iter().any(|c| c == call)).flat_map(|line| &line.tests) {
        let here = values.entry(usize::from(test.arg)).or_default();
        here.extend([test.value, test.value | 1 << 40, 0, 3, 0xffff_fff1]);
        if let Op::Bits(mask) = test.op {
            here.extend([test.value | (!mask & 0xffff_ffff), test.value ^ mask]);
        }
    }
    let mut all = vec![[0; 6]];
    for (arg, values) in values {
        let with = |args: &[u64; 6], value| {
            let mut args = *args;
            args[arg] = value;
            args
        };
        all = all.iter().flat_map(|args| values.iter().map(move |value| with(args, *value))).collect();
    }
    all
}

#[test]
fn every_line_says_who_needs_it_and_why() {
    for line in parse(TEXT).expect("the policy") {
        assert!(WHO.contains(&line.who.as_str()), "line {}: `{}` is none of {WHO:?}", line.number, line.who);
        assert_eq!(line.who == "hostile", line.verb == Verb::Deny, "line {}: hostile is for deny", line.number);
        assert!(line.why.len() > 4, "line {}: `{}` is no reason", line.number, line.why);
    }
}

/// Without any one line some call must have another answer, for each call the line names.
#[test]
fn no_line_is_redundant() {
    let all = parse(TEXT).expect("the policy");
    let wrong = redundant(&all);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn redundant(all: &[Line]) -> Vec<String> {
    let every: Vec<&Line> = all.iter().collect();
    let mut wrong = Vec::new();
    for line in all {
        let without: Vec<&Line> = all.iter().filter(|other| other.number != line.number).collect();
        for call in &line.calls {
            let twice = line.calls.iter().filter(|other| *other == call).count() > 1;
            let matters = |variant, args| decide(&every, variant, call, args) != decide(&without, variant, call, args);
            let needed = witnesses(&every, call)
                .into_iter()
                .any(|args| VARIANTS.into_iter().any(|variant| matters(variant, args)));
            if twice || !needed {
                wrong.push(format!("calls.txt, line {}: `{call}` changes nothing", line.number));
            }
        }
    }
    wrong
}

#[test]
fn redundancy_is_seen() {
    let wrong = |text: &str| redundant(&parse(text).expect("a policy")).len();
    assert_eq!(wrong("allow read # bun: reads"), 0);
    assert_eq!(wrong("allow read # bun: reads\nallow read # bun: reads again"), 2);
    assert_eq!(wrong("allow read read # bun: reads"), 2);
    assert_eq!(wrong("allow socket arg0=1 # bun: a\nallow socket arg0=1 arg1=1 # bun: b"), 1);
    assert_eq!(wrong("allow socket # bun: a\nallow socket arg1=1 # bun: b"), 1);
    assert_eq!(wrong("allow read # bun: a\ndeny read # hostile: b"), 1);
    assert_eq!(wrong("allow read # bun: a\ndeny @process-only read # hostile: b"), 0);
    assert_eq!(wrong("allow clone arg0&6=0 # bun: a\nallow clone arg0&2=0 # bun: b"), 1);
}

#[test]
fn what_is_not_understood_is_refused() {
    for (text, says) in [
        ("allow read", "no reason"),
        ("allow read # bun", "WHO"),
        ("allow read # : why", "empty"),
        ("permit read # bun: why", "neither allow nor deny"),
        ("allow @both read # bun: why", "no variant"),
        ("allow raed # bun: why", "no architecture has a call `raed`"),
        ("allow # bun: why", "no call"),
        ("allow socket arg0=AF_NIX # bun: why", "no test"),
        ("allow socket arg6=1 # bun: why", "no test"),
        ("allow socket arg0=0x1ffffffff # bun: why", "no test"),
        ("allow socket arg0=1 read # bun: why", "after a test"),
        ("allow socket 0=1 # bun: why", "no test"),
    ] {
        let error = parse(text).expect_err(text);
        assert!(error.contains(says) && error.contains("line 1"), "{text}: {error}");
    }
    let twice = parse("allow read # bun: a\nallow read arg0=1 # bun: b").expect("a policy");
    let error = Filters::compile_for(Arch::X86_64, &twice, Variant::Namespaced).err().expect("twice");
    assert!(error.contains("line 2"), "{error}");
}

#[test]
fn every_constant_is_used() {
    for name in names::all_constants() {
        let used = |word: &str| word.split(['=', '&', '!']).skip(1).any(|part| part == name);
        assert!(TEXT.split_whitespace().any(used), "{name} is in no line of calls.txt");
    }
}

/// The kernel's interpreter, for the few instructions that seccomp programs have.
fn run(program: &[sock_filter], data: &[u32; 16]) -> u32 {
    let (mut at, mut a) = (0usize, 0u32);
    loop {
        let step = &program[at];
        at += 1;
        let mut jump = |yes: bool| at += usize::from(if yes { step.jt } else { step.jf });
        match u32::from(step.code) {
            0x20 => a = data[step.k as usize / 4],
            0x54 => a &= step.k,
            0x05 => at += step.k as usize,
            0x15 => jump(a == step.k),
            0x25 => jump(a > step.k),
            0x35 => jump(a >= step.k),
            0x06 => return step.k,
            other => panic!("instruction {other:#x}"),
        }
    }
}

/// What the kernel would answer to a call: `Err` with an errno, or the killing of the process.
fn verdict(filters: &Filters, audit: u32, number: u32, args: [u64; 6]) -> Result<(), i32> {
    let mut data = [0u32; 16];
    (data[0], data[1]) = (number, audit);
    for (n, arg) in args.into_iter().enumerate() {
        (data[4 + 2 * n], data[5 + 2 * n]) = (arg as u32, (arg >> 32) as u32);
    }
    let answer = run(&filters.calls, &data);
    match answer & 0xffff_0000 {
        libc::SECCOMP_RET_ALLOW => Ok(()),
        libc::SECCOMP_RET_ERRNO => Err((answer & 0xffff) as i32),
        libc::SECCOMP_RET_KILL_PROCESS => Err(-1),
        other => panic!("action {other:#x}"),
    }
}

/// On both architectures, whichever this machine has.
#[test]
fn the_filters_say_what_the_policy_says() {
    let all = parse(TEXT).expect("the policy");
    let lines: Vec<&Line> = all.iter().collect();
    let calls: BTreeSet<&str> = lines.iter().flat_map(|line| &line.calls).map(String::as_str).collect();
    for arch in names::ARCHITECTURES {
        let audit = arch.audit();
        for variant in VARIANTS {
            let filters = Filters::compile_for(arch, &all, variant).expect("filters");
            let mut named = BTreeSet::new();
            for call in &calls {
                let Some(number) = names::number(arch, call) else { continue };
                named.insert(number);
                for args in witnesses(&lines, call) {
                    let expected = match decide(&lines, variant, call, args) {
                        Answer::Allowed => Ok(()),
                        Answer::Denied => Err(libc::EPERM),
                        Answer::Missing => Err(libc::ENOSYS),
                    };
                    assert_eq!(verdict(&filters, audit, number, args), expected, "{arch:?} {call} {args:x?}");
                }
                // The same number as x32 counts it.
                assert_eq!(verdict(&filters, audit, number | 0x4000_0000, [0; 6]), Err(libc::ENOSYS));
                // And of a 32 bit process.
                assert_eq!(verdict(&filters, 0x4000_0003, number, [0; 6]), Err(-1));
            }
            // Also where no piece begins or ends, and what is negative to a caller.
            let far = [0x0fff_ffff, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
            for number in (0..1024).chain(far).filter(|number| !named.contains(number)) {
                assert_eq!(verdict(&filters, audit, number, [0; 6]), Err(libc::ENOSYS), "call {number}");
                assert_eq!(verdict(&filters, 0x4000_0003, number, [0; 6]), Err(-1), "call {number} of 32 bits");
            }
        }
    }
}

/// Each step costs at every start. The kernel answers by itself for a call that is allowed whatever its arguments are,
/// if it can see that from the number alone: those of a request must be such.
#[test]
fn the_filter_is_short_and_a_requests_calls_need_no_look_at_arguments() {
    let all = parse(TEXT).expect("the policy");
    for arch in names::ARCHITECTURES {
        let filters = Filters::compile_for(arch, &all, Variant::Namespaced).expect("filters");
        assert!(filters.calls.len() < 700, "{arch:?}: {} steps", filters.calls.len());
        for call in ["read", "write", "readv", "writev", "recvfrom", "sendto", "epoll_ctl", "epoll_pwait2", "close"] {
            let number = names::number(arch, call).expect(call);
            let lines: Vec<&Line> = all.iter().filter(|line| line.calls.iter().any(|c| c == call)).collect();
            let tested = lines.iter().any(|line| line.only != Some(Variant::ProcessOnly) && !line.tests.is_empty());
            assert!(!tested, "{call} is tested");
            assert_eq!(verdict(&filters, arch.audit(), number, [u64::MAX; 6]), Ok(()), "{arch:?} {call}");
        }
    }
}

#[test]
fn both_halves_of_a_wide_argument_are_compared() {
    let text = "allow read wide0=0x100000002 # bun: a\nallow write wide1!=0x100000002 # bun: b\n\
                allow close wide2&0xff00000000=0x100000000 # bun: c\ndeny close arg0=7 # hostile: d";
    let all = parse(text).expect("a policy");
    let lines: Vec<&Line> = all.iter().collect();
    for arch in names::ARCHITECTURES {
        let filters = Filters::compile_for(arch, &all, Variant::Namespaced).expect("filters");
        for call in ["read", "write", "close"] {
            let number = names::number(arch, call).expect(call);
            for value in [0, 2, 7, 1 << 32, (1 << 32) | 2, (2 << 32) | 2, (1 << 32) | 3, 0x1_ff00_0000, 0x2_0000_0000] {
                let expected = match decide(&lines, Variant::Namespaced, call, [value; 6]) {
                    Answer::Allowed => Ok(()),
                    Answer::Denied => Err(libc::EPERM),
                    Answer::Missing => Err(libc::ENOSYS),
                };
                assert_eq!(verdict(&filters, arch.audit(), number, [value; 6]), expected, "{arch:?} {call} {value:x}");
            }
        }
    }
}
