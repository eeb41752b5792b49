//! The first answer of each service: refs and what this server can do.
use std::io::{self, Write};

use super::{Repo, Service, pktline};
use crate::base::{Result, ResultExt as _};

const AGENT: &str = concat!("agent=steady/", env!("CARGO_PKG_VERSION"));
const UPLOAD: &str = "multi_ack_detailed no-done side-band side-band-64k thin-pack ofs-delta shallow no-progress \
                      include-tag allow-tip-sha1-in-want allow-reachable-sha1-in-want object-format=sha1";
const RECEIVE: &str = "report-status delete-refs side-band-64k quiet atomic ofs-delta object-format=sha1";

impl Service {
    /// As git writes it in paths, queries and content types.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack].into_iter().find(|s| s.name() == name)
    }
}

impl Repo {
    /// The answer to `GET info/refs?service=…`. `version` is what `Git-Protocol` asked for.
    pub fn advertise(&self, service: Service, version: u8, out: &mut dyn Write) -> Result<()> {
        let mut answer = Vec::new();
        let written = if version == 2 && service == Service::UploadPack {
            capabilities(&mut answer)
        } else {
            self.refs_v0(service, version, &mut answer)?
        };
        written.and_then(|()| out.write_all(&answer)).internal("while sending refs")
    }

    fn refs_v0(&self, service: Service, version: u8, out: &mut Vec<u8>) -> Result<io::Result<()>> {
        let mut lines = Vec::new();
        let refs = self.public_refs()?;
        let main = refs.iter().find(|r| r.name == "refs/heads/main");
        let mut abilities = if service == Service::UploadPack { UPLOAD } else { RECEIVE }.to_owned();
        if let (Some(main), Service::UploadPack) = (main, service) {
            abilities.push_str(" symref=HEAD:refs/heads/main");
            lines.push(format!("{} HEAD", main.id));
        }
        for r in &refs {
            lines.push(format!("{} {}", r.id, r.name));
            if let (Some(peeled), Service::UploadPack) = (r.peeled, service) {
                lines.push(format!("{peeled} {}^{{}}", r.name));
            }
        }
        if lines.is_empty() {
            lines.push(format!("{} capabilities^{{}}", "0".repeat(40)));
        }
        let write = |out: &mut Vec<u8>| {
            pktline::text(out, &format!("# service={}\n", service.name()))?;
            pktline::flush(out)?;
            if version == 1 {
                pktline::text(out, "version 1\n")?;
            }
            for (n, line) in lines.iter().enumerate() {
                match n {
                    0 => pktline::text(out, &format!("{line}\0{abilities} {AGENT}\n"))?,
                    _ => pktline::text(out, &format!("{line}\n"))?,
                }
            }
            pktline::flush(out)
        };
        Ok(write(out))
    }

    /// Protocol version 2's `ls-refs`. `arguments` are its lines.
    pub(super) fn ls_refs(&self, arguments: &[String], out: &mut dyn Write) -> Result<()> {
        let has = |word: &str| arguments.iter().any(|a| a == word);
        let prefixes: Vec<&str> = arguments.iter().filter_map(|a| a.strip_prefix("ref-prefix ")).collect();
        let wanted = |name: &str| prefixes.is_empty() || prefixes.iter().any(|p| name.starts_with(p));
        let refs = self.public_refs()?;
        let mut lines = Vec::new();
        if wanted("HEAD") {
            let target = if has("symrefs") { " symref-target:refs/heads/main" } else { "" };
            match refs.iter().find(|r| r.name == "refs/heads/main") {
                Some(main) => lines.push(format!("{} HEAD{target}\n", main.id)),
                None if has("unborn") => lines.push(format!("unborn HEAD{target}\n")),
                None => {}
            }
        }
        for r in refs.iter().filter(|r| wanted(&r.name)) {
            let peeled = r.peeled.filter(|_| has("peel")).map(|p| format!(" peeled:{p}")).unwrap_or_default();
            lines.push(format!("{} {}{peeled}\n", r.id, r.name));
        }
        let mut answer = Vec::new();
        lines
            .iter()
            .try_for_each(|line| pktline::text(&mut answer, line))
            .and_then(|()| pktline::flush(&mut answer))
            .and_then(|()| out.write_all(&answer))
            .internal("while sending refs")
    }
}

fn capabilities(out: &mut Vec<u8>) -> io::Result<()> {
    for line in ["version 2", AGENT, "ls-refs=unborn", "fetch=shallow wait-for-done", "object-format=sha1"] {
        pktline::text(out, &format!("{line}\n"))?;
    }
    pktline::flush(out)
}
