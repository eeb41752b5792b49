//! `steady.toml`: finding it, reading it, printing the commented default.
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use toml::Table;

use super::keys::KEYS;
use crate::base::{Error, Result};

/// Looked for in this order when no `--config` is given.
const PLACES: [&str; 2] = ["./steady.toml", "/etc/steady/steady.toml"];
/// No settings are longer.
const FILE_BYTES: u64 = 1 << 20;

/// The settings file and what is in it; `None` when there is none. One that was asked for must be there.
/// Errors: `BadInput` naming the file, and line where it is no TOML.
pub(super) fn read(asked: Option<&Path>) -> Result<Option<(PathBuf, Table)>> {
    read_first(asked, &PLACES.map(Path::new))
}

fn read_first(asked: Option<&Path>, places: &[&Path]) -> Result<Option<(PathBuf, Table)>> {
    if let Some(path) = asked {
        let table = read_one(path)?.ok_or_else(|| {
            Error::bad_input(format!("there is no settings file {}", path.display()))
                .hint("Make one with `steady config default`, or leave --config away.")
        })?;
        return Ok(Some((path.to_owned(), table)));
    }
    for path in places {
        if let Some(table) = read_one(path)? {
            return Ok(Some((path.to_path_buf(), table)));
        }
    }
    Ok(None)
}

fn read_one(path: &Path) -> Result<Option<Table>> {
    let cannot =
        |e: io::Error| Error::bad_input(format!("the settings file {} cannot be read", path.display())).because(e);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(cannot(e)),
    };
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > FILE_BYTES {
        return Err(Error::bad_input(format!("the settings file {} is longer than 1 MiB", path.display())));
    }
    parse(&path.display().to_string(), &text).map(Some)
}

/// `file` is for messages. Errors: `BadInput` naming file and line.
pub(super) fn parse(file: &str, text: &str) -> Result<Table> {
    text.parse::<Table>().map_err(|e| {
        let line = e.span().map_or(1, |span| text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
        Error::bad_input(format!("{file}, line {line}: {}", e.message()))
            .hint("Write settings as `key = value`, texts in quotes; see `steady config default`.")
    })
}

/// All keys with their documentation, each commented out at its default: a newer Steady's defaults then
/// reach whoever has saved the file.
pub(super) fn default_file() -> String {
    let mut out = String::from(
        "# Settings of Steady. Each is shown with its default; take away the # to change it.\n\
         # Looked for at --config FILE, ./steady.toml, /etc/steady/steady.toml. The environment goes before\n\
         # the file (STEADY_MEMORY_MB=1024), and flags of `steady serve` go before both.\n",
    );
    for key in KEYS {
        out.push('\n');
        for line in key.doc.lines() {
            out.push_str(&format!("# {line}\n"));
        }
        if let Some(range) = key.range() {
            out.push_str(&format!("# {range}\n"));
        }
        out.push_str(&format!("#{} = {}\n", key.name, key.default));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::base::fs::write_atomic;

    #[test]
    fn the_first_that_is_there() {
        let temp = tempfile::tempdir().unwrap();
        let [here, etc, none] = ["here.toml", "etc.toml", "none.toml"].map(|name| temp.path().join(name));
        let first = |asked: Option<&Path>| read_first(asked, &[&here, &etc]).map(|found| found.map(|(path, _)| path));
        assert_eq!(first(None).unwrap(), None);
        write_atomic(&etc, b"pids = 99", 0o600).unwrap();
        assert_eq!(first(None).unwrap().as_ref(), Some(&etc));
        write_atomic(&here, b"", 0o600).unwrap();
        assert_eq!(first(None).unwrap().as_ref(), Some(&here));
        assert_eq!(first(Some(&etc)).unwrap().as_ref(), Some(&etc));
        let error = first(Some(&none)).unwrap_err();
        assert_eq!(error.kind, Kind::BadInput);
        assert!(error.public.contains("none.toml"));
    }

    #[test]
    fn a_broken_file_is_named_with_its_line() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("steady.toml");
        for (bytes, said) in [
            (&b"pids = 99\ndomain = example.org\n"[..], "line 2"),
            (b"a = 1\n\na = 2", "line 3"),
            (b"[[", "line 1"),
            (b"\xff\xfe", "cannot be read"),
            (&vec![b'\n'; 1 << 21], "longer than"),
        ] {
            write_atomic(&path, bytes, 0o600).unwrap();
            let error = read(Some(&path)).unwrap_err();
            assert_eq!(error.kind, Kind::BadInput);
            assert!(error.public.contains(said) && error.public.contains("steady.toml"), "{}", error.public);
        }
        assert_eq!(read(Some(temp.path())).unwrap_err().kind, Kind::BadInput, "a folder");
    }
}
