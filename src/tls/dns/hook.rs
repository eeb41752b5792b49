//! A program of the owner's that changes the zone. No shell, nothing in its environment, a time limit.
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::BoxFuture;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::DnsProvider;
use crate::base::{Error, Kind, Result, ResultExt as _};

/// Less than what a change may take.
const TIME: Duration = Duration::from_secs(50);
/// What it says is kept up to here, to be shown.
const MAX_SAID: u64 = 2048;

pub(super) struct Hook {
    /// Program and arguments, never empty: see [`Hook::run`].
    pub argv: Vec<String>,
}

impl DnsProvider for Hook {
    fn set_txt<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.run("set", name, value))
    }
    fn clear_txt<'a>(&'a self, name: &'a str, value: &'a str) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.run("clear", name, value))
    }
}

impl Hook {
    async fn run(&self, verb: &str, name: &str, value: &str) -> Result<()> {
        let (program, arguments) =
            self.argv.split_first().ok_or_else(|| Error::bad_input("acme_dns_hook names no program"))?;
        let mut child = Command::new(program)
            .args(arguments)
            .args([verb, name, value])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .or_error(Kind::BadInput, format!("the program of acme_dns_hook, {program}, cannot be started"))?;
        // All that it started goes with it.
        let mut group = Group(child.id());
        let mut said = Vec::new();
        let work = async {
            if let Some(stderr) = &mut child.stderr {
                let _ = (&mut *stderr).take(MAX_SAID).read_to_end(&mut said).await;
                let _ = tokio::io::copy(stderr, &mut tokio::io::sink()).await;
            }
            child.wait().await
        };
        let late = || Error::new(Kind::TimedOut, format!("{program} took more than {} s", TIME.as_secs()));
        let status =
            tokio::time::timeout(TIME, work).await.map_err(|_| late())?.internal("while waiting for a hook")?;
        // The number may be somebody else's from here on.
        group.0 = None;
        if status.success() {
            return Ok(());
        }
        let said: String = String::from_utf8_lossy(&said).chars().filter(|c| !c.is_control() || *c == '\n').collect();
        Err(Error::new(Kind::Conflict, format!("{program} {verb} {name} ended with {status}: {}", said.trim())))
    }
}

/// Kills what is left of a process group.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
