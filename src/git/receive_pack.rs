//! A push: read what it wants, take its objects in, ask, move refs, report.
use std::collections::HashSet;
use std::io::{Read, Write};

use git2::ObjectType;

use super::ingest::Incoming;
use super::pktline::{self, Packet};
use super::sideband::{Voice, printable};
use super::{Decide, Decision, Identity, Oid, RefUpdate, Repo, RepoLock, ref_name};
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Refs one push may move.
const COMMANDS: usize = 10_000;

#[derive(Default)]
struct Asked {
    updates: Vec<RefUpdate>,
    report: bool,
    bands: bool,
    atomic: bool,
}

/// Why a ref does not move; `None` while nothing speaks against it.
type Verdict = Option<String>;

impl Repo {
    /// The answer to `POST git-receive-pack`. Blocking, streaming; progress reaches the client as `remote:` lines
    /// while `decide` works, with a keep-alive every 5 s of silence. The caller holds the lock.
    /// A refused push is an answer, not an error. Errors: the request is no push, or the client is gone.
    pub fn receive_pack(
        &self,
        who: &Identity,
        input: &mut dyn Read,
        out: Box<dyn Write + Send>,
        decide: &mut Decide<'_>,
    ) -> Result<()> {
        self.receive_pack_locking(who, input, out, &mut || None, decide)
    }

    /// The same, taking the lock only once all objects are here, so that a slow client blocks nobody.
    pub fn receive_pack_locking(
        &self,
        who: &Identity,
        input: &mut dyn Read,
        out: Box<dyn Write + Send>,
        lock: &mut dyn FnMut() -> Option<RepoLock>,
        decide: &mut Decide<'_>,
    ) -> Result<()> {
        let asked = read_commands(input)?;
        if asked.updates.is_empty() {
            // Git asks so whether it may send a large body.
            return Ok(());
        }
        let voice = Voice::start(out, asked.bands)?;
        let unpacked = if asked.updates.iter().any(|u| u.new.is_some()) { self.unpack(input) } else { Ok(()) };
        let verdicts = match &unpacked {
            Err(error) => {
                error.hint.iter().for_each(|hint| voice.progress().line(hint));
                vec![Some("unpacker error".to_owned()); asked.updates.len()]
            }
            Ok(()) => {
                let _held = lock();
                self.settle(who, &asked, &voice, decide)?
            }
        };
        let mut report = Vec::new();
        if asked.report {
            write_report(&mut report, &unpacked, &asked.updates, &verdicts).internal("while reporting a push")?;
        }
        voice.finish(report)
    }

    fn unpack(&self, input: &mut dyn Read) -> Result<()> {
        let taken = Incoming::begin(self).and_then(|mut incoming| {
            incoming.receive(input, self.options.max_pack)?;
            incoming.store(self)
        });
        if let Err(error) = &taken {
            tracing::info!(?error, "a push was refused");
            // A client hears the answer only after it has said all; one that never stops is not waited for.
            let _ = std::io::copy(&mut input.take(self.options.max_pack), &mut std::io::sink());
        }
        taken
    }

    fn settle(&self, who: &Identity, asked: &Asked, voice: &Voice, decide: &mut Decide<'_>) -> Result<Vec<Verdict>> {
        let updates = &asked.updates;
        let mut verdicts = self.precheck(updates)?;
        let give_up = |verdicts: &[Verdict]| asked.atomic && verdicts.iter().any(Option::is_some);
        if !give_up(&verdicts) {
            let open: Vec<usize> = (0..updates.len()).filter(|n| verdicts[*n].is_none()).collect();
            let questions: Vec<RefUpdate> = open.iter().map(|n| updates[*n].clone()).collect();
            if !questions.is_empty() {
                let mut answers = decide(self, &questions, &voice.progress()).into_iter();
                for n in open {
                    verdicts[n] = match answers.next() {
                        Some(Decision::Accept) => None,
                        Some(Decision::Reject(why)) => Some(why),
                        None => Some("not decided".to_owned()),
                    };
                }
            }
        }
        if give_up(&verdicts) {
            for verdict in &mut verdicts {
                verdict.get_or_insert_with(|| "atomic push failed".to_owned());
            }
            return Ok(verdicts);
        }
        let signature = super::repo::signature(who)?;
        if asked.atomic {
            if let Err(error) = self.move_refs(updates, &signature, "push") {
                verdicts.fill(Some(error.public));
            }
        } else {
            let packed = self.add_tags_packed(updates, &mut verdicts);
            for (update, verdict) in updates.iter().zip(&mut verdicts).filter(|(_, verdict)| verdict.is_none()) {
                if packed && new_tag(update) {
                    continue;
                }
                let moved = self.move_refs(std::slice::from_ref(update), &signature, "push");
                *verdict = moved.err().map(|error| error.public);
            }
        }
        self.sync_refs(updates.iter().zip(&verdicts).filter(|(_, v)| v.is_none()).map(|(u, _)| u.name.as_str()))?;
        Ok(verdicts)
    }

    /// A push of many new tags is one write; false when there are few.
    fn add_tags_packed(&self, updates: &[RefUpdate], verdicts: &mut [Verdict]) -> bool {
        let all = updates.iter().zip(&mut *verdicts).filter(|(u, v)| v.is_none() && new_tag(u));
        let (tags, open): (Vec<_>, Vec<_>) = all.filter_map(|(u, v)| Some(((u.name.as_str(), u.new?), v))).unzip();
        if tags.len() < super::packed_refs::MANY {
            return false;
        }
        if let Err(error) = self.add_packed(&tags) {
            open.into_iter().for_each(|verdict| *verdict = Some(error.public.clone()));
        }
        true
    }

    /// All that can be said against a ref without asking anybody.
    fn precheck(&self, updates: &[RefUpdate]) -> Result<Vec<Verdict>> {
        let known: Vec<String> = self.public_refs()?.into_iter().map(|r| r.name).collect();
        let known: HashSet<&str> = known.iter().map(String::as_str).collect();
        let mut folders: HashSet<&str> = known.iter().flat_map(|name| above(name)).collect();
        let mut files = known;
        let mut seen = HashSet::new();
        let mut verdicts = Vec::with_capacity(updates.len());
        for update in updates {
            let name = update.name.as_str();
            let verdict = if let Some(why) = ref_name::refuse(name) {
                Some(why)
            } else if !seen.insert(name) {
                Some("this ref was sent twice")
            } else if self.ref_target(name)? != update.old {
                Some(if update.old.is_none() { "already exists" } else { "stale info: fetch first" })
            } else {
                match update.new {
                    None if update.old.is_none() => Some("there is no such ref"),
                    None => None,
                    Some(new) => match self.kind_of(new) {
                        None => Some("the object it should point to was not sent"),
                        Some(kind) if name.starts_with("refs/heads/") && kind != ObjectType::Commit => {
                            Some("a branch must point to a commit")
                        }
                        Some(_) if folders.contains(name) || above(name).any(|folder| files.contains(folder)) => {
                            Some("its name is in the way of, or below, another ref")
                        }
                        Some(_) => {
                            folders.extend(above(name));
                            files.insert(name);
                            None
                        }
                    },
                }
            };
            verdicts.push(verdict.map(str::to_owned));
        }
        Ok(verdicts)
    }
}

fn new_tag(update: &RefUpdate) -> bool {
    update.old.is_none() && update.name.starts_with("refs/tags/")
}

/// `refs/heads/a/b` → `refs/heads/a`, `refs/heads`, …
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.rmatch_indices('/').map(|(at, _)| &name[..at])
}

fn read_commands(input: &mut dyn Read) -> Result<Asked> {
    let broken = |what: &str| Error::bad_input(format!("this is not a push: {what}"));
    let mut asked = Asked::default();
    loop {
        let packet = pktline::read(input).or_error(Kind::BadInput, "this is not a push: a packet is broken")?;
        let data = match packet {
            Packet::Data(data) => data,
            Packet::Flush | Packet::Eof => return Ok(asked),
            Packet::Delim | Packet::End => return Err(broken("a packet of another protocol")),
        };
        let text = String::from_utf8(data).map_err(|_| broken("a name is not UTF-8"))?;
        let (command, abilities) = text.split_once('\0').unwrap_or((text.as_str(), ""));
        for ability in abilities.split_whitespace() {
            match ability {
                "report-status" => asked.report = true,
                "side-band-64k" => asked.bands = true,
                "atomic" => asked.atomic = true,
                _ => {}
            }
        }
        // What a shallow clone lacks is found when its objects are checked.
        let command = command.trim_end_matches('\n');
        if command.starts_with("shallow ") {
            continue;
        }
        let mut words = command.splitn(3, ' ');
        let mut id = || words.next().filter(|w| w.len() == 40).and_then(|w| Oid::from_str(w).ok());
        let (Some(old), Some(new)) = (id(), id()) else { return Err(broken("a command is malformed")) };
        let name = words.next().filter(|n| !n.is_empty()).ok_or_else(|| broken("a command is malformed"))?;
        let known = |id: Oid| (!id.is_zero()).then_some(id);
        asked.updates.push(RefUpdate { name: name.to_owned(), old: known(old), new: known(new) });
        if asked.updates.len() > COMMANDS {
            return Err(broken("it moves too many refs at once"));
        }
    }
}

fn write_report(
    out: &mut Vec<u8>,
    unpacked: &Result<()>,
    updates: &[RefUpdate],
    verdicts: &[Verdict],
) -> std::io::Result<()> {
    let line = |text: &str| printable(text).chars().take(500).collect::<String>();
    match unpacked {
        Ok(()) => pktline::text(out, "unpack ok\n")?,
        Err(error) => pktline::text(out, &format!("unpack {}\n", line(&error.public)))?,
    }
    for (update, verdict) in updates.iter().zip(verdicts) {
        match verdict {
            None => pktline::text(out, &format!("ok {}\n", update.name))?,
            Some(why) => pktline::text(out, &format!("ng {} {}\n", update.name, line(why)))?,
        }
    }
    pktline::flush(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..300), lines in proptest::collection::vec(".{0,120}", 0..4)) {
            let _ = read_commands(&mut &junk[..]);
            let mut wire = Vec::new();
            for line in lines {
                pktline::text(&mut wire, &line).unwrap();
            }
            let _ = read_commands(&mut &wire[..]);
        }
    }

    #[test]
    fn a_command_is_taken_apart() {
        let (a, b) = ("1".repeat(40), "0".repeat(40));
        let mut wire = Vec::new();
        pktline::text(&mut wire, &format!("{a} {b} refs/heads/x\0 report-status side-band-64k atomic")).unwrap();
        pktline::text(&mut wire, &format!("{b} {a} refs/heads/a b\n")).unwrap();
        pktline::flush(&mut wire).unwrap();
        let asked = read_commands(&mut &wire[..]).unwrap();
        assert!(asked.report && asked.bands && asked.atomic);
        assert_eq!(asked.updates[0].name, "refs/heads/x");
        assert!(asked.updates[0].new.is_none() && asked.updates[1].old.is_none());
        assert_eq!(above("refs/heads/a/b").collect::<Vec<_>>(), ["refs/heads/a", "refs/heads", "refs"]);
    }
}
