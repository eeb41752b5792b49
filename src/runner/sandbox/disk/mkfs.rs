//! Making a file system in a file: by `mkfs.ext4`, which also takes a folder's content along.
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Quota;
use super::loops::BLOCK;
use crate::base::Clock;

/// Inodes that ext4 keeps for itself; the root folder is one of them. `lost+found`, the eleventh, is removed.
pub const RESERVED: u64 = 10;
/// Making an empty one takes milliseconds; filling it takes as long as the copy of a home.
const TIMEOUT: Duration = Duration::from_secs(1800);
const PROGRAM: &str = "mkfs.ext4";

/// What is asked of a new file system.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    quota: Quota,
    journal_mib: u64,
}

impl Shape {
    pub fn of(quota: Quota) -> Self {
        Self { quota, journal_mib: if quota.bytes < 256 << 20 { 4 } else { 16 } }
    }
}

pub fn find(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"]
        .iter()
        .map(|dir| Path::new(dir).join(name))
        .find(|p| p.is_file())
}

/// Makes `image`, with as much room as asked and what is in `content`. Errors: a sentence.
pub fn make(image: &Path, shape: Shape, content: Option<&Path>) -> Result<(), String> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(image);
    let file = file.map_err(|e| e.to_string())?;
    let wanted = shape.quota.bytes.div_ceil(BLOCK);
    let mut total = wanted + wanted / 64 + shape.quota.files / 16 + shape.journal_mib * 256 + 256;
    // What ext4 takes for itself depends on the size in steps: it is made, looked at and made again.
    for round in 0..8 {
        fresh(&file, image, shape, total, None)?;
        let free = free(&file).map_err(|e| e.to_string())?;
        if free == wanted || round > 3 && free > wanted {
            break;
        }
        if round == 7 {
            return Err(format!("no size gives {} bytes of room", shape.quota.bytes));
        }
        total = (total + wanted).saturating_sub(free);
        if round > 2 {
            // Between two steps: rather a little too much.
            total += 512;
        }
    }
    match content {
        Some(folder) => fresh(&file, image, shape, total, Some(folder)),
        None => Ok(()),
    }
}

fn fresh(file: &File, image: &Path, shape: Shape, total: u64, content: Option<&Path>) -> Result<(), String> {
    file.set_len(0).and_then(|()| file.set_len(total * BLOCK)).map_err(|e| e.to_string())?;
    let mut command = program(PROGRAM)?;
    command.args(["-q", "-F", "-b", "4096", "-I", "256", "-m", "0", "-t", "ext4"]);
    command.arg("-N").arg((shape.quota.files + RESERVED + 1).to_string());
    command.arg("-J").arg(format!("size={}", shape.journal_mib));
    // A fresh sparse file is all zeros: nothing is written for that, now or later.
    command.args(["-E", "lazy_itable_init=0,lazy_journal_init=1,discard"]);
    if let Some(folder) = content {
        command.arg("-d").arg(folder);
    }
    command.arg(image).arg(total.to_string());
    run(command, PROGRAM)
}

/// Mends what it can. Errors: a sentence.
pub fn repair(image: &Path) -> Result<(), String> {
    let mut command = program("e2fsck")?;
    command.args(["-f", "-y"]).arg(image);
    // 1 and 2: mended.
    match run(command, "e2fsck") {
        Err(why) if why.starts_with("e2fsck: exit 1") || why.starts_with("e2fsck: exit 2") => Ok(()),
        other => other,
    }
}

/// Gives an image that is mounted nowhere so many blocks more. Errors: a sentence.
pub fn grow(image: &Path, more: u64) -> Result<(), String> {
    let file = OpenOptions::new().read(true).write(true).open(image).map_err(|e| e.to_string())?;
    // It looks at what it is to grow first, and insists on that.
    repair(image)?;
    let look = |file: &File| free(file).and_then(|free| Ok((free, blocks(file)?))).map_err(|e| e.to_string());
    let (before, _) = look(&file)?;
    let mut extra = 0;
    for _ in 0..12 {
        let (now, total) = look(&file)?;
        let missing = (before + more).saturating_sub(now);
        if missing == 0 {
            return file.sync_all().map_err(|e| e.to_string());
        }
        let wanted = total + missing + extra;
        file.set_len(wanted * BLOCK).map_err(|e| e.to_string())?;
        let mut command = program("resize2fs")?;
        command.arg(image).arg(wanted.to_string());
        run(command, "resize2fs")?;
        // A last group that is too small to be one is left away: then a little more.
        extra = if look(&file)?.0 > now { 0 } else { extra + 1024 };
    }
    Err("it could not be grown to its quota".into())
}

fn program(name: &str) -> Result<Command, String> {
    let path = find(name).ok_or_else(|| format!("there is no {name}: install e2fsprogs"))?;
    let mut command = Command::new(path);
    command.env_clear().env("LANG", "C").env("MKE2FS_SYNC", "0").current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command)
}

fn run(mut command: Command, name: &str) -> Result<(), String> {
    let cannot = |e: io::Error| format!("{name}: {e}");
    let mut child = command.spawn().map_err(cannot)?;
    let pipe = child.stderr.take();
    // Read aside, bounded, so that a talkative program neither stops nor fills memory.
    let said = std::thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(mut pipe) = pipe {
            let _ = pipe.by_ref().take(4096).read_to_end(&mut said);
            let _ = io::copy(&mut pipe, &mut io::sink());
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    });
    let clock = Clock::stopwatch();
    let mut pause = Duration::from_millis(1);
    let status = loop {
        if let Some(status) = child.try_wait().map_err(cannot)? {
            break status;
        }
        if clock.elapsed() > TIMEOUT {
            let _ = child.kill();
            let _ = child.wait();
            return Err(format!("{name} did not end within {} s", TIMEOUT.as_secs()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(50));
    };
    let said = said.join().unwrap_or_default();
    match (status.success(), status.code()) {
        (true, _) => Ok(()),
        (_, Some(code)) => Err(format!("{name}: exit {code}: {said}")),
        (_, None) => Err(format!("{name}: ended by a signal: {said}")),
    }
}

/// Blocks of the file system in `device`, mounted or not.
pub fn blocks(device: &File) -> io::Result<u64> {
    superblock(device).map(|s| u64::from(word(&s, 4)) | u64::from(word(&s, 0x150)) << 32)
}

/// Blocks that a user can fill: the kernel keeps some back for its own bookkeeping.
fn free(device: &File) -> io::Result<u64> {
    let s = superblock(device)?;
    let all = u64::from(word(&s, 4)) | u64::from(word(&s, 0x150)) << 32;
    let free = u64::from(word(&s, 0xc)) | u64::from(word(&s, 0x158)) << 32;
    Ok(free.saturating_sub((all / 50).min(4096)))
}

fn superblock(device: &File) -> io::Result<[u8; 1024]> {
    let mut bytes = [0; 1024];
    device.read_exact_at(&mut bytes, 1024)?;
    match u16::from_le_bytes([bytes[0x38], bytes[0x39]]) {
        0xef53 => Ok(bytes),
        _ => Err(io::Error::other("there is no ext4 in it")),
    }
}

fn word(bytes: &[u8; 1024], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
