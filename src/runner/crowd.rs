//! Says in an app's log that it has as many processes and threads as it may. The program that could not start another
//! often falls over far from where it tried, and says nothing of it.
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use super::LaunchSpec;
use super::logs::Logs;
use super::sandbox::cgroup::Group;

/// One line for all that are refused meanwhile.
const REST: Duration = Duration::from_secs(60);

/// Of one child.
pub struct Crowd<'a> {
    group: Option<&'a Group>,
    spec: &'a LaunchSpec,
    logs: &'a Logs,
    /// How many were told of.
    told: u64,
}

impl<'a> Crowd<'a> {
    pub fn of(group: Option<&'a Group>, spec: &'a LaunchSpec, logs: &'a Logs) -> Self {
        Self { group, spec, logs, told: 0 }
    }

    /// Tells while the child runs; to be dropped when it has ended.
    pub async fn watch(&mut self) -> Infallible {
        let Some(group) = self.group else { return pending().await };
        loop {
            group.until_refused(self.told).await;
            self.tell();
            tokio::time::sleep(REST).await;
        }
    }

    /// Tells what was not told yet: also for a child that has just ended.
    pub fn tell(&mut self) {
        let refused = self.group.map_or(0, Group::refused_forks);
        let times = match refused.saturating_sub(self.told) {
            0 => return,
            1 => String::new(),
            n => format!(" {n} times"),
        };
        self.told = refused;
        let limit = self.spec.limits.pids;
        let line =
            format!("another process or thread was refused{times}; its limit is `processes` {limit} of steady.json");
        self.logs.remark(&self.spec.version, &line);
    }
}
