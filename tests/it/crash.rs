//! kill -9 at random moments of a push, a save and a run: what was acknowledged is there afterwards, the
//! app answers with the old or the new version, and nothing is left running or lying about.
//!
//! `STEADY_CRASH_SEEDS` (default 50) says how often; `STEADY_CRASH_SEED` repeats from one seed.
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::session::result;
use crate::support::{Request, Session, Steady, procs, until};

/// Long enough for many seeds, short enough for CI. Seeds not begun by then are left out, and counted.
const BUDGET: Duration = Duration::from_secs(300);

fn code(version: u64) -> String {
    let counter = crate::data::COUNTER;
    format!(
        "// version {version}\n{}",
        counter.replace(
            "\"/count\") return",
            &format!("\"/version\") return new Response(\"{version}\");\n    if (pathname === \"/count\") return")
        )
    )
}

/// xorshift: the same seed does the same again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

struct World {
    steady: Steady,
    work: crate::support::Work,
    /// What visitors must see; two values when an unacknowledged push may have gone through.
    live: u64,
    /// What the draft's note must hold.
    note: String,
    counted: u64,
    next: u64,
}

#[test]
fn kill_at_any_moment_loses_nothing_acknowledged() {
    let steady = Steady::start();
    let work = steady.push_new("phoenix", &[("index.ts", &code(1)), ("note.txt", "none")]);
    let mut world = World { steady, work, live: 1, note: "none".into(), counted: 0, next: 2 };
    let first = number("STEADY_CRASH_SEED", 1);
    let seeds = number("STEADY_CRASH_SEEDS", 50);
    let began = Instant::now();
    let (mut done, mut acknowledged) = (0, 0);
    for seed in first..first + seeds {
        if began.elapsed() > BUDGET && done >= 10 {
            break;
        }
        eprintln!("STEADY_CRASH_SEED={seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let after = Duration::from_millis(dice.below(900));
        acknowledged += u64::from(match dice.below(3) {
            0 => world.push(after),
            1 => world.save(after),
            _ => world.run(after),
        });
        done += 1;
    }
    eprintln!(
        "{done} of {seeds} seeds, {acknowledged} acts acknowledged before the kill, in {:.0} s",
        began.elapsed().as_secs_f32()
    );
    assert!(done >= seeds.min(10), "too slow: only {done} seeds in {BUDGET:?}");
}

impl World {
    fn push(&mut self, after: Duration) -> bool {
        let version = self.next;
        self.next += 1;
        self.work.write(&[("index.ts", &code(version))]);
        let new = self.work.commit(&format!("Version {version}"));
        let work = &self.work;
        let acknowledged = kill_during(&mut self.steady, after, || work.push().0);
        let seen = self.seen();
        if acknowledged {
            assert_eq!(seen, version, "an acknowledged push was lost");
            assert_eq!(self.steady.status("phoenix")["commit"], new.as_str());
            let main = self.work.git_ok(&["ls-remote", "origin", "refs/heads/main"]);
            assert!(main.starts_with(&new), "main is not where an acknowledged push put it: {main}");
        } else {
            assert!(seen == version || seen == self.live, "neither old nor new: {seen}");
            // Trying again must work, whatever was left half done.
            self.work.git_ok(&["commit", "-q", "--allow-empty", "-m", "Again"]);
            self.work.push_ok();
            assert_eq!(self.seen(), version);
        }
        self.live = version;
        self.check();
        acknowledged
    }

    fn save(&mut self, after: Duration) -> bool {
        let session = Session::sign_in(&self.steady, "dev");
        let note = format!("note {}", self.next);
        self.next += 1;
        let on = session.workspace("phoenix")["commit"].as_str().expect("a commit").to_owned();
        let request = session.save("phoenix", &on, "note.txt", &note);
        // A save takes a few milliseconds: the interesting moments are early.
        let acknowledged =
            kill_during(&mut self.steady, after / 20, || request.try_send().is_ok_and(|reply| reply.status == 200));
        let session = Session::sign_in(&self.steady, "dev");
        let found = session.file("phoenix", "note.txt");
        if acknowledged {
            assert_eq!(found, note, "an acknowledged save was lost");
        } else {
            assert!(found == note || found == self.note, "neither old nor new: {found}");
        }
        self.note = found;
        self.check();
        acknowledged
    }

    fn run(&mut self, after: Duration) -> bool {
        let session = Session::sign_in(&self.steady, "dev");
        let request = session.run("phoenix");
        let acknowledged =
            kill_during(&mut self.steady, after, || request.try_send().is_ok_and(|reply| result(&reply).is_some()));
        let session = Session::sign_in(&self.steady, "dev");
        let reply = session.run("phoenix").send();
        let draft = result(&reply).unwrap_or_else(|| panic!("Run does not work after a crash: {}", reply.text()));
        let answer = session.draft_get(draft["url"].as_str().expect("a URL"), "/count");
        assert_eq!(answer.status, 200, "{}", answer.text());
        self.check();
        acknowledged
    }

    fn seen(&self) -> u64 {
        until("the app answers", || {
            let request = Request::get(self.steady.port, &self.steady.app_host("phoenix"), "/version");
            request.try_send().ok().filter(|r| r.status == 200).and_then(|r| r.text().parse().ok())
        })
    }

    /// After every crash: the data counts on, the version is right, nothing lies about.
    fn check(&mut self) {
        assert_eq!(self.seen(), self.live);
        let count = self.steady.get("phoenix", "/count").json()["count"].as_u64().expect("a number");
        assert_eq!(count, self.counted, "the app's own data changed");
        assert_eq!(self.steady.post("phoenix", "/").status, 303);
        self.counted += 1;
        let left = leftovers(&self.steady.data());
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

/// Runs `act` and kills the server after a while; then starts it again. Gives back whether the act was
/// acknowledged. All that ran below the killed server must be gone once the new one answers.
fn kill_during(steady: &mut Steady, after: Duration, act: impl FnOnce() -> bool + Send) -> bool {
    let acknowledged = std::thread::scope(|scope| {
        let acting = scope.spawn(act);
        sleep(after);
        let before = procs::below(steady.pid());
        steady.kill();
        let acknowledged = acting.join().expect("the act ends");
        steady.launch();
        let left = procs::alive(&before);
        assert!(left.is_empty(), "children of the killed server still run: {left:?}");
        acknowledged
    });
    let mine = procs::below(steady.pid());
    let server = steady.pid();
    let strangers: Vec<_> = procs::of_folder(steady.dir())
        .into_iter()
        .filter(|p| p.pid != server && !mine.contains(p) && !procs::below(server).contains(p))
        .filter(|p| !procs::alive(std::slice::from_ref(p)).is_empty())
        .collect();
    assert!(strangers.is_empty(), "processes of the killed server: {strangers:?}");
    acknowledged
}

/// Half-written files, anywhere in the data folder but where the apps themselves write.
fn leftovers(data: &Path) -> Vec<PathBuf> {
    let mut found = vec![];
    let mut waiting = vec![data.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().expect("a file type");
            if kind.is_dir() && !["home", "node_modules", "code"].contains(&name.as_str()) {
                waiting.push(path);
            } else if kind.is_file() && (name.ends_with(".tmp") || name.ends_with(".lock") || name.starts_with("tmp_"))
            {
                found.push(path);
            }
        }
    }
    found
}
