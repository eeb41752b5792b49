//! A whole Steady in a folder of its own: the real program, real git, real Bun. Dropping it stops the
//! server and then looks for what must not be left: child processes and temporary files.
pub mod http;
pub mod load;
pub mod names;
pub mod procs;
mod running;
pub mod session;
pub mod work;

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub use http::{Reply, Request};
use running::Running;
pub use session::Session;
pub use work::Work;

/// How long anything may take before a test gives up; generous, because machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const PASSWORD: &str = "correct horse battery staple";

pub struct Steady {
    dir: tempfile::TempDir,
    pub port: u16,
    server: Option<Running>,
    /// Of the user `dev`, an admin.
    pub token: String,
    extra: Vec<String>,
    env: Vec<(String, String)>,
    /// Whom the program runs as: words that come before it.
    before: Vec<String>,
}

impl Steady {
    /// A running server with the user `dev` and a token.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, with more flags for `serve`.
    pub fn start_with(flags: &[&str]) -> Self {
        let mut steady = Self::prepare(flags);
        steady.add_user("dev", true);
        steady.token = steady.new_token("dev");
        steady.launch();
        steady
    }

    /// Only the folder and a free port; nothing runs and nobody exists.
    pub fn prepare(flags: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("steady-").tempdir().expect("a temporary folder");
        // Apps run as users of their own, who must be able to reach their folders.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).expect("chmod");
        let extra = flags.iter().map(|&flag| flag.to_owned()).collect();
        Self { dir, port: free_port(), server: None, token: String::new(), extra, env: vec![], before: vec![] }
    }

    /// Every later start of the program on this server's machine is by `before PROGRAM…`, of copies that
    /// any user can reach, and the folder is `uid`'s.
    pub fn run_by(&mut self, before: &[&str], uid: u32) {
        let copy = |from: &Path, name: &str| {
            std::fs::copy(from, self.dir().join(name)).expect("a copy");
        };
        copy(Path::new(env!("CARGO_BIN_EXE_steady")), "steady");
        copy(&steady::runner::bun::find(None, self.dir()).expect("run `npm ci` first"), "bun");
        let bun = self.dir().join("bun").display().to_string();
        self.env("STEADY_BUN", &bun);
        std::os::unix::fs::chown(self.dir(), Some(uid), Some(uid)).expect("chown");
        self.before = before.iter().map(|&word| word.to_owned()).collect();
    }
    fn program(&self) -> Command {
        let mut command = steady_command();
        if let Some((first, rest)) = self.before.split_first() {
            let own = std::mem::replace(&mut command, Command::new(first));
            command.args(rest).arg(self.dir().join("steady"));
            for (name, value) in own.get_envs() {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
            command.current_dir(self.dir());
        }
        command
    }

    /// Sets a variable for every later start of the server.
    pub fn env(&mut self, name: &str, value: &str) {
        self.env.push((name.to_owned(), value.to_owned()));
    }

    /// Adds a flag to every later start of the server.
    pub fn flag(&mut self, name: &str, value: &str) {
        self.extra.extend([name.to_owned(), value.to_owned()]);
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }
    pub fn pid(&self) -> u32 {
        self.server.as_ref().expect("the server runs").id()
    }
    /// `http://localhost:PORT`, the editor.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }
    /// `localhost:PORT`
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }
    /// `LABEL.localhost:PORT`
    pub fn app_host(&self, label: &str) -> String {
        format!("{label}.localhost:{}", self.port)
    }
    pub fn git_url(&self, project: &str) -> String {
        format!("http://dev:{}@localhost:{}/dev/{project}.git", self.token, self.port)
    }
    /// All the server has printed so far, over all its starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
    fn log_file(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn serve_command(&self) -> Command {
        let mut command = self.program();
        command.arg("serve").arg("--data").arg(self.data());
        command.args(["--listen", &format!("127.0.0.1:{}", self.port), "--domain", "localhost"]);
        if self.before.is_empty() && !rustix::process::geteuid().is_root() {
            // An ordinary user's walls may be too weak for strangers; here all code is the tests' own.
            command.env("STEADY_SANDBOX", "single-tenant");
        }
        command.args(&self.extra).envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// Starts the server and waits until it answers.
    pub fn launch(&mut self) {
        assert!(self.server.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.log_file()).expect("the server's log");
        let mut command = self.serve_command();
        command.stdout(log.try_clone().expect("dup")).stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("wait") {
                panic!("the server ended with {status} before it answered:\n{}", self.log());
            }
            if Request::get(self.port, &self.host(), "/").try_send().is_ok() {
                break;
            }
            assert!(Instant::now() < deadline, "the server did not answer:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
        self.server = Some(Running::Child(child));
    }

    /// Runs `serve` to its end, for starts that are expected to fail.
    pub fn serve_output(&self, flags: &[&str]) -> Output {
        output_within(self.serve_command().args(flags), None)
    }

    /// SIGTERM, and wait; whether it ended as it should.
    pub fn terminate(&mut self) -> bool {
        let mut server = self.server.take().expect("the server runs");
        signal(server.id(), "TERM");
        let Some(success) = server.ended() else {
            server.kill();
            panic!("the server did not stop after SIGTERM:\n{}", self.log());
        };
        success
    }

    /// SIGKILL: nothing of the server's own can run any more.
    pub fn kill(&mut self) {
        self.server.take().expect("the server runs").kill();
    }

    /// SIGUSR2, and wait until the server that it starts has taken over.
    pub fn hand_over(&mut self) {
        let mut before = self.server.take().expect("the server runs");
        signal(before.id(), "USR2");
        assert_eq!(before.ended(), Some(true), "the old server ends, and well:\n{}", self.log());
        let pid = std::fs::read_to_string(self.data().join("lock")).expect("the lock names its holder");
        let heir = pid.parse().ok().and_then(procs::of).unwrap_or_else(|| panic!("no server {pid}:\n{}", self.log()));
        assert_ne!(heir.pid, before.id());
        self.server = Some(Running::Heir(heir));
    }

    pub fn restart(&mut self) {
        assert!(self.terminate(), "a stop by SIGTERM is a success:\n{}", self.log());
        self.launch();
    }

    /// `steady --data DIR …`: what the owner of the machine types.
    pub fn local(&self, args: &[&str], stdin: &str) -> Output {
        output_within(self.program().arg("--data").arg(self.data()).args(args), Some(stdin))
    }
    pub fn add_user(&self, name: &str, admin: bool) {
        let mut args = vec!["user", "add", name, "--password-stdin"];
        if admin {
            args.push("--admin");
        }
        ok(&self.local(&args, &format!("{PASSWORD}\n")), "user add");
    }
    pub fn new_token(&self, user: &str) -> String {
        ok(&self.local(&["token", "add", user, "--name", "tests"], ""), "token add").trim().to_owned()
    }

    /// The program as a client of this server, in a folder of its own choice.
    pub fn client(&self, cwd: &Path) -> Command {
        let mut command = steady_command();
        command.current_dir(cwd).env("STEADY_URL", self.url()).env("STEADY_TOKEN", &self.token);
        command.stdin(Stdio::null());
        command
    }
    pub fn cli(&self, args: &[&str]) -> Output {
        output_within(self.client(self.dir()).args(args), None)
    }
    /// Runs a command that must succeed, and gives back what it printed.
    pub fn cli_ok(&self, args: &[&str]) -> String {
        ok(&self.cli(args), &args.join(" "))
    }
    pub fn status(&self, project: &str) -> serde_json::Value {
        let text = self.cli_ok(&["status", &format!("dev/{project}"), "--json"]);
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("status --json is not JSON: {e}\n{text}"))
    }

    pub fn get(&self, label: &str, path: &str) -> Reply {
        Request::get(self.port, &self.app_host(label), path).send()
    }
    pub fn post(&self, label: &str, path: &str) -> Reply {
        Request::new(self.port, "POST", &self.app_host(label), path).body("").send()
    }
    /// A clone of a new project that does not exist on the server yet.
    pub fn work(&self, project: &str) -> Work {
        Work::new(self, project)
    }
    /// Pushes these files as a new project of `dev`; the push must succeed.
    pub fn push_new(&self, project: &str, files: &[(&str, &str)]) -> Work {
        let work = self.work(project);
        work.write(files);
        work.commit("First");
        work.push_ok();
        work
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- server log\n{}", self.log());
        }
        if self.server.is_some() {
            if std::thread::panicking() {
                let pid = self.pid();
                let below = procs::below(pid);
                self.kill();
                procs::end_all(&below);
                return;
            }
            let below = procs::below(self.pid());
            assert!(self.terminate(), "the server did not end well:\n{}", self.log());
            let left = procs::alive(&below);
            assert!(left.is_empty(), "processes outlived the server: {left:?}");
        }
        if !std::thread::panicking() {
            let left = procs::of_folder(self.dir.path());
            assert!(left.is_empty(), "processes still use the data folder: {left:?}");
            let left = leftovers(&self.data());
            assert!(left.is_empty(), "temporary files were left: {left:?}");
        }
    }
}

/// What a stopped server must not leave in its temporary folder. The runner's own three things stay: the
/// wrapper, the folder that roots are mounted on, and its note of which groups it made.
pub fn leftovers(data: &Path) -> Vec<PathBuf> {
    let standing = ["wrapper", "root", "cgroups"];
    let entries = std::fs::read_dir(data.join("tmp")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| !standing.iter().any(|name| path.ends_with(name))).collect()
}

/// The program under test, with none of this machine's own settings.
pub fn steady_command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_steady"));
    for name in ["STEADY_URL", "STEADY_TOKEN", "STEADY_DATA", "STEADY_LISTEN", "STEADY_DOMAIN", "NO_COLOR"] {
        command.env_remove(name);
    }
    // `steady login` keeps tokens under HOME; tests must not find a person's.
    command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
    command
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill");
    assert!(status.success(), "kill -{name} {pid} failed");
}

/// Runs to the end, or kills it and fails after [`PATIENCE`].
pub fn output_within(command: &mut Command, stdin: Option<&str>) -> Output {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
    if let (Some(text), Some(mut pipe)) = (stdin, child.stdin.take()) {
        // A program that does not read its input is not what is tested here.
        let _ = pipe.write_all(text.as_bytes());
    }
    let pid = child.id();
    let (done, waiting) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            if waiting.recv_timeout(PATIENCE).is_err() {
                signal(pid, "KILL");
            }
        });
        let output = child.wait_with_output().expect("wait");
        let _ = done.send(());
        output
    })
}

/// Asserts success and gives back what was printed on stdout.
pub fn ok(output: &Output, what: &str) -> String {
    assert!(
        output.status.success(),
        "`{what}` ended with {}\n--- stdout\n{}--- stderr\n{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Polls until `check` gives something; fails with `what` after [`PATIENCE`].
pub fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(25));
    }
}

/// Below the range the kernel gives to outgoing connections, so that nobody takes it between two starts.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 10_000).expect("below 10,000");
    for _ in 0..10_000 {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("there is no free port between 20000 and 29999");
}
