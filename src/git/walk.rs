//! Which objects somebody lacks: all reachable from the wanted, without those the other side has.
use std::collections::{BinaryHeap, HashMap, HashSet};

use gix_hash::ObjectId;
use gix_object::Kind;

use super::Oid;
use super::objects::{Commit, Objects, parse_commit, parse_tag, to_gix, tree_entries};
use super::tree::{FOLDER, SUBMODULE};
use crate::base::{Result, ResultExt as _};

/// Objects in the order they are met: commits (newest first), tags, then trees and blobs.
/// `haves` that are not here are ignored.
pub(super) fn objects(odb: &Objects, wants: &[Oid], haves: &[Oid]) -> Result<Vec<ObjectId>> {
    Walk::new(odb).run(wants, haves, None)
}

/// Where a client's history ends (`shallow`) and how deep it wants it.
pub(super) struct Cut<'a> {
    /// Commits whose parents are not sent.
    pub(super) edge: &'a HashSet<ObjectId>,
    /// Commits whose parents the client lacks although it has the commit.
    pub(super) client: &'a HashSet<ObjectId>,
}

pub(super) struct Walk<'a> {
    odb: &'a Objects,
    buffer: Vec<u8>,
    seen: HashSet<ObjectId>,
    /// Trees and blobs the other side has.
    hidden: HashSet<ObjectId>,
    out: Vec<ObjectId>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(odb: &'a Objects) -> Self {
        let (seen, hidden) = (HashSet::new(), HashSet::new());
        Self { odb, buffer: Vec::new(), seen, hidden, out: Vec::new() }
    }

    pub(super) fn run(mut self, wants: &[Oid], haves: &[Oid], cut: Option<&Cut<'_>>) -> Result<Vec<ObjectId>> {
        let (mut commits, mut trees, mut had) = (Vec::new(), Vec::new(), Vec::new());
        for want in wants {
            self.unwrap(to_gix(*want), true, &mut commits, &mut trees)?;
        }
        let mut old_trees = Vec::new();
        for have in haves {
            if self.odb.exists(&to_gix(*have)) {
                self.unwrap(to_gix(*have), false, &mut had, &mut old_trees)?;
            }
        }
        for commit in self.paint(commits, had, cut, &mut old_trees)? {
            trees.push(commit);
        }
        for tree in old_trees {
            self.tree(tree, true)?;
        }
        for tree in trees {
            self.tree(tree, false)?;
        }
        Ok(self.out)
    }

    /// Follows tags to what they name.
    fn unwrap(
        &mut self,
        id: ObjectId,
        send: bool,
        commits: &mut Vec<ObjectId>,
        trees: &mut Vec<ObjectId>,
    ) -> Result<()> {
        let mut id = id;
        loop {
            let (kind, data) = self.odb.read(&id, &mut self.buffer)?;
            match kind {
                Kind::Commit => {
                    commits.push(id);
                    return Ok(());
                }
                Kind::Tree | Kind::Blob => {
                    trees.push(id);
                    return Ok(());
                }
                Kind::Tag => {
                    let target = parse_tag(data)?;
                    if send && self.seen.insert(id) {
                        self.out.push(id);
                    }
                    id = target;
                }
            }
        }
    }

    fn commit(&mut self, id: &ObjectId) -> Result<Commit> {
        let (_, data) = self.odb.read(id, &mut self.buffer)?;
        parse_commit(data)
    }

    /// Walks both histories by date, newest first, until nothing wanted is left to look at; gives the trees of
    /// the commits to send and adds those of the commits where the two meet to `old_trees`. A wrong clock only
    /// makes it send more.
    fn paint(
        &mut self,
        wants: Vec<ObjectId>,
        haves: Vec<ObjectId>,
        cut: Option<&Cut<'_>>,
        old_trees: &mut Vec<ObjectId>,
    ) -> Result<Vec<ObjectId>> {
        struct State {
            commit: Commit,
            had: bool,
            done: bool,
        }
        let mut states: HashMap<ObjectId, State> = HashMap::new();
        let mut queue: BinaryHeap<(i64, ObjectId)> = BinaryHeap::new();
        let mut wanted_left = 0usize;
        let mut order = Vec::new();
        let mut waiting: Vec<(ObjectId, bool)> =
            haves.iter().map(|id| (*id, true)).chain(wants.iter().map(|id| (*id, false))).collect();
        let direct: HashSet<ObjectId> = haves.into_iter().collect();
        loop {
            while let Some((id, had)) = waiting.pop() {
                if let Some(state) = states.get_mut(&id) {
                    if had && !state.had {
                        state.had = true;
                        if state.done {
                            // Already counted as wanted: what is below must learn it is had.
                            waiting.extend(state.commit.parents.iter().map(|p| (*p, true)));
                        } else {
                            wanted_left -= 1;
                        }
                    }
                    continue;
                }
                if had && !self.odb.exists(&id) {
                    continue;
                }
                let commit = self.commit(&id)?;
                queue.push((commit.time, id));
                wanted_left += usize::from(!had);
                states.insert(id, State { commit, had, done: false });
            }
            if wanted_left == 0 {
                break;
            }
            let Some((_, id)) = queue.pop() else { break };
            let Some(state) = states.get_mut(&id) else { continue };
            state.done = true;
            let had = state.had;
            let stop = match cut {
                Some(cut) if had => cut.client.contains(&id),
                Some(cut) => cut.edge.contains(&id),
                None => false,
            };
            if !had {
                wanted_left -= 1;
                order.push(id);
            }
            if !stop {
                waiting.extend(state.commit.parents.iter().map(|p| (*p, had)));
            }
        }
        let mut trees = Vec::new();
        for id in order {
            let Some(state) = states.get(&id) else { continue };
            if state.had {
                continue;
            }
            for parent in &state.commit.parents {
                old_trees.extend(states.get(parent).filter(|p| p.had).map(|p| p.commit.tree));
            }
            if self.seen.insert(id) {
                self.out.push(id);
                trees.push(state.commit.tree);
            }
        }
        old_trees.extend(direct.iter().filter_map(|id| states.get(id)).map(|s| s.commit.tree));
        Ok(trees)
    }

    /// Adds a tree (or a blob) and all below it: to what is hidden, or to what is sent.
    fn tree(&mut self, root: ObjectId, hide: bool) -> Result<()> {
        let mut waiting = vec![(root, None)];
        while let Some((id, folder)) = waiting.pop() {
            if self.hidden.contains(&id) || self.seen.contains(&id) {
                continue;
            }
            let folder = match folder {
                Some(known) => known,
                None => self.odb.kind(&id)? == Some(Kind::Tree),
            };
            if hide { &mut self.hidden } else { &mut self.seen }.insert(id);
            if !hide {
                self.out.push(id);
            }
            if !folder {
                continue;
            }
            let (_, data) = self.odb.read(&id, &mut self.buffer)?;
            for entry in tree_entries(data) {
                let entry = entry.internal("a stored tree is broken")?;
                match i32::try_from(entry.mode) {
                    Ok(SUBMODULE) => {}
                    mode => waiting.push((entry.id, Some(mode == Ok(FOLDER)))),
                }
            }
        }
        Ok(())
    }
}
