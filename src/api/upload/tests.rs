use std::io::Write as _;

use proptest::prelude::*;

use super::*;

fn header(kind: tar::EntryType, size: u64, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header
}

/// A tar with one entry, its name written raw so that bad ones are possible.
fn one(name: &str, kind: tar::EntryType, bytes: &[u8]) -> Vec<u8> {
    let mut header = header(kind, bytes.len() as u64, 0o644);
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("/etc/passwd").unwrap();
    }
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, bytes).unwrap();
    builder.into_inner().unwrap()
}

fn tar(files: &[(&str, &[u8], u32)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes, mode) in files {
        let mut header = header(tar::EntryType::Regular, bytes.len() as u64, *mode);
        builder.append_data(&mut header, path, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn small() -> Bounds {
    Bounds { sent: 64 << 10, unpacked: 8 << 10, files: 3 }
}

#[test]
fn files_come_out_with_their_executable_bit_plain_or_gzipped() {
    let long = format!("src/{}/index.ts", "d".repeat(120));
    let archive = tar(&[("./index.ts", b"1", 0o644), (&long, b"22", 0o600), ("run.sh", b"", 0o755)]);
    for archive in [gzip(&archive), archive] {
        let files = unpack(&archive[..], small()).unwrap();
        assert_eq!(
            files,
            [
                (PathBuf::from("index.ts"), b"1".to_vec(), false),
                (PathBuf::from(&long), b"22".to_vec(), false),
                (PathBuf::from("run.sh"), Vec::new(), true)
            ]
        );
    }
}

#[test]
fn paths_that_leave_and_things_that_are_no_files_are_refused_by_name() {
    use tar::EntryType as T;
    let bad = [
        ("../x", T::Regular),
        ("/etc/passwd", T::Regular),
        ("a/../../x", T::Regular),
        (".git/config", T::Regular),
        ("a/.GIT/hooks/x", T::Regular),
        ("../d/", T::Directory),
        ("link", T::Symlink),
        ("hard", T::Link),
        ("tty", T::Char),
        ("disk", T::Block),
        ("pipe", T::Fifo),
    ];
    for (name, kind) in bad {
        let error = unpack(&one(name, kind, b"")[..], small()).unwrap_err();
        assert_eq!(error.kind, Kind::BadInput, "{name}");
        let plain = name.trim_end_matches('/');
        assert!(error.public.contains(plain), "{name}: {}", error.public);
    }
}

#[test]
fn the_same_path_twice_or_as_file_and_folder_is_refused() {
    for pair in [["a", "a"], ["a", "a/b"], ["a/b", "a"]] {
        let archive = tar(&[(pair[0], b"1", 0o644), (pair[1], b"2", 0o644)]);
        let error = unpack(&archive[..], small()).unwrap_err();
        assert!(error.public.contains("twice"), "{pair:?}: {}", error.public);
    }
}

#[test]
fn more_than_the_bounds_is_too_large() {
    let big = vec![0u8; 9 << 10];
    let many: Vec<(String, &[u8], u32)> = (0..4).map(|n| (format!("f{n}"), &b"x"[..], 0o644)).collect();
    let many: Vec<(&str, &[u8], u32)> = many.iter().map(|(p, b, m)| (p.as_str(), *b, *m)).collect();
    let sent = Bounds { sent: 512, ..small() };
    let cases = [
        (gzip(&tar(&[("big", &big, 0o644)])), small()),
        (tar(&many), small()),
        (tar(&[("a", b"1", 0o644)]), sent),
        // A long name as large as a bomb: no file of it is over the bound, the archive is.
        (gzip(&one("x", tar::EntryType::GNULongName, &vec![b'a'; 1 << 20])), small()),
    ];
    for (archive, bounds) in cases {
        assert_eq!(unpack(&archive[..], bounds).unwrap_err().kind, Kind::TooLarge);
    }
}

#[test]
fn cut_short_or_empty_is_bad_input() {
    let whole = gzip(&tar(&[("a", &[7u8; 2000], 0o644)]));
    for bytes in [&whole[..whole.len() / 2], b"", b"not a tar at all", &[0u8; 1024]] {
        assert_eq!(unpack(bytes, small()).unwrap_err().kind, Kind::BadInput);
    }
}

proptest! {
    #[test]
    fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
        let _ = unpack(&bytes[..], small());
        let _ = unpack(&gzip(&bytes)[..], small());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_breaks_off_is_an_error() {
    let whole = tar(&[("a", b"1", 0o644)]);
    let files = receive(Body::from(whole.clone())).await.unwrap();
    assert_eq!(files.len(), 1);
    let part = bytes::Bytes::copy_from_slice(&whole[..600]);
    let broken = futures_util::stream::iter([Ok(part), Err(io::Error::other("gone"))]);
    assert_eq!(receive(Body::from_stream(broken)).await.unwrap_err().kind, Kind::BadInput);
}
