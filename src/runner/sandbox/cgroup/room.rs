//! How much memory the groups around this instance's leave it: a service or a container may have less than
//! the machine.
use std::fs;
use std::path::Path;

use super::tree::{Kind, Tree, number as named};

/// Limits beyond this are none: v1 writes a number where v2 has `max`.
const ENDLESS: u64 = 1 << 50;

/// Limit and what is left of it, in bytes, of the outer group with the least left.
pub(super) fn tightest(tree: &Tree) -> Option<(u64, u64)> {
    let base = tree.base(Kind::Memory)?;
    base.ancestors().filter_map(|dir| left(dir, tree.v2)).min_by_key(|(_, left)| *left)
}

fn left(dir: &Path, v2: bool) -> Option<(u64, u64)> {
    let (limit, usage, cache, active) = match v2 {
        true => ("memory.max", "memory.current", "inactive_file", "active_file"),
        false => ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file"),
    };
    let number = |name: &str| fs::read_to_string(dir.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number(limit).filter(|limit| *limit < ENDLESS)?;
    // Cached files are given back when somebody needs the room; of those in use half, at a price.
    let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let given_back = named(&stat, cache) + named(&stat, active) / 2;
    let used = number(usage)?.saturating_sub(given_back);
    Some((limit, limit.saturating_sub(used)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::fs::{make_dir, write_atomic};

    #[test]
    fn the_group_with_the_least_left_counts() {
        let top = tempfile::tempdir().unwrap();
        let base = top.path().join("service/steady");
        make_dir(&base, 0o700).unwrap();
        let put = |dir: &Path, name: &str, text: &str| write_atomic(&dir.join(name), text.as_bytes(), 0o600).unwrap();
        let tree = Tree::new(true, vec![(Kind::Memory, base.clone())]);
        assert_eq!(tightest(&tree), None);
        put(&base, "memory.max", "max\n");
        put(&base, "memory.current", "10\n");
        assert_eq!(tightest(&tree), None, "no limit");
        for (dir, max, current, cache) in [(top.path().join("service"), 100, 70, 20), (top.path().into(), 60, 42, 4)] {
            put(&dir, "memory.max", &max.to_string());
            put(&dir, "memory.current", &current.to_string());
            put(&dir, "memory.stat", &format!("anon 1\ninactive_file {}\nactive_file {cache}\n", cache / 2));
        }
        assert_eq!(tightest(&tree), Some((60, 22)));
    }
}
