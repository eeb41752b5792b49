//! `steady doctor`: what this machine can do for Steady, with the server running or not.
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::time::SystemTime;

use serde::Serialize;

use super::args::{Global, Serve};
use super::fail::{Done, FAILED, Fail};
use super::{local, out};
use crate::base::clock;
use crate::config::Config;
use crate::runner::sandbox::tier::{Check, Confinement};
use crate::runner::sandbox::{disk, probe};
use crate::runner::{bun, pressure};
use crate::tls::own::{OwnFiles, Pair};

/// Bytes: with less free, deploys and apps fail one after the other.
const LEAST_DISK: u64 = 1 << 30;

#[derive(Serialize)]
struct Report {
    /// `steady serve` would start here.
    ok: bool,
    /// `full`, `rootless`, `process-only` or `none`.
    tier: &'static str,
    summary: String,
    checks: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    #[serde(flatten)]
    check: Check,
    /// Without it nothing is served; otherwise the walls are weaker, or something is only worth knowing.
    needed: bool,
}

pub fn run(global: &Global) -> Done {
    let config = local::load(&Serve::default(), global)?;
    // Like the server; where it may not, the checks say so.
    let _ = disk::own_mounts();
    let report = examine(&config, &probe::here(&config.data, config.uid_base));
    if global.json {
        out::json(&report)?;
    } else {
        show(&report)?;
    }
    if report.ok { Ok(()) } else { Err(Fail::quiet(FAILED)) }
}

fn examine(config: &Config, confinement: &Confinement) -> Report {
    let refused = confinement.may_serve(config.sandbox == "single-tenant").err();
    let mut checks =
        vec![Line { check: kernel(), needed: false }, Line { check: swap(pressure::swap()), needed: false }];
    let walls = confinement.checks.iter().cloned();
    checks.extend(walls.map(|check| Line { needed: refused.is_some() && !check.is_minor(), check }));
    let own = [bun(config), data(&config.data), disk(&config.data), port(config), time(clock::Clock::System.now())];
    checks.extend(own.into_iter().chain(tls(config)).map(|check| Line { check, needed: true }));
    let ok = refused.is_none() && checks.iter().all(|line| line.check.ok || !line.needed);
    Report { ok, tier: confinement.name(), summary: confinement.summary.clone(), checks }
}

fn show(report: &Report) -> Done {
    let rows: Vec<Vec<String>> = report
        .checks
        .iter()
        .map(|Line { check, needed }| {
            let word = match (check.ok, needed) {
                (true, _) => out::paint(32, "ok"),
                (false, true) => out::paint(31, "missing"),
                (false, false) => out::paint(33, "weaker"),
            };
            vec![check.name.to_owned(), word, check.found.clone()]
        })
        .collect();
    out::table(&["WHAT", "", "FOUND"], &rows)?;
    out::line(&format!("\ntier {}: {}", report.tier, report.summary))?;
    for Line { check, .. } in report.checks.iter().filter(|line| !line.check.ok) {
        out::line(&format!("\n{}: {}\n  {}", check.name, check.found, check.fix))?;
    }
    let end = if report.ok { "\n`steady serve` can start here." } else { "\n`steady serve` would not start here." };
    out::line(end)
}

/// `fix` is what to do when it is not ok.
fn check(name: &'static str, found: Result<String, String>, fix: &str) -> Check {
    let ok = found.is_ok();
    let found = found.unwrap_or_else(|why| why);
    Check { name, ok, found, fix: if ok { String::new() } else { fix.to_owned() } }
}

fn kernel() -> Check {
    let name = rustix::system::uname();
    let found = format!("{} {}", name.sysname().to_string_lossy(), name.release().to_string_lossy());
    check("kernel", Ok(found), "")
}

/// `swap` in bytes: all there is, and what is free.
fn swap((all, free): (u64, u64)) -> Check {
    let found = match all {
        0 => Err("none: apps that stand still keep their memory".to_owned()),
        _ => Ok(format!("{}, {} free", out::bytes(all), out::bytes(free))),
    };
    check(
        "swap",
        found,
        "Standing still saves memory only where it can be put aside: add a compressed swap device in memory (Debian: \
         `apt install zram-tools`), or a swap file. Idle apps are stopped all the same.",
    )
}

fn bun(config: &Config) -> Check {
    // Where there is no data folder yet, none is made by looking.
    let folder = config.data.join("bun");
    let scratch = std::env::temp_dir().join(format!("steady-doctor-{}", std::process::id()));
    let folder = if folder.is_dir() { &folder } else { &scratch };
    let found = bun::find(config.bun.as_deref(), folder);
    let _ = crate::base::fs::remove_tree(&scratch);
    match found {
        Ok(_) => check("bun", Ok(bun::VERSION.to_owned()), ""),
        Err(e) => check("bun", Err(e.public), e.hint.as_deref().unwrap_or_default()),
    }
}

/// The folder, or the nearest one above that is there.
fn standing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."))
}

fn data(folder: &Path) -> Check {
    let at = standing(folder);
    let may = rustix::fs::access(at, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    let found = match (may, at == folder) {
        (Ok(()), true) => Ok(folder.display().to_string()),
        (Ok(()), false) => Ok(format!("{} will be made", folder.display())),
        (Err(e), _) => Err(format!("{} cannot be written: {e}", at.display())),
    };
    check("data folder", found, "Give a folder this user may write with --data, or start Steady as its owner.")
}

fn disk(folder: &Path) -> Check {
    let found = match rustix::fs::statvfs(standing(folder)) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} free", out::bytes(free));
            if free < LEAST_DISK { Err(found) } else { Ok(found) }
        }
        Err(e) => Err(format!("cannot be asked: {e}")),
    };
    check("free disk", found, "Make room: deploys need a gibibyte, and apps what they may keep.")
}

fn port(config: &Config) -> Check {
    let at = config.listen;
    let served = std::fs::read_to_string(config.data.join("address")).is_ok_and(|own| own == at.to_string());
    let found = match TcpListener::bind(at) {
        Ok(_) => Ok(format!("{at} is free")),
        Err(e) if e.kind() == ErrorKind::AddrInUse && served => Ok(format!("this Steady serves on {at}")),
        Err(e) => Err(format!("cannot listen on {at}: {e}")),
    };
    check(
        "port",
        found,
        "Stop what listens there, or choose another with --listen. Ports below 1024 need root or CAP_NET_BIND_SERVICE.",
    )
}

/// What TLS of our own needs; nothing when it is off.
fn tls(config: &Config) -> Vec<Check> {
    if config.tls == "off" {
        return Vec::new();
    }
    let at = config.tls_listen;
    let found = match TcpListener::bind(at) {
        Ok(_) => Ok(format!("{at} is free")),
        Err(e) if e.kind() == ErrorKind::AddrInUse && config.data.join("address").exists() => {
            Ok(format!("{at} is taken, and a Steady serves this data folder"))
        }
        Err(e) => Err(format!("cannot listen on {at}: {e}")),
    };
    let fix = "Stop what listens there, or set tls_listen. Ports below 1024 need root or CAP_NET_BIND_SERVICE.";
    let mut checks = vec![check("tls port", found, fix)];
    let files = Pair::zip(&config.tls_cert, &config.tls_key);
    let files = files.and_then(|pairs| OwnFiles::open(&pairs, clock::Clock::System.now()));
    checks.push(match files {
        Ok(files) => {
            let names: Vec<String> = files.all().iter().flat_map(|own| own.facts.names.clone()).collect();
            match (names.is_empty(), config.tls.as_str()) {
                (false, _) => check("certificate files", Ok(names.join(", ")), ""),
                (true, "files") => {
                    check("certificate files", Err("none is named".into()), "Name them with tls_cert and tls_key.")
                }
                (true, _) => check("certificate files", Ok("none, and none is needed".into()), ""),
            }
        }
        Err(e) => check("certificate files", Err(e.public), e.hint.as_deref().unwrap_or_default()),
    });
    checks
}

/// A clock that runs behind this program's own file is wrong for sure: sessions and certificates depend on it.
fn time(now: i64) -> Check {
    let built = std::env::current_exe().and_then(std::fs::metadata).and_then(|file| file.modified());
    let built = built.ok().and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let built = built.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0);
    let shown = format!("{} UTC", out::time(now));
    let day = crate::api::wire::DAY;
    let found =
        if now + day < built { Err(format!("{shown}, which is before Steady was installed")) } else { Ok(shown) };
    check("time", found, "Set the clock, and keep it right with NTP: `timedatectl set-ntp true`.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::sandbox::tier::Tier;

    fn walls(tier: Option<Tier>) -> Confinement {
        let missing = Check { name: "quota", ok: false, found: "none".into(), fix: "Mount it so.".into() };
        Confinement { tier, summary: "as it is".into(), checks: vec![missing] }
    }

    fn config(folder: &Path) -> Config {
        Config { data: folder.to_owned(), listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() }
    }

    #[test]
    fn what_is_missing_fails_only_when_it_is_needed() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        let line = |report: &Report, name: &str| {
            let line = report.checks.iter().find(|line| line.check.name == name).unwrap();
            (line.check.ok, line.needed)
        };
        let report = examine(&config, &walls(Some(Tier::Full)));
        assert_eq!(line(&report, "quota"), (false, false), "weaker, and served all the same");
        assert!(line(&report, "data folder").0 && line(&report, "port").0 && line(&report, "time").0);
        let report = examine(&config, &walls(Some(Tier::ProcessOnly)));
        assert_eq!((report.ok, line(&report, "quota")), (false, (false, true)));
        config.sandbox = "single-tenant".into();
        let report = examine(&config, &walls(Some(Tier::ProcessOnly)));
        assert_eq!(line(&report, "quota"), (false, false), "the owner wrote that it is enough");
        assert!(!examine(&config, &walls(None)).ok);
        config.bun = Some("/no/such/bun".into());
        let report = examine(&config, &walls(Some(Tier::Full)));
        assert_eq!((report.ok, line(&report, "bun")), (false, (false, true)));
    }

    #[test]
    fn swap_or_that_there_is_none_is_told() {
        assert!(swap((2 << 30, 1 << 30)).ok);
        let none = swap((0, 0));
        assert!(!none.ok && none.found.starts_with("none") && none.fix.contains("zram"), "{none:?}");
        let folder = tempfile::tempdir().unwrap();
        let report = examine(&config(folder.path()), &walls(Some(Tier::Full)));
        let line = report.checks.iter().find(|line| line.check.name == "swap").unwrap();
        assert!(!line.needed, "Steady serves without");
    }

    #[test]
    fn looking_makes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("a/b");
        assert!(data(&below).ok && data(&below).found.contains("will be made"));
        assert!(disk(&below).found.ends_with("free"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn tls_is_looked_at_where_it_is_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        assert!(tls(&config).is_empty());
        config.tls = "files".into();
        config.tls_listen = "127.0.0.1:0".parse().unwrap();
        let found = tls(&config);
        assert!(found[0].ok && !found[1].ok && found[1].fix.contains("tls_cert"), "{found:?}");
        config.tls_cert = vec![folder.path().join("none.pem")];
        config.tls_key = config.tls_cert.clone();
        assert!(tls(&config)[1].found.contains("none.pem cannot be read"));
        config.tls = "local".into();
        (config.tls_cert, config.tls_key) = Default::default();
        assert!(tls(&config).iter().all(|check| check.ok));
    }

    #[test]
    fn a_taken_port_and_a_wrong_clock_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config { listen: taken.local_addr().unwrap(), ..config(folder.path()) };
        assert!(!port(&config).ok && port(&config).fix.contains("--listen"));
        let address = config.listen.to_string();
        crate::base::fs::write_atomic(&folder.path().join("address"), address.as_bytes(), 0o644).unwrap();
        assert!(port(&config).ok, "it is the server of this folder");
        assert!(!time(0).ok && time(clock::Clock::System.now()).ok);
    }
}
