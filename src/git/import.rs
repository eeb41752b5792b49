//! Fetching a public repository from elsewhere, once: a client of the smart protocol, version 0, whose pack
//! goes through the same checks as a push.
use std::io::{self, BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, ResponseExt as _};

use super::ingest::Incoming;
use super::pktline::{self, Packet};
use super::{Oid, Options, Repo, ref_name};
use crate::base::{Error, Progress, Result, ResultExt as _};

/// Longest an import may take.
const TIME: Duration = Duration::from_secs(600);
/// Branches and tags taken at most.
const REFS: usize = 10_000;
const ADVERTISEMENT: u64 = 16 << 20;

/// A checked address of a repository, without `/info/refs`.
pub(super) struct Source(String);

impl Source {
    /// Errors: `BadInput` for other schemes, for names and passwords in it, for what is no URL.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let bad = |why: &str| {
            Error::bad_input(format!("`{}` cannot be imported: {why}", crate::base::name::clip(text)))
                .hint("Give the address of a public repository, such as https://example.com/user/project.git.")
        };
        let url: Uri = text.trim().parse().map_err(|_| bad("it is not a URL"))?;
        if !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(bad("only http and https are possible"));
        }
        let authority = url.authority().ok_or_else(|| bad("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("it has a name or a password in it"));
        }
        if url.query().is_some() || authority.host().is_empty() {
            return Err(bad("it is not the address of a repository"));
        }
        Ok(Self(text.trim().trim_end_matches('/').to_owned()))
    }
}

/// Resolves names to public addresses only, so that nobody reaches this machine's neighbours through us. The
/// connection goes to the very address that was looked at here.
#[derive(Debug)]
struct PublicOnly {
    inner: DefaultResolver,
    private: bool,
}

impl Resolver for PublicOnly {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> std::result::Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut kept = self.empty();
        for address in found.iter().filter(|a| self.private || public(a.ip())) {
            kept.push(*address);
        }
        if kept.is_empty() {
            let why = io::Error::new(io::ErrorKind::PermissionDenied, "the host has no public address");
            return Err(ureq::Error::Io(why));
        }
        Ok(kept)
    }
}

/// Whether anybody on the internet may have this address.
fn public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || ip.is_documentation()
                || a == 0
                || a >= 240
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a, b, c) == (192, 0, 0)
                || (a, b, c) == (192, 88, 99))
        }
        // Only the global unicast block, less what carries a v4 address or is not routed.
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            (a & 0xe000) == 0x2000
                && a != 0x2002
                && !(a == 0x2001 && (b == 0 || b == 0xdb8 || (0x10..0x30).contains(&b)))
                && ip != Ipv6Addr::UNSPECIFIED
        }
    }
}

/// Fetches into the empty `repo`: branches, tags, and the default branch as main.
pub(super) fn fetch(repo: &Repo, source: &Source, options: &Options, progress: &Progress) -> Result<()> {
    let config = Agent::config_builder()
        .timeout_global(Some(TIME))
        .timeout_connect(Some(Duration::from_secs(15)))
        .max_redirects(5)
        .http_status_as_error(false)
        .user_agent(concat!("git/2.0 (steady/", env!("CARGO_PKG_VERSION"), ")"))
        // A proxy would resolve names itself.
        .proxy(None)
        .build();
    let resolver = PublicOnly { inner: DefaultResolver::default(), private: options.import_private };
    let agent = Agent::with_parts(config, DefaultConnector::default(), resolver);
    progress.line(format!("fetching {}", source.0));
    let answer = agent.get(format!("{}/info/refs?service=git-upload-pack", source.0)).call();
    let mut answer = answer.map_err(unreachable)?;
    if answer.status() != 200 {
        return Err(refused(answer.status().as_u16()));
    }
    // A host may have redirected to the repository's present name.
    let base = answer.get_uri().to_string();
    let base = base.split_once("/info/refs").map_or(source.0.as_str(), |(base, _)| base).to_owned();
    let mut body = BufReader::new(answer.body_mut().as_reader().take(ADVERTISEMENT));
    let remote = Remote::read(&mut body)?;
    if remote.refs.is_empty() {
        return Err(Error::bad_input("that repository is empty").hint("Start from a template instead."));
    }
    let post = agent
        .post(format!("{base}/git-upload-pack"))
        .header("content-type", "application/x-git-upload-pack-request")
        .header("accept", "application/x-git-upload-pack-result")
        .send(&remote.request()?[..]);
    let mut answer = post.map_err(unreachable)?;
    if answer.status() != 200 {
        return Err(refused(answer.status().as_u16()));
    }
    let mut body = BufReader::new(answer.body_mut().as_reader());
    let mut incoming = Incoming::begin(repo)?;
    let mut pack = PackBand { input: &mut body, packet: Vec::new(), at: 0, ended: false };
    let bytes = incoming.receive(&mut pack, options.max_pack)?;
    progress.line(format!("received {} KiB", bytes.div_ceil(1024)));
    incoming.store(repo)?;
    let refs: Vec<(&str, Oid)> = remote.refs.iter().map(|(name, id)| (name.as_str(), *id)).collect();
    repo.add_new_refs(&refs, "import")
}

fn unreachable(e: ureq::Error) -> Error {
    let private = matches!(&e, ureq::Error::Io(e) if e.kind() == io::ErrorKind::PermissionDenied);
    let what = if private { "that host has no public address" } else { "that repository cannot be reached" };
    Error::bad_input(what).because(e).hint("Check the address; only public repositories can be imported.")
}

fn refused(status: u16) -> Error {
    Error::bad_input(format!("the host of that repository answered {status}"))
        .hint("Check the address; only public repositories can be imported.")
}

fn strange() -> Error {
    Error::bad_input("that address does not answer like a git repository").hint("Give the address `git clone` takes.")
}

/// What the other side has: the refs to take, main among them when it has a default branch.
struct Remote {
    refs: Vec<(String, Oid)>,
}

impl Remote {
    fn read(input: &mut dyn Read) -> Result<Self> {
        let packet = |input: &mut dyn Read| pktline::read(input).map_err(|e| strange().because(e));
        let mut refs = Vec::new();
        let mut head = None;
        let mut default = None;
        let mut first = true;
        loop {
            let next = packet(input)?;
            let line = match &next {
                Packet::Flush if first => continue,
                Packet::Data(_) => next.text().ok_or_else(strange)?,
                _ => break,
            };
            if line.starts_with("# service=") {
                continue;
            }
            let (line, abilities) = line.split_once('\0').unwrap_or((line, ""));
            if first {
                default = abilities.split(' ').find_map(|a| a.strip_prefix("symref=HEAD:")).map(str::to_owned);
                first = false;
            }
            let (id, name) = line.split_once(' ').ok_or_else(strange)?;
            let id = Oid::from_str(id).ok().filter(|_| id.len() == 40).ok_or_else(strange)?;
            if name == "HEAD" {
                head = Some(id);
            }
            let taken = name.starts_with("refs/heads/") || name.starts_with("refs/tags/");
            if taken && ref_name::refuse(name).is_none() {
                refs.push((name.to_owned(), id));
            }
            if refs.len() > REFS {
                return Err(Error::bad_input(format!("that repository has more than {REFS} branches and tags")));
            }
        }
        if first {
            return Err(strange());
        }
        let main = "refs/heads/main";
        let default = default.and_then(|d| refs.iter().find(|(name, _)| *name == d).map(|(_, id)| *id)).or(head);
        if let Some(id) = default {
            refs.retain(|(name, _)| name != main);
            refs.push((main.to_owned(), id));
        }
        Ok(Self { refs })
    }

    fn request(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut ids: Vec<Oid> = self.refs.iter().map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids.dedup();
        let write = || -> io::Result<Vec<u8>> {
            for (n, id) in ids.iter().enumerate() {
                let abilities = if n == 0 { " side-band-64k ofs-delta no-progress" } else { "" };
                pktline::text(&mut out, &format!("want {id}{abilities}\n"))?;
            }
            pktline::flush(&mut out)?;
            pktline::text(&mut out, "done\n")?;
            Ok(out)
        };
        write().internal("while asking for a repository")
    }
}

/// The pack in band 1, without what else is said.
struct PackBand<'a> {
    input: &'a mut dyn BufRead,
    packet: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Read for PackBand<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.packet.len() {
            if self.ended {
                return Ok(0);
            }
            match pktline::read(&mut self.input)? {
                Packet::Data(data) if data.first() == Some(&1) => {
                    self.packet = data;
                    self.at = 1;
                }
                Packet::Data(data) if data.first() == Some(&3) || data.starts_with(b"ERR ") => {
                    return Err(io::Error::other("the other side gave up"));
                }
                // `NAK`, and what the other side says to a person.
                Packet::Data(_) => {}
                _ => self.ended = true,
            }
        }
        let n = buffer.len().min(self.packet.len() - self.at);
        buffer[..n].copy_from_slice(&self.packet[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_nobody_may_be_sent_to() {
        for bad in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "240.0.0.1",
        ] {
            assert!(!public(bad.parse().unwrap()), "{bad}");
        }
        for good in ["1.1.1.1", "140.82.121.3", "2606:4700::1111", "2a00:1450::1", "100.128.0.1", "172.32.0.1"] {
            assert!(public(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn urls_that_are_refused() {
        for bad in [
            "",
            "file:///etc",
            "/etc",
            "ssh://git@x/y",
            "git@x:y",
            "ftp://x/y",
            "https://u:p@x/y",
            "https://u@x/y",
            "ext::sh -c x",
            "https://x/y?a=b",
            "--upload-pack=x",
        ] {
            assert!(Source::parse(bad).is_err(), "{bad}");
        }
        assert!(Source::parse("https://example.com/a/b.git/").is_ok_and(|s| s.0 == "https://example.com/a/b.git"));
    }

    proptest! {
        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Remote::read(&mut &junk[..]);
        }
    }
}
