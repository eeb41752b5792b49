//! A fetch: find out what the client lacks, send it. Protocol versions 0, 1 and 2; stateless, as HTTP is.
use std::collections::HashSet;
use std::io::{Read, Write};

use gix_hash::ObjectId;

use super::objects::{Objects, parse_commit, to_git2, to_gix};
use super::pktline::{self, Packet};
use super::sideband::DataBand;
use super::walk::{Cut, Walk};
use super::{Oid, Repo, pack_write};
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Lines of each sort one request may have.
const LINES: usize = 50_000;

/// What a client asked for, whichever version it speaks.
#[derive(Default)]
pub(super) struct Request {
    wants: Vec<Oid>,
    haves: Vec<Oid>,
    /// Commits whose parents the client lacks.
    shallow: Vec<Oid>,
    depth: Option<u32>,
    done: bool,
    wait_for_done: bool,
    offsets: bool,
    tags: bool,
    bands: bool,
    detailed: bool,
    no_done: bool,
}

impl Repo {
    /// The answer to `POST git-upload-pack`. Blocking, streaming.
    pub fn upload_pack(&self, version: u8, input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
        let result = if version == 2 { self.version_2(input, out) } else { self.version_0(input, out) };
        if let Err(error) = &result
            && error.kind == Kind::BadInput
        {
            let _ = pktline::text(out, &format!("ERR {}\n", super::sideband::printable(&error.public)));
        }
        result
    }

    fn version_0(&self, input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
        let mut request = Request::default();
        while let Some(line) = next_line(input)? {
            request.line(&line)?;
        }
        if request.wants.is_empty() {
            return Ok(());
        }
        let odb = self.objects()?;
        self.check_wants(&odb, &request)?;
        let edge = self.edge(&odb, &request)?;
        let mut answer = Vec::new();
        if request.depth.is_some() {
            write_shallow(&edge, &mut answer)?;
            pktline::flush(&mut answer).internal("while answering a fetch")?;
        }
        let mut ready = false;
        let mut say = |line: String| pktline::text(&mut answer, &line).internal("while answering a fetch");
        loop {
            match pktline::read(input).or_error(Kind::BadInput, "this is not a fetch: a packet is broken")? {
                Packet::Flush => {
                    let last = request.haves.last().copied();
                    if let (Some(last), true) = (last, request.detailed) {
                        say(format!("ACK {last} ready\n"))?;
                        ready = request.no_done;
                    }
                    if last.is_none() || request.detailed {
                        say("NAK\n".to_owned())?;
                    }
                    break;
                }
                packet @ Packet::Data(_) => match packet.text() {
                    Some("done") => {
                        request.done = true;
                        break;
                    }
                    Some(line) => {
                        let have = line.strip_prefix("have ").and_then(|id| Oid::from_str(id).ok());
                        let have = have.ok_or_else(|| not_a_fetch("a line is malformed"))?;
                        if !odb.exists(&to_gix(have)) {
                            continue;
                        }
                        if request.detailed {
                            say(format!("ACK {have} common\n"))?;
                        } else if request.haves.is_empty() {
                            say(format!("ACK {have}\n"))?;
                        }
                        push(&mut request.haves, have)?;
                    }
                    None => return Err(not_a_fetch("a line is not text")),
                },
                _ => break,
            }
        }
        let pack = request.done || ready;
        if pack {
            match request.haves.last().copied() {
                Some(last) if request.detailed => say(format!("ACK {last}\n"))?,
                Some(_) => {}
                None => say("NAK\n".to_owned())?,
            }
        }
        out.write_all(&answer).internal("while answering a fetch")?;
        if pack { self.send(&odb, &request, &edge, out) } else { Ok(()) }
    }

    fn version_2(&self, input: &mut dyn Read, out: &mut dyn Write) -> Result<()> {
        let mut command = String::new();
        let mut arguments = Vec::new();
        let mut in_arguments = false;
        loop {
            let packet = pktline::read(input).or_error(Kind::BadInput, "this is not a fetch: a packet is broken")?;
            match &packet {
                Packet::Delim => in_arguments = true,
                Packet::Data(_) => {
                    let line = packet.text().ok_or_else(|| not_a_fetch("a line is not text"))?;
                    if in_arguments {
                        push(&mut arguments, line.to_owned())?;
                    } else if let Some(name) = line.strip_prefix("command=") {
                        command = name.to_owned();
                    } else if line.strip_prefix("object-format=").is_some_and(|f| f != "sha1") {
                        return Err(Error::bad_input("this repository uses sha1 object ids"));
                    }
                }
                Packet::Flush | Packet::End | Packet::Eof => break,
            }
        }
        match command.as_str() {
            "ls-refs" => self.ls_refs(&arguments, out),
            "fetch" => self.fetch_2(&arguments, out),
            "" => Ok(()),
            _ => Err(not_a_fetch("the command is unknown")),
        }
    }

    fn fetch_2(&self, arguments: &[String], out: &mut dyn Write) -> Result<()> {
        let mut request = Request { bands: true, ..Request::default() };
        arguments.iter().try_for_each(|line| request.line(line))?;
        let odb = self.objects()?;
        self.check_wants(&odb, &request)?;
        request.haves.retain(|have| odb.exists(&to_gix(*have)));
        let mut answer = Vec::new();
        let write = |answer: &mut Vec<u8>, line: &str| pktline::text(answer, line).internal("while answering a fetch");
        if !request.done {
            write(&mut answer, "acknowledgments\n")?;
            for have in &request.haves {
                write(&mut answer, &format!("ACK {have}\n"))?;
            }
            if request.haves.is_empty() {
                write(&mut answer, "NAK\n")?;
            }
            let ready = !request.haves.is_empty() && !request.wait_for_done;
            if ready {
                write(&mut answer, "ready\n")?;
            }
            answer.extend_from_slice(if ready { b"0001" } else { b"0000" });
            if !ready {
                return out.write_all(&answer).internal("while answering a fetch");
            }
        }
        let edge = self.edge(&odb, &request)?;
        if request.depth.is_some() {
            write(&mut answer, "shallow-info\n")?;
            write_shallow(&edge, &mut answer)?;
            answer.extend_from_slice(b"0001");
        }
        write(&mut answer, "packfile\n")?;
        out.write_all(&answer).internal("while answering a fetch")?;
        self.send(&odb, &request, &edge, out)
    }

    fn check_wants(&self, odb: &Objects, request: &Request) -> Result<()> {
        match request.wants.iter().find(|want| !odb.exists(&to_gix(**want))) {
            Some(want) => Err(Error::bad_input(format!("upload-pack: not our ref {want}"))),
            None => Ok(()),
        }
    }

    fn send(&self, odb: &Objects, request: &Request, edge: &Edge, out: &mut dyn Write) -> Result<()> {
        let client: HashSet<ObjectId> = request.shallow.iter().map(|id| to_gix(*id)).collect();
        let cut = Cut { edge: &edge.commits, client: &client };
        let wants: Vec<Oid> = request.wants.iter().chain(&edge.more_wants).copied().collect();
        let mut ids = Walk::new(odb).run(&wants, &request.haves, Some(&cut))?;
        if request.tags {
            self.add_tags(odb, &mut ids)?;
        }
        if !request.bands {
            return pack_write::write(&self.objects_dir(), odb, &ids, request.offsets, out);
        }
        let mut band = DataBand::new(out);
        pack_write::write(&self.objects_dir(), odb, &ids, request.offsets, &mut band)?;
        band.finish().internal("while sending a pack")
    }

    /// Annotated tags of what is sent go along.
    fn add_tags(&self, odb: &Objects, ids: &mut Vec<ObjectId>) -> Result<()> {
        let mut sent: HashSet<ObjectId> = ids.iter().copied().collect();
        let mut buffer = Vec::new();
        for found in self.public_refs()? {
            if !found.peeled.is_some_and(|p| sent.contains(&to_gix(p))) {
                continue;
            }
            let mut id = to_gix(found.id);
            while sent.insert(id) {
                ids.push(id);
                let (_, data) = odb.read(&id, &mut buffer)?;
                id = super::objects::parse_tag(data)?;
            }
        }
        Ok(())
    }

    /// Where history ends for a client that wants `depth` commits only.
    fn edge(&self, odb: &Objects, request: &Request) -> Result<Edge> {
        let mut edge = Edge::default();
        let Some(depth) = request.depth else { return Ok(edge) };
        let mut buffer = Vec::new();
        let mut level: Vec<ObjectId> = Vec::new();
        for want in &request.wants {
            let mut id = to_gix(*want);
            loop {
                let (kind, data) = odb.read(&id, &mut buffer)?;
                match kind {
                    gix_object::Kind::Tag => id = super::objects::parse_tag(data)?,
                    gix_object::Kind::Commit => break level.push(id),
                    _ => break,
                }
            }
        }
        let client: HashSet<ObjectId> = request.shallow.iter().map(|id| to_gix(*id)).collect();
        let mut seen: HashSet<ObjectId> = level.iter().copied().collect();
        for at in 1.. {
            if level.is_empty() {
                break;
            }
            let mut next = Vec::new();
            for id in level {
                let (_, data) = odb.read(&id, &mut buffer)?;
                let parents = parse_commit(data)?.parents;
                if at >= depth {
                    if !parents.is_empty() {
                        edge.commits.insert(id);
                        if !client.contains(&id) {
                            edge.shallow.push(id);
                        }
                    }
                    continue;
                }
                if client.contains(&id) {
                    edge.unshallow.push(id);
                    for parent in &parents {
                        edge.more_wants.push(to_git2(parent)?);
                    }
                }
                next.extend(parents.into_iter().filter(|p| seen.insert(*p)));
            }
            level = next;
        }
        Ok(edge)
    }
}

/// The answer to a depth.
#[derive(Default)]
struct Edge {
    commits: HashSet<ObjectId>,
    shallow: Vec<ObjectId>,
    unshallow: Vec<ObjectId>,
    /// Parents the client lacked until now.
    more_wants: Vec<Oid>,
}

fn write_shallow(edge: &Edge, out: &mut Vec<u8>) -> Result<()> {
    let lines = edge.shallow.iter().map(|id| format!("shallow {id}\n"));
    for line in lines.chain(edge.unshallow.iter().map(|id| format!("unshallow {id}\n"))) {
        pktline::text(out, &line).internal("while answering a fetch")?;
    }
    Ok(())
}

impl Request {
    /// Understands one line before the haves (version 0), or any argument of `fetch` (version 2).
    fn line(&mut self, line: &str) -> Result<()> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let id = |text: &str| Oid::from_str(text).ok().filter(|_| text.len() == 40);
        let malformed = || not_a_fetch("a line is malformed");
        match word {
            "want" => {
                let (want, abilities) = rest.split_once(' ').unwrap_or((rest, ""));
                push(&mut self.wants, id(want).ok_or_else(malformed)?)?;
                abilities.split(' ').for_each(|ability| self.ability(ability));
            }
            "have" => push(&mut self.haves, id(rest).ok_or_else(malformed)?)?,
            "shallow" => push(&mut self.shallow, id(rest).ok_or_else(malformed)?)?,
            "deepen" => {
                let depth: u32 = rest.parse().map_err(|_| malformed())?;
                self.depth = (depth > 0).then_some(depth);
            }
            "done" => self.done = true,
            "wait-for-done" => self.wait_for_done = true,
            "deepen-since" | "deepen-not" | "deepen-relative" | "filter" => {
                return Err(Error::bad_input(format!("`{word}` is not supported by this server")));
            }
            other => self.ability(other),
        }
        Ok(())
    }

    fn ability(&mut self, word: &str) {
        match word {
            "ofs-delta" => self.offsets = true,
            "include-tag" => self.tags = true,
            "side-band-64k" => self.bands = true,
            "multi_ack_detailed" => self.detailed = true,
            "no-done" => self.no_done = true,
            _ => {}
        }
    }
}

fn next_line(input: &mut dyn Read) -> Result<Option<String>> {
    let packet = pktline::read(input).or_error(Kind::BadInput, "this is not a fetch: a packet is broken")?;
    match &packet {
        Packet::Data(_) => Ok(Some(packet.text().ok_or_else(|| not_a_fetch("a line is not text"))?.to_owned())),
        _ => Ok(None),
    }
}

fn push<T>(list: &mut Vec<T>, item: T) -> Result<()> {
    if list.len() >= LINES {
        return Err(not_a_fetch("it has too many lines"));
    }
    list.push(item);
    Ok(())
}

fn not_a_fetch(why: &str) -> Error {
    Error::bad_input(format!("this is not a fetch: {why}"))
}
