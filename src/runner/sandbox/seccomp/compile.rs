//! From the policy's lines to one program for the kernel's filter machine: a tree over the numbers of calls, so that
//! any is found in a few steps, and at its leaves an answer, or the tests of the arguments. Short, because the kernel
//! translates it and tries every number at each start.
use std::collections::BTreeMap;

use nix::libc::{self, sock_filter};

use super::Variant;
use super::names::{self, Arch};
use super::policy::{Line, Op, Test, Verb};

/// Numbers from here on are another way of calling (x32), which nobody has.
const FAR: u32 = 0x4000_0000;
/// A jump depending on a comparison leads at most so far.
const NEAR: usize = 255;

const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
const MISSING: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs();
const DENIED: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();

/// What the lines say of one call.
#[derive(Clone, Debug, Default)]
struct Rules {
    /// Each a list of tests that must all hold; none: always.
    deny: Vec<Vec<Test>>,
    allow: Vec<Vec<Test>>,
}

impl Rules {
    /// The answer, when it is the same for all arguments.
    fn always(&self) -> Option<u32> {
        let whole = |rules: &[Vec<Test>]| rules.iter().any(Vec::is_empty);
        match (whole(&self.deny), self.deny.is_empty(), whole(&self.allow), self.allow.is_empty()) {
            (true, ..) => Some(DENIED),
            (_, true, true, _) => Some(ALLOW),
            (_, true, _, true) => Some(MISSING),
            _ => None,
        }
    }
}

/// The program, for one architecture and variant. Errors: the line that is wrong.
pub(super) fn program(arch: Arch, lines: &[Line], variant: Variant) -> Result<Vec<sock_filter>, String> {
    let mut calls: BTreeMap<u32, Rules> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.only.is_none_or(|only| only == variant)) {
        for call in &line.calls {
            let Some(number) = names::number(arch, call) else { continue };
            let rules = calls.entry(number).or_default();
            let list = if line.verb == Verb::Allow { &mut rules.allow } else { &mut rules.deny };
            // A line without a test means always; one beside it would say nothing, or worse.
            if list.iter().any(Vec::is_empty) || (line.tests.is_empty() && !list.is_empty()) {
                return Err(format!("calls.txt, line {}: `{call}` is named without a test and elsewhere", line.number));
            }
            list.push(line.tests.clone());
        }
    }
    let mut program = vec![
        load(4),
        // Of another architecture (`int 0x80`): the whole process ends, not one thread of it.
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, 0, arch.audit()),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(0),
    ];
    program.extend(tree(&ranges(&calls))?);
    u16::try_from(program.len()).map_err(|_| "seccomp: the filter is too long".to_owned())?;
    Ok(program)
}

/// Each from its first number to that of the next; neighbours with the same answer are one.
fn ranges(calls: &BTreeMap<u32, Rules>) -> Vec<(u32, Rules)> {
    let mut all: Vec<(u32, Rules)> = vec![(0, Rules::default())];
    let mut add = |first: u32, rules: &Rules| {
        // It begins with one, and none is taken away.
        let Some(last) = all.last_mut() else { return };
        let same = rules.always().is_some() && last.1.always() == rules.always();
        match (same, last.0 == first) {
            (true, _) => {}
            (false, true) => last.1 = rules.clone(),
            (false, false) => all.push((first, rules.clone())),
        }
    };
    for (number, rules) in calls {
        add(*number, rules);
        if !calls.contains_key(&(number + 1)) {
            add(number + 1, &Rules::default());
        }
    }
    add(FAR, &Rules::default());
    all
}

/// Halves by the number, until one range is left.
fn tree(ranges: &[(u32, Rules)]) -> Result<Vec<sock_filter>, String> {
    let (lower, upper) = ranges.split_at(ranges.len() / 2);
    let Some((pivot, rules)) = upper.first() else { return Ok(Vec::new()) };
    if lower.is_empty() {
        return rules.always().map_or_else(|| tests(rules), |always| Ok(vec![answer(always)]));
    }
    let (lower, upper) = (tree(lower)?, tree(upper)?);
    let over = u32::try_from(lower.len()).map_err(|e| format!("seccomp: {e}"))?;
    let compare = |yes, no| step(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, yes, no, *pivot);
    let mut all = match u8::try_from(lower.len()) {
        Ok(near) => vec![compare(near, 0)],
        Err(_) => vec![compare(0, 1), step(libc::BPF_JMP | libc::BPF_JA, 0, 0, over)],
    };
    all.extend(lower);
    all.extend(upper);
    Ok(all)
}

/// One rule after another; the first that holds answers.
fn tests(rules: &Rules) -> Result<Vec<sock_filter>, String> {
    let mut all = Vec::new();
    let denied = rules.deny.iter().map(|tests| (tests, DENIED));
    for (tests, then) in denied.chain(rules.allow.iter().map(|tests| (tests, ALLOW))) {
        let mut left: Vec<Vec<Check>> = tests.iter().map(checks).collect();
        // What is not yet passed, to be jumped over when a check fails: the answer, and the checks before it.
        let mut over = 1;
        let mut rule = vec![answer(then)];
        while let Some(test) = left.pop() {
            let (code, length) = test_steps(&test, over)?;
            over += length;
            rule.splice(0..0, code);
        }
        all.extend(rule);
    }
    all.push(answer(MISSING));
    Ok(all)
}

/// A comparison of one half of an argument.
struct Check {
    /// Bytes from the beginning of what the kernel shows.
    at: u32,
    mask: u32,
    value: u32,
    /// It must be something else, here or in another half.
    not: bool,
}

/// Little-endian, as both architectures are. The low half first.
fn checks(test: &Test) -> Vec<Check> {
    let (mask, not) = match test.op {
        Op::Is => (u64::MAX, false),
        Op::IsNot => (u64::MAX, true),
        Op::Bits(mask) => (mask, false),
    };
    let low = 16 + 8 * u32::from(test.arg);
    // Cut to 32 bits on purpose: the halves of a word.
    #[allow(clippy::cast_possible_truncation)]
    let half = |at, shift: u32| Check { at, mask: (mask >> shift) as u32, value: (test.value >> shift) as u32, not };
    let mut all = vec![half(low, 0)];
    if test.wide {
        all.push(half(low + 4, 32));
    }
    all
}

/// `over`: how many steps to jump over where the test does not hold.
fn test_steps(halves: &[Check], over: usize) -> Result<(Vec<sock_filter>, usize), String> {
    let mut code: Vec<sock_filter> = Vec::new();
    for (n, check) in halves.iter().enumerate().rev() {
        let after = code.len();
        let far = |steps: usize| {
            u8::try_from(steps).ok().filter(|_| steps <= NEAR).ok_or("seccomp: too many tests of one call")
        };
        let fails = far(after + over)?;
        let (equal, other) = match (check.not, n + 1 == halves.len()) {
            (false, _) => (0, fails),
            // One half that differs is enough.
            (true, true) => (fails, 0),
            (true, false) => (0, far(after)?),
        };
        let masked = check.value & check.mask;
        let mut half = vec![load(check.at)];
        if check.mask != u32::MAX {
            half.push(step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, check.mask));
        }
        half.push(step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, equal, other, masked));
        code.splice(0..0, half);
    }
    let length = code.len();
    Ok((code, length))
}

fn load(at: u32) -> sock_filter {
    step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at)
}

fn answer(action: u32) -> sock_filter {
    step(libc::BPF_RET | libc::BPF_K, 0, 0, action)
}

pub(super) fn step(code: u32, jt: u8, jf: u8, k: u32) -> sock_filter {
    // All of the machine's instructions fit.
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt, jf, k }
}
