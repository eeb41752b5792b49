//! Secret values replaced by their names before a line is stored or sent.
use std::path::Path;

use crate::base::Secret;

/// Shorter values would make logs unreadable and protect little.
const SHORTEST: usize = 6;
/// Of a longer line of a secret only the beginning is looked for.
const LONGEST: usize = 4096;

/// What to replace, found in one pass by first byte.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a secret containing another wins.
    patterns: Vec<(Vec<u8>, Vec<u8>)>,
    by_first: Vec<Vec<u16>>,
    longest: usize,
}

impl Redactor {
    /// `code` is shown as `/app`, as inside a built root.
    pub fn new(secrets: &[(String, Secret<String>)], code: &Path) -> Self {
        let mut patterns = Vec::new();
        for (name, value) in secrets {
            // Exposed to be looked for; never printed.
            for line in value.expose().lines().map(str::trim).filter(|l| l.len() >= SHORTEST) {
                let line = &line.as_bytes()[..line.len().min(LONGEST)];
                patterns.push((line.to_vec(), format!("[{name}]").into_bytes()));
            }
        }
        if code != Path::new("/") && code != Path::new(super::sandbox::CODE) {
            patterns.push((format!("{}/", code.display()).into_bytes(), b"/app/".to_vec()));
        }
        patterns.sort_by_key(|(p, _)| std::cmp::Reverse(p.len()));
        patterns.truncate(usize::from(u16::MAX));
        let mut by_first = vec![Vec::new(); 256];
        for (index, (pattern, _)) in (0u16..).zip(&patterns) {
            by_first[usize::from(pattern[0])].push(index);
        }
        let longest = patterns.first().map_or(0, |(p, _)| p.len());
        Self { patterns, by_first, longest }
    }

    /// Bytes beyond a cut that must be known to be sure that no secret straddles it.
    pub fn lookahead(&self) -> usize {
        self.longest
    }

    fn found(&self, rest: &[u8]) -> Option<&(Vec<u8>, Vec<u8>)> {
        let candidates = self.by_first.get(usize::from(*rest.first()?))?;
        candidates.iter().map(|i| &self.patterns[usize::from(*i)]).find(|(p, _)| rest.starts_with(p))
    }

    /// `bytes[..cut]` with secrets replaced, and how much was taken: `cut`, or more when a secret straddles it.
    pub fn clean(&self, bytes: &[u8], cut: usize) -> (Vec<u8>, usize) {
        let mut out = Vec::with_capacity(cut);
        let mut at = 0;
        while at < cut.min(bytes.len()) {
            match self.found(&bytes[at..]) {
                Some((pattern, name)) => {
                    out.extend_from_slice(name);
                    at += pattern.len();
                }
                None => {
                    out.push(bytes[at]);
                    at += 1;
                }
            }
        }
        (out, at)
    }

    #[cfg(test)]
    fn line(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.clean(text.as_bytes(), text.len()).0).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let secret = |n: &str, v: &str| (n.to_owned(), Secret::new(v.to_owned()));
        let secrets = [
            secret("KEY", "hunter2!"),
            secret("LONG", "xxhunter2!yy"),
            secret("PEM", "abcdef\nab\nghijkl"),
            secret("N", "123"),
        ];
        Redactor::new(&secrets, Path::new("/data/apps/1/versions/3"))
    }

    #[test]
    fn secrets_and_paths() {
        let r = redactor();
        assert_eq!(r.line("a hunter2! b"), "a [KEY] b");
        assert_eq!(r.line("xxhunter2!yy"), "[LONG]");
        assert_eq!(r.line("abcdef ghijkl ab 123"), "[PEM] [PEM] ab 123");
        assert_eq!(r.line("at /data/apps/1/versions/3/index.ts:1:2"), "at /app/index.ts:1:2");
    }

    #[test]
    fn a_cut_never_halves_a_secret() {
        let r = redactor();
        let (out, taken) = r.clean(b"aaaahunter2!bbbb", 6);
        assert_eq!((out.as_slice(), taken), (b"aaaa[KEY]".as_slice(), 12));
    }
}
