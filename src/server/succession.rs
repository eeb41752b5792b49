//! One server process takes over from another on the same data folder: the listening sockets and the lock go along, so
//! nobody is refused. The new one first shows that it can start; then the old one finishes what runs, stops its apps
//! and lets go; only then the new one touches the data. Meanwhile connections wait in the sockets' queues.
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};

use super::Sockets;
use super::lock::Lock;
use crate::base::{DataDir, Error, Kind, Result, ResultExt as _};
use crate::runner::sandbox::wire;

/// In the environment of a server that takes over; its standard input is then the socket to the one before.
const MARK: &str = "STEADY_TAKES_OVER";
/// How long a new server may take to show that it can start.
const SHOWS: Duration = Duration::from_secs(60);
/// How long it may take to serve once the data folder is its own: a migration of a large database is in it.
const SERVES: Duration = Duration::from_secs(300);

#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// Old → new, first. Beside it: the lock, then sockets of these names.
    Here { sockets: Vec<String> },
    /// New → old: all that can be known before the data folder is its own is in order.
    Able,
    /// New → old, before it ends.
    Unable { why: String, hint: Option<String> },
    /// Old → new: nothing of the old one uses the data folder any more.
    Yours,
    /// New → old: the old one may end.
    Serving,
}

/// What a server leaves to the next.
pub struct Estate {
    program: PathBuf,
    arguments: Vec<OsString>,
    pub(super) lock: OwnedFd,
    pub(super) sockets: Vec<(&'static str, OwnedFd)>,
}

impl Estate {
    pub(super) fn new(lock: OwnedFd, sockets: Vec<(&'static str, OwnedFd)>) -> Result<Self> {
        let program = std::env::current_exe().internal("while looking for this program's own file")?;
        // Replaced on disk since: what lies there now is what is wanted.
        let program = match program.to_str().and_then(|path| path.strip_suffix(" (deleted)")) {
            Some(path) => PathBuf::from(path),
            None => program,
        };
        Ok(Self { program, arguments: std::env::args_os().skip(1).collect(), lock, sockets })
    }

    /// Starts the program that lies where this one was started from, with the same arguments, and waits until it can
    /// take over. Nothing has changed when this fails.
    /// Errors: `Conflict` saying why it cannot.
    pub async fn raise(&self) -> Result<Heir> {
        if std::process::id() == 1 {
            return Err(Error::conflict("this server is process 1 of a container, which ends with it")
                .hint("Start a new container instead."));
        }
        self.raise_from(&self.program).await
    }

    /// The same with the very program that runs here, wherever its file is now.
    pub async fn raise_own(&self) -> Result<Heir> {
        self.raise_from(Path::new("/proc/self/exe")).await
    }

    async fn raise_from(&self, program: &Path) -> Result<Heir> {
        let (own, other) = wire::pair().internal("while making a socket to the new server")?;
        let own = wire::register(own).internal("while making a socket to the new server")?;
        let process = Command::new(program)
            .args(&self.arguments)
            .env(MARK, "1")
            .stdin(other)
            .spawn()
            .map_err(|e| Error::conflict(format!("{} cannot be started", self.program.display())).because(e))?;
        let heir = Heir { process, wire: own, program: self.program.clone() };
        let sockets = self.sockets.iter().map(|(name, _)| (*name).to_owned()).collect();
        let fds: Vec<BorrowedFd<'_>> =
            std::iter::once(self.lock.as_fd()).chain(self.sockets.iter().map(|(_, fd)| fd.as_fd())).collect();
        let shown = async {
            wire::send(heir.wire.get_ref(), &Word::Here { sockets }, &fds).map_err(|e| gone().because(e))?;
            heir.hear(&Word::Able).await
        };
        let shown = tokio::time::timeout(SHOWS, shown).await.unwrap_or_else(|_| Err(late(SHOWS)));
        match shown {
            Ok(()) => Ok(heir),
            Err(error) => Err(heir.end(error).await),
        }
    }
}

/// A server that is ready to take over. It ends by itself when this is dropped.
pub struct Heir {
    process: Child,
    wire: AsyncFd<OwnedFd>,
    program: PathBuf,
}

impl Heir {
    /// Gives everything to it, when nothing here uses the data folder any more, and waits until it serves. Its process id.
    /// Errors: `Conflict` saying why it does not; it has ended then.
    pub async fn inherit(self) -> Result<u32> {
        let serving = async {
            wire::send(self.wire.get_ref(), &Word::Yours, &[]).map_err(|e| gone().because(e))?;
            self.hear(&Word::Serving).await
        };
        let serving = tokio::time::timeout(SERVES, serving).await.unwrap_or_else(|_| Err(late(SERVES)));
        match (serving, self.process.id()) {
            (Ok(()), Some(pid)) => Ok(pid),
            (Ok(()), None) => Err(gone()),
            (Err(error), _) => Err(self.end(error).await),
        }
    }

    async fn hear(&self, wanted: &Word) -> Result<()> {
        let heard = self.wire.async_io(Interest::READABLE, |fd| wire::receive::<Word>(fd)).await;
        match heard {
            Ok(Some((word, _))) if std::mem::discriminant(&word) == std::mem::discriminant(wanted) => Ok(()),
            Ok(Some((Word::Unable { why, hint }, _))) => Err(Error { hint, ..Error::conflict(why) }),
            Ok(Some(_)) => Err(Error::conflict("the new server said something that is not expected of it")),
            Ok(None) => Err(gone()),
            Err(error) => Err(gone().because(error)),
        }
    }

    /// Sees that it has ended; `error`, with how it did if it said nothing.
    async fn end(mut self, error: Error) -> Error {
        let by_itself = tokio::time::timeout(Duration::from_secs(2), self.process.wait()).await;
        let _ = self.process.kill().await;
        match by_itself {
            Ok(Ok(status)) if error.public == GONE => {
                Error::conflict(format!("{} ended with {status} and said nothing", self.program.display()))
                    .hint("See that it is Steady, and made for this machine.")
            }
            _ => error,
        }
    }
}

const GONE: &str = "the new server has ended";

fn gone() -> Error {
    Error::conflict(GONE)
}

fn late(limit: Duration) -> Error {
    Error::new(Kind::TimedOut, format!("the new server was not ready within {} s", limit.as_secs()))
}

/// Where a server begins: by itself, with sockets of systemd, or where another ends.
pub struct Origin {
    pub(super) sockets: Sockets,
    lock: Option<Lock>,
    before: Option<OwnedFd>,
}

impl Origin {
    /// Once, at the start of the program: before threads, and before anything is opened. Waits for the first word of
    /// a server that hands over.
    pub fn find() -> Result<Self> {
        if std::env::var_os(MARK).is_none() {
            return Ok(Self { sockets: Sockets::of_systemd()?, lock: None, before: None });
        }
        let broken = |e: io::Error| {
            Error::bad_input(format!("{MARK} is set, and standard input is no server that hands over"))
                .because(e)
                .hint("Steady sets it itself; unset it.")
        };
        let (before, word) = first_word().map_err(broken)?;
        let Some((Word::Here { sockets }, fds)) = word else { return Err(broken(io::ErrorKind::InvalidData.into())) };
        let mut fds = fds.into_iter();
        let lock = fds.next().map(Lock::inherit);
        Ok(Self { sockets: Sockets::new(sockets.into_iter().zip(fds)), lock, before: Some(before) })
    }

    /// The lock on the data folder: inherited, or taken.
    pub(super) fn lock(&mut self, dir: &DataDir) -> Result<Lock> {
        match self.lock.take() {
            None => Lock::take(dir),
            Some(lock) if lock.is_of(dir) => Ok(lock),
            Some(_) => {
                Err(Error::conflict(format!("the settings name another data folder now, {}", dir.root().display()))
                    .hint("Stop the server and start it again: one that runs hands over the folder it has."))
            }
        }
    }

    /// Says that all is in order so far, and waits until the server before is done with the data folder.
    /// Errors: `Conflict` when that one goes on.
    pub(super) async fn turn(&self) -> Result<()> {
        let Some(before) = &self.before else { return Ok(()) };
        let stays = || Error::conflict("the server that runs did not hand over");
        self.say(&Word::Able);
        let wire = before.try_clone().and_then(wire::register).internal("while waiting for the server before")?;
        match wire.async_io(Interest::READABLE, |fd| wire::receive::<Word>(fd)).await {
            Ok(Some((Word::Yours, _))) => Ok(()),
            Ok(_) => Err(stays()),
            Err(error) => Err(stays().because(error)),
        }
    }

    /// This server serves now: the one before may end.
    pub fn serving(&mut self) {
        self.say(&Word::Serving);
        self.before = None;
    }

    /// This server cannot start: the one before goes on.
    pub fn unable(&mut self, why: &str, hint: Option<&str>) {
        self.say(&Word::Unable { why: why.to_owned(), hint: hint.map(str::to_owned) });
        self.before = None;
    }

    fn say(&self, word: &Word) {
        if let Some(before) = &self.before
            && let Err(error) = wire::send(before, word, &[])
        {
            tracing::debug!(%error, "the server before does not listen any more");
        }
    }
}

type First = (OwnedFd, Option<(Word, Vec<OwnedFd>)>);

/// Takes the socket out of the place of standard input, where nothing else looks for it.
fn first_word() -> io::Result<First> {
    let before = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    let word = wire::receive(&before)?;
    Ok((before, word))
}
