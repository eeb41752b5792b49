//! An app's page and its tabs: overview, deploys, logs, requests.
use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;

use super::security::Failed;
use super::visit::{At, Shell, Visit, html, moved};
use super::{Ctx, show};
use crate::accounts::Action;
use crate::apps::Project;
use crate::apps::view::{AppStatus, DeployView, Waiting};
use crate::base::{Kind, Result};
use crate::runner::Boot;
use crate::runner::logs::{LogLine, Logs, RequestLine, Stream};

/// What stands above every tab.
pub struct Head {
    pub tab: &'static str,
    pub status: AppStatus,
    pub signed_in: bool,
    pub may_edit: bool,
    pub may_manage: bool,
    pub may_approve: bool,
    /// The deploy that waits for an owner's yes.
    pub waiting: Option<Waiting>,
}

impl Head {
    pub fn of(ctx: &Ctx, visit: &Visit, project: &Project, tab: &'static str) -> Result<Self> {
        Ok(Self {
            tab,
            status: ctx.apps.status(project)?,
            signed_in: visit.actor.is_some(),
            may_edit: visit.may(ctx, project, Action::Edit),
            may_manage: visit.may(ctx, project, Action::Manage),
            may_approve: visit.may(ctx, project, Action::Approve),
            waiting: ctx.apps.permissions(project)?.waiting,
        })
    }
    /// Public code is no public app: how it runs and what it is given stays inside.
    fn for_strangers(mut self) -> Self {
        self.status.process = None;
        self.status.env_names = Vec::new();
        self.status.env_version = 0;
        self.status.permissions = Vec::new();
        self.status.waiting = None;
        self.status.confinement_missing = Vec::new();
        self.waiting = None;
        self
    }
    /// What deploy `number` asks for, if it is the one that waits.
    pub fn asks(&self, number: &i64) -> Option<&[String]> {
        self.waiting.as_ref().filter(|waiting| waiting.deploy == *number).map(|waiting| &*waiting.more)
    }
    pub fn deployed(&self) -> bool {
        self.status.version.is_some()
    }
    /// There is a process to pause or restart: something was deployed, and not as plain files.
    pub fn has_process(&self) -> bool {
        self.deployed() && self.status.state != "static"
    }
    pub fn paused(&self) -> bool {
        self.status.state == "paused"
    }
    /// p50 and p99 of the last boots.
    pub fn boots(&self) -> Option<(u64, u64)> {
        let boots = &self.status.process.as_ref()?.boots_ms;
        Some((show::percentile(boots, 0.5)?, show::percentile(boots, 0.99)?))
    }
    /// The last boot.
    pub fn boot(&self) -> Option<Flame> {
        Some(Flame::of(self.status.process.as_ref()?.boots.last()?))
    }
}

/// A start as a bar of its parts.
pub struct Flame {
    /// `it became a process that waited, from its bundle`
    pub how: String,
    pub parts: Vec<Part>,
    /// Microseconds.
    pub total: u64,
}

pub struct Part {
    /// Names its colour too.
    pub name: &'static str,
    pub us: u64,
    /// Where it begins and how long it is, in thousandths of the bar.
    pub from: u64,
    pub long: u64,
}

impl Flame {
    fn of(boot: &Boot) -> Self {
        let process = if boot.waited { "taken from those that waited" } else { "started for it" };
        let code = if boot.bundled { "its bundle" } else { "its source" };
        let load = if boot.waited { "load" } else { "Bun and load" };
        let all = [
            ("data", boot.data_us),
            ("process", boot.process_us),
            (load, boot.load_us),
            ("first answer", boot.answer_us.unwrap_or(0)),
        ];
        let total: u64 = all.iter().map(|(_, us)| us).sum();
        let place = |us: u64| us * 1000 / total.max(1);
        let mut before = 0;
        let parts = all.map(|(name, us)| {
            let from = place(before);
            before += us;
            Part { name, us, from, long: place(before) - from }
        });
        Self { how: format!("a process {process}, from {code}"), parts: parts.into(), total }
    }
}

#[derive(Template)]
#[template(path = "project/overview.html")]
pub struct Overview {
    pub shell: Shell,
    pub head: Head,
    pub deploys: Vec<DeployView>,
    pub requests: Vec<RequestLine>,
    pub lines: Vec<LogLine>,
}

#[derive(Template)]
#[template(path = "project/deploys.html")]
pub struct Deploys {
    pub shell: Shell,
    pub head: Head,
    pub deploys: Vec<DeployView>,
}

#[derive(Template)]
#[template(path = "project/logs.html")]
pub struct LogPage {
    pub shell: Shell,
    pub head: Head,
    pub lines: Vec<LogLine>,
    pub n: usize,
}

#[derive(Template)]
#[template(path = "project/requests.html")]
pub struct Requests {
    pub shell: Shell,
    pub head: Head,
    pub requests: Vec<RequestLine>,
    pub n: usize,
}

/// How many rows a page shows.
#[derive(Deserialize)]
pub struct Rows {
    n: Option<usize>,
}

impl Rows {
    fn count(&self, usual: usize) -> usize {
        self.n.unwrap_or(usual).clamp(1, 2000)
    }
}

/// The live app's log; `None` before the first deploy.
pub fn log_of(ctx: &Ctx, project: &Project) -> Result<Option<Logs>> {
    match ctx.apps.logs(project) {
        Err(e) if e.kind == Kind::Conflict => Ok(None),
        other => other.map(Some),
    }
}

pub fn stream(of: &Stream) -> &'static str {
    match of {
        Stream::Out => "out",
        Stream::Err => "err",
        Stream::Steady => "steady",
    }
}

pub async fn overview(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::View)?;
    if let Some(elsewhere) = moved(&at, &project, "") {
        return Ok(elsewhere);
    }
    let head = Head::of(&ctx, &visit, &project, "overview")?;
    if !visit.may(&ctx, &project, Action::Inspect) {
        let shell = visit.shell(project.path.to_string());
        let (deploys, requests, lines) = Default::default();
        return html(&Overview { shell, head: head.for_strangers(), deploys, requests, lines });
    }
    let (requests, lines) = match log_of(&ctx, &project)? {
        Some(logs) => (logs.requests(8)?, logs.tail(60, None)?),
        None => Default::default(),
    };
    html(&Overview {
        shell: visit.shell(project.path.to_string()),
        deploys: ctx.apps.deploys(&project, 4)?,
        requests,
        lines,
        head,
    })
}

pub async fn deploys(State(ctx): State<Ctx>, Path(at): Path<At>, visit: Visit) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Inspect)?;
    if let Some(elsewhere) = moved(&at, &project, "/deploys") {
        return Ok(elsewhere);
    }
    let head = Head::of(&ctx, &visit, &project, "deploys")?;
    let deploys = ctx.apps.deploys(&project, 50)?;
    html(&Deploys { shell: visit.shell(format!("Deploys of {}", project.path)), head, deploys })
}

pub async fn logs(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    Query(rows): Query<Rows>,
    visit: Visit,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Inspect)?;
    if let Some(elsewhere) = moved(&at, &project, "/logs") {
        return Ok(elsewhere);
    }
    let head = Head::of(&ctx, &visit, &project, "logs")?;
    let n = rows.count(500);
    let lines = log_of(&ctx, &project)?.map_or(Ok(Vec::new()), |logs| logs.tail(n, None))?;
    html(&LogPage { shell: visit.shell(format!("Logs of {}", project.path)), head, lines, n })
}

pub async fn requests(
    State(ctx): State<Ctx>,
    Path(at): Path<At>,
    Query(rows): Query<Rows>,
    visit: Visit,
) -> Result<Response, Failed> {
    let project = visit.project(&ctx, &at, Action::Inspect)?;
    if let Some(elsewhere) = moved(&at, &project, "/requests") {
        return Ok(elsewhere);
    }
    let head = Head::of(&ctx, &visit, &project, "requests")?;
    let n = rows.count(200);
    let requests = log_of(&ctx, &project)?.map_or(Ok(Vec::new()), |logs| logs.requests(n))?;
    html(&Requests { shell: visit.shell(format!("Requests to {}", project.path)), head, requests, n })
}
