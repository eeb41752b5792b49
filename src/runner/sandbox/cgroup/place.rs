//! Where this process may make groups. `/proc/self/cgroup` names groups as seen from the root of the cgroup
//! namespace, a mount may show only a part of the tree: the two are put together here, and a folder counts
//! only if this very process is listed in it.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::tree::{Kind, Tree, hand_down, make, put};

/// Where the server itself goes, because a v2 group with processes may not hand controllers down.
const LEAF: &str = "steady-supervisor";

/// What the kernel says about this process.
pub(super) struct Here {
    own: String,
    mounts: Vec<Mount>,
    pid: u32,
}

/// One mounted hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Mount {
    v2: bool,
    /// Super block options: the controllers of v1.
    options: Vec<String>,
    /// Which part of the hierarchy is mounted.
    root: PathBuf,
    point: PathBuf,
}

fn unsupported(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, what.into())
}

impl Here {
    pub(super) fn read() -> Self {
        let text = |path| fs::read_to_string(path).unwrap_or_default();
        let mounts = text("/proc/self/mountinfo").lines().filter_map(Mount::parse).collect();
        Self { own: text("/proc/self/cgroup"), mounts, pid: std::process::id() }
    }

    /// The folder of this process's own group: of one v1 controller, or of v2.
    fn folder(&self, controller: Option<&str>) -> io::Result<PathBuf> {
        let path = own_path(&self.own, controller).ok_or_else(|| unsupported("not there"))?;
        let wanted = |m: &&Mount| match controller {
            None => m.v2,
            Some(name) => !m.v2 && m.options.iter().any(|o| o == name),
        };
        let found: Vec<PathBuf> = self.mounts.iter().filter(wanted).flat_map(|m| m.candidates(path)).collect();
        if found.is_empty() {
            return Err(unsupported("not mounted"));
        }
        let mut inside = found.into_iter().filter(|dir| lists(dir, self.pid));
        inside.next().ok_or_else(|| unsupported("this process's own group is not visible"))
    }
}

impl Mount {
    /// A line of mountinfo: `32 31 0:29 /root /point rw - cgroup source rw,cpu`.
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let mut left = left.split(' ').skip(3);
        let (root, point) = (left.next()?.into(), left.next()?.into());
        let mut right = right.split(' ');
        let v2 = match right.next()? {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        let options = right.nth(1)?.split(',').map(str::to_owned).collect();
        Some(Self { v2, options, root, point })
    }

    /// Where a group may be seen through this mount. A container's mount often shows exactly its own
    /// group, under a name that its `/proc/self/cgroup` does not have.
    fn candidates(&self, path: &str) -> impl Iterator<Item = PathBuf> {
        let below = Path::new(path).strip_prefix(&self.root).ok();
        let below = below.filter(|p| !p.components().any(|c| c == std::path::Component::ParentDir));
        // Joining an empty path would add a slash at the end.
        let below = below.map(|p| self.point.components().chain(p.components()).collect());
        below.into_iter().chain([self.point.clone()])
    }
}

/// The path of a line of `/proc/self/cgroup`: `4:memory:/path`, or `0::/path` for v2.
fn own_path<'a>(own: &'a str, controller: Option<&str>) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let (id, rest) = line.split_once(':')?;
        let (list, path) = rest.split_once(':')?;
        let here = match controller {
            None => id == "0" && list.is_empty(),
            Some(name) => list.split(',').any(|c| c == name),
        };
        here.then_some(path)
    })
}

fn lists(dir: &Path, pid: u32) -> bool {
    let pids = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    pids.lines().any(|line| line.parse() == Ok(pid))
}

/// v2: a group that is ours to write (a systemd unit with `Delegate=yes`, a container's root) and has the
/// controllers for memory and pids.
pub(super) fn v2(here: &Here, name: &str) -> io::Result<Tree> {
    let mut top = here.folder(None)?;
    if top.file_name().is_some_and(|n| n == LEAF) {
        top.pop();
    }
    let there = controllers(&top)?;
    if let Some(kind) = Kind::ALL.iter().find(|kind| kind.is_needed() && !there.contains(kind)) {
        return Err(unsupported(format!("no {} controller", kind.name(true))));
    }
    if hand_down(&top, &there).is_err() {
        make_room(&top, &there)?;
    }
    let base = top.join(name);
    make(&base)?;
    hand_down(&base, &there)?;
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| there.contains(kind)).collect();
    if base.join("cgroup.freeze").exists() {
        kinds.push(Kind::Freezer);
    }
    Ok(Tree::new(true, kinds.into_iter().map(|kind| (kind, base.clone())).collect()))
}

/// What a group may hand down, of what is used here.
fn controllers(dir: &Path) -> io::Result<Vec<Kind>> {
    let text = fs::read_to_string(dir.join("cgroup.controllers"))?;
    let has = |kind: &Kind| text.split_whitespace().any(|name| name == kind.name(true));
    Ok(Kind::ALL.into_iter().filter(has).collect())
}

/// Moves this process out of the group it is to divide; back again if that was in vain. A container's
/// own root holds its other processes too (its init, a shell): they come along.
fn make_room(top: &Path, kinds: &[Kind]) -> io::Result<()> {
    let leaf = top.join(LEAF);
    make(&leaf)?;
    put(&leaf.join("cgroup.procs"), "0")?;
    let first = hand_down(top, kinds);
    let is_root = own_path(&fs::read_to_string("/proc/self/cgroup")?, None) == Some(&format!("/{LEAF}"));
    let done = match first {
        Err(_) if is_root => move_all(top, &leaf).and_then(|()| hand_down(top, kinds)),
        other => other,
    };
    if done.is_err() && !is_root {
        let _ = put(&top.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&leaf);
    }
    done
}

fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    for pid in fs::read_to_string(from.join("cgroup.procs"))?.lines().filter(|pid| *pid != "0") {
        // One that ended meanwhile is no harm.
        let _ = put(&to.join("cgroup.procs"), pid);
    }
    Ok(())
}

/// v1: below this process's own group of each hierarchy, so that outer limits go on holding.
pub(super) fn v1(here: &Here, name: &str) -> io::Result<Tree> {
    let mut bases = Vec::new();
    for kind in Kind::ALL {
        let base = here.folder(Some(kind.name(false))).map(|dir| dir.join(name));
        match base.and_then(|base| make(&base).map(|()| base)) {
            Ok(base) => bases.push((kind, base)),
            Err(e) if kind.is_needed() => {
                bases.iter().for_each(|(_, base)| drop(fs::remove_dir(base)));
                return Err(io::Error::new(e.kind(), format!("{}: {e}", kind.name(false))));
            }
            Err(_) => {}
        }
    }
    Ok(Tree::new(false, bases))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_of_a_part_of_the_tree_is_understood() {
        let line = "36 31 0:32 /docker/x /sys/fs/cgroup/memory ro shared:7 - cgroup cgroup rw,memory";
        let mount = Mount::parse(line).unwrap();
        assert!(!mount.v2 && mount.options.contains(&"memory".to_owned()));
        let all = |path: &str| mount.candidates(path).collect::<Vec<_>>();
        let point = PathBuf::from("/sys/fs/cgroup/memory");
        assert_eq!(all("/docker/x/app")[0], point.join("app"));
        assert_eq!(all("/docker/x")[0].as_os_str(), point.as_os_str());
        assert_eq!(all("/elsewhere"), std::slice::from_ref(&point));
        assert_eq!(all("/docker/x/../y"), [point]);
        assert_eq!(Mount::parse("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755"), None);
    }

    #[test]
    fn own_groups_are_found_by_controller() {
        let own = "3:cpu,cpuacct:/a\n2:name=systemd:/b\n0::/c\n";
        assert_eq!(own_path(own, Some("cpuacct")), Some("/a"));
        assert_eq!(own_path(own, Some("memory")), None);
        assert_eq!(own_path(own, None), Some("/c"));
    }
}
