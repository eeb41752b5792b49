//! Short-lived commands in the jail: an install, a build, a copy of data.
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::app::Common;
use super::egress::{Budget, Net, Purpose, Session, Subject};
use super::process::{Ending, Scratch};
use super::pump::Lines;
use super::redact::Redactor;
use super::wire::Wire;
use super::{AppKey, JobReport, JobSpec, Limits, doors};
use crate::base::{Error, Progress, Result, ResultExt as _};

/// Lines of a report.
const TAIL: usize = 200;
/// Lines passed on; the rest is counted.
const MAX_LINES: usize = 20_000;

/// How often the room a job takes is counted.
const LOOKED_EVERY: Duration = Duration::from_millis(250);
/// In these turns its files are counted too, which takes longer.
const COUNTED_EVERY: u64 = 12;

/// See `Runner::job`.
pub async fn run(common: &Arc<Common>, spec: JobSpec, progress: &Progress) -> Result<JobReport> {
    let n = common.counter.fetch_add(1, Ordering::Relaxed);
    let home = Scratch(common.options.scratch.join(format!("j{n}")));
    crate::base::fs::make_dir(&home.0, 0o700).internal("while making a job's folder")?;
    let world = common.spares.take(&spec.limits).await.internal("while making room for a job")?;
    // Its weight counts among those that keep to their share; who does not weighs nothing, and a build is no better.
    if spec.limits.cpu_weight < Limits::default().cpu_weight
        && let Some(Err(error)) = world.group().map(|group| group.go_last(true))
    {
        tracing::debug!(%error, "a job cannot be sent behind the apps");
    }
    let jail = common.base.job(&common.options, &spec, &home.0, world.group());
    let (mut process, out, err) = world.enter(&jail).await.internal("while starting a job")?;
    let lines = Arc::new(Mutex::new(Tail { progress: progress.clone(), kept: VecDeque::new(), count: 0 }));
    let redactor = Redactor::new(&spec.env, Path::new("/"));
    let words = [
        common.tasks.spawn("job-out", listen(out, redactor.clone(), lines.clone())),
        common.tasks.spawn("job-err", listen(err, redactor, lines.clone())),
    ];
    let entered = process.wire().entered().await;
    // Its connections end with it.
    let outside = match entered {
        Ok(_) => connect_outside(common, process.wire(), &spec, lines.clone()).await,
        Err(_) => Ok(None),
    };
    if outside.is_err() {
        process.kill();
    }
    let stop = common.tasks.stopping();
    let mut over: Vec<String> = Vec::new();
    let ending = tokio::select! {
        ending = process.wait() => ending,
        why = until_full(common, &spec, &home.0) => {
            process.kill();
            process.wait().await;
            over.push("disk".into());
            Ending { success: false, text: format!("stopped: {why}") }
        }
        () = tokio::time::sleep(spec.timeout) => {
            process.kill();
            process.wait().await;
            over.push(format!("time ({} s)", spec.timeout.as_secs()));
            Ending { success: false, text: format!("timed out after {} s", spec.timeout.as_secs_f32()) }
        }
        () = stop.cancelled() => {
            process.kill();
            process.wait().await;
            Ending { success: false, text: "stopped: the server is shutting down".into() }
        }
    };
    let limits = [process.limits_met(&spec.limits), over].concat();
    process.sweep(&common.options.instance).await;
    for word in words {
        let abort = word.abort_handle();
        if tokio::time::timeout(Duration::from_secs(1), word).await.is_err() {
            abort.abort();
        }
    }
    let refused = outside?.as_ref().map(Session::refused).unwrap_or_default();
    if let Err(why) = entered {
        return Err(Error::internal("a job could not be started in its jail").because(why));
    }
    let tail = lines.lock().unwrap_or_else(PoisonError::into_inner).kept.iter().cloned().collect();
    Ok(JobReport { success: ending.success, ending: ending.text, tail, refused, limits })
}

async fn connect_outside(
    common: &Arc<Common>,
    wire: &Wire,
    spec: &JobSpec,
    lines: Arc<Mutex<Tail>>,
) -> Result<Option<Session>> {
    let doors =
        doors::open(wire, common.base.own_folder(&spec.cwd)).internal("while opening a job's outbound connections")?;
    let Some(doors) = doors else { return Ok(None) };
    let subject = Subject {
        key: AppKey("job".into()),
        net: Net::default(),
        trusted: spec.hosts.clone(),
        purpose: Purpose::Job,
        limits: spec.limits,
        // A job's time is limited, and who may be asked.
        budget: Arc::new(Budget::new(common.clock.clone())),
    };
    let log = Arc::new(move |line: String| lines.lock().unwrap_or_else(PoisonError::into_inner).add(line));
    common.egress.serve(subject, doors, log).await.map(Some)
}

/// Returns why, when the server's disk is nearly full or the job has written more than its limit, looked at
/// every few seconds: nothing else bounds what it writes there.
async fn until_full(common: &Arc<Common>, spec: &JobSpec, home: &Path) -> String {
    for turn in 1u64.. {
        tokio::time::sleep(LOOKED_EVERY).await;
        let counts = turn.is_multiple_of(COUNTED_EVERY);
        let (disk, folders, most) = (common.disk.clone(), [spec.cwd.clone(), home.to_owned()], spec.limits.disk_bytes);
        let looked = tokio::task::spawn_blocking(move || {
            let written = || folders.iter().map(|folder| crate::base::fs::tree_size_at_worst(folder)).sum::<u64>();
            disk.floor()
                .or_else(|| (counts && written() > most).then(|| format!("it wrote more than {} MiB", most >> 20)))
        });
        if let Ok(Some(why)) = looked.await {
            return why;
        }
    }
    std::future::pending().await
}

struct Tail {
    progress: Progress,
    kept: VecDeque<String>,
    count: usize,
}

impl Tail {
    fn add(&mut self, line: String) {
        self.count += 1;
        match self.count.cmp(&MAX_LINES) {
            std::cmp::Ordering::Less => self.progress.line(line.clone()),
            std::cmp::Ordering::Equal => self.progress.line("… more lines follow and are not shown"),
            std::cmp::Ordering::Greater => {}
        }
        self.kept.push_back(line);
        if self.kept.len() > TAIL {
            self.kept.pop_front();
        }
    }
}

async fn listen(mut pipe: impl AsyncRead + Unpin, redactor: Redactor, tail: Arc<Mutex<Tail>>) {
    let mut lines = Lines::new(redactor);
    let mut buffer = vec![0u8; 16 << 10];
    let add = |line: String| tail.lock().unwrap_or_else(PoisonError::into_inner).add(line);
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let mut count = 0u64;
        lines.push(&buffer[..read], &mut |line| {
            count += 1;
            add(line);
        });
        // A flood costs the flooder, who waits: some 100,000 lines or 8 MiB a second are read.
        let pause = count * 10 + read as u64 / 8;
        if pause > 1000 {
            tokio::time::sleep(Duration::from_micros(pause)).await;
        }
    }
    lines.finish(&mut |line| add(line));
}
