//! Reads `calls.txt`: strictly, so that a slip in the policy is an error at start and never a hole.
use super::{Variant, names};

/// The policy of every build.
pub const TEXT: &str = include_str!("calls.txt");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Allow,
    /// EPERM.
    Deny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Is,
    IsNot,
    /// The bits of the mask are these.
    Bits(u64),
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Test {
    pub arg: u8,
    /// All 64 bits are compared, not the low 32.
    pub wide: bool,
    pub op: Op,
    pub value: u64,
}

impl Test {
    /// Whether this argument value passes.
    pub fn holds(&self, argument: u64) -> bool {
        let width = if self.wide { u64::MAX } else { u64::from(u32::MAX) };
        let argument = argument & width;
        match self.op {
            Op::Is => argument == self.value,
            Op::IsNot => argument != self.value,
            Op::Bits(mask) => argument & mask == self.value & mask,
        }
    }
}

/// One line: calls that share tests and a reason.
#[derive(Clone, Debug)]
pub struct Line {
    pub number: usize,
    pub verb: Verb,
    pub only: Option<Variant>,
    pub calls: Vec<String>,
    pub tests: Vec<Test>,
    /// The program that needs it, or `hostile`.
    pub who: String,
    pub why: String,
}

/// All lines. The error names the line and what is wrong with it.
pub fn parse(text: &str) -> Result<Vec<Line>, String> {
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(number, line)| read(number, line).map_err(|e| format!("calls.txt, line {number}: {e}"))).collect()
}

fn read(number: usize, line: &str) -> Result<Line, String> {
    let (rule, reason) = line.split_once(" # ").ok_or("no reason after ` # `")?;
    let (who, why) = reason.split_once(": ").ok_or("the reason is not `WHO: WHY`")?;
    let (who, why) = (who.trim().to_owned(), why.trim().to_owned());
    if who.is_empty() || why.is_empty() {
        return Err("the reason is empty".into());
    }
    let mut words = rule.split_whitespace().peekable();
    let verb = match words.next() {
        Some("allow") => Verb::Allow,
        Some("deny") => Verb::Deny,
        other => return Err(format!("{other:?} is neither allow nor deny")),
    };
    let only = match words.next_if(|word| word.starts_with('@')) {
        None => None,
        Some("@namespaced") => Some(Variant::Namespaced),
        Some("@process-only") => Some(Variant::ProcessOnly),
        Some(other) => return Err(format!("{other} is no variant")),
    };
    let (mut calls, mut tests) = (Vec::new(), Vec::new());
    for word in words {
        if word.contains('=') {
            tests.push(test(word).ok_or_else(|| format!("`{word}` is no test of an argument"))?);
        } else if !tests.is_empty() {
            return Err(format!("`{word}` stands after a test"));
        } else if !names::exists(word) {
            return Err(format!("no architecture has a call `{word}`"));
        } else {
            calls.push(word.to_owned());
        }
    }
    if calls.is_empty() {
        return Err("no call is named".into());
    }
    Ok(Line { number, verb, only, calls, tests, who, why })
}

/// `arg0=AF_UNIX`, `arg1&0xf=SOCK_STREAM`, `wide4!=0`
fn test(word: &str) -> Option<Test> {
    let (left, value) = word.split_once('=')?;
    let value = names::constant(value)?;
    let (left, op) = if let Some(left) = left.strip_suffix('!') {
        (left, Op::IsNot)
    } else if let Some((left, mask)) = left.split_once('&') {
        (left, Op::Bits(names::constant(mask)?))
    } else {
        (left, Op::Is)
    };
    let wide = left.starts_with("wide");
    let arg = left.strip_prefix(if wide { "wide" } else { "arg" })?;
    let arg = arg.parse().ok().filter(|arg| *arg < 6)?;
    (wide || value <= u64::from(u32::MAX)).then_some(Test { arg, wide, op, value })
}
