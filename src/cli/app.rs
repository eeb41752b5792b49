//! A running app: status, logs, requests, restart, pause, resume, export.
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use ureq::http::Method;

use super::args::{App, Global};
use super::client::{self, of};
use super::fail::{Done, FAILED, Fail, UNREACHABLE};
use super::out;
use super::stages::bar;
use super::target::Session;
use crate::apps::view::AppStatus;
use crate::base::clock;
use crate::runner::logs::{LogLine, RequestLine, Stream};

pub fn status(app: &App, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    show(&session.client.get(&of(&project, "/status"))?, global)
}

/// `restart`, `pause` or `resume`.
pub fn control(verb: &str, app: &App, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    show(&session.client.call::<(), _>(Method::POST, &of(&project, &format!("/{verb}")), None)?, global)
}

fn show(status: &AppStatus, global: &Global) -> Done {
    if global.json {
        return out::json(status);
    }
    let none = || "-".to_owned();
    let mut fields = vec![
        ("project", status.project.to_string()),
        ("url", out::clean(&status.url)),
        ("state", out::state(&status.state)),
        ("version", status.version.as_deref().map_or_else(none, out::clean)),
        ("commit", status.commit.as_deref().map_or_else(none, out::clean)),
        ("deployed", status.deployed.map_or_else(none, |at| format!("{} UTC", out::time(at)))),
        ("git", out::clean(&status.git_url)),
        ("data", out::bytes(status.data_bytes)),
        ("code", out::bytes(status.code_bytes)),
        ("repository", out::bytes(status.repo_bytes)),
    ];
    if has_process(&status.state) {
        fields.push(("limits", limits(status)));
    }
    fields.push(("environment", out::clean(&status.env_names.join(", "))));
    if let Some(number) = status.waiting {
        let how = format!("deploy #{number} waits for an owner's approval: `steady approve {}`", status.project);
        fields.push(("waiting", out::clean(&how)));
    }
    fields.push(("network", out::clean(&status.permissions.join(", "))));
    fields.push(("confinement", out::clean(&format!("{}: {}", status.confinement, status.confinement_note))));
    if !status.confinement_missing.is_empty() {
        let names = status.confinement_missing.join(", ");
        fields.push(("missing", out::clean(&format!("{names} (`steady doctor` on the server says more)"))));
    }
    if let Some(process) = status.process.as_ref().filter(|_| has_process(&status.state)) {
        let memory = process.memory.map_or_else(none, out::bytes);
        let swapped = process.swapped.filter(|bytes| *bytes > 0);
        let swapped = swapped.map_or_else(String::new, |bytes| format!(", {} in swap", out::bytes(bytes)));
        fields.push(("memory", format!("{memory}{swapped}")));
        let starts = out::count(process.cold_starts, "cold start", "cold starts");
        fields.push(("requests", format!("{} ({starts})", process.requests)));
        if let Some(crash) = &process.last_crash {
            let ending = out::clean(&crash.ending);
            let times = out::count(process.crashes, "time", "times");
            fields.push(("crashed", format!("{times}, last {} UTC: {ending}", out::time(crash.at))));
        }
    }
    if let Some(moved) = status.process.as_ref().and_then(|process| process.outbound) {
        let (sent, received) = (out::bytes(moved.bytes_out), out::bytes(moved.bytes_in));
        let refused = if moved.refused > 0 { format!(", {} refused", moved.refused) } else { String::new() };
        fields.push(("outbound", format!("{} connections, {sent} sent, {received} received{refused}", moved.total)));
    }
    out::fields(&fields)
}

/// Limits, memory and starts are of a process: what is only files, or nothing yet, has none.
fn has_process(state: &str) -> bool {
    !matches!(state, "static" | "not deployed")
}

fn limits(status: &AppStatus) -> String {
    let sleeps = status.idle_seconds.map_or_else(|| "never sleeps".to_owned(), |s| format!("sleeps after {s} s"));
    let idle = status.freeze_seconds.map_or_else(|| sleeps.clone(), |s| format!("stands still after {s} s, {sleeps}"));
    let limited = [
        status.memory_limit.map(|bytes| format!("{} memory", out::bytes(bytes))),
        status.pids_limit.map(|n| format!("{n} processes")),
        status.cpu_percent.map(|n| format!("{n} % of a processor")),
    ];
    let unlimited = ["memory", "processes", "processor"].into_iter().zip(&limited).filter(|(_, limit)| limit.is_none());
    let unlimited: Vec<&str> = unlimited.map(|(name, _)| name).collect();
    let unlimited = (!unlimited.is_empty()).then(|| format!("{} not limited", unlimited.join(", ")));
    let disk = format!("{} of data", out::bytes(status.disk_limit));
    let all: Vec<String> = limited.into_iter().flatten().chain(unlimited).chain([disk, idle]).collect();
    all.join(", ")
}

pub fn logs(app: &App, n: usize, follow: bool, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    if !follow {
        let lines: Vec<LogLine> = session.client.get(&of(&project, &format!("/logs?n={n}")))?;
        return if global.json { out::json(&lines) } else { lines.iter().try_for_each(log_line) };
    }
    let path = of(&project, &format!("/logs?follow=1&n={n}"));
    let response = session.client.send::<()>(Method::GET, &path, None)?;
    client::lines(response.into_body(), |value| {
        match serde_json::from_value::<LogLine>(value) {
            Ok(line) if global.json => out::json_line(&line)?,
            Ok(line) => log_line(&line)?,
            Err(e) => return Err(Fail::new(FAILED, format!("the server's answer is not right: {e}"))),
        }
        Ok(true)
    })?;
    Err(Fail::new(UNREACHABLE, "the server ended the log").hint("It may be restarting; try again."))
}

fn log_line(line: &LogLine) -> Done {
    let time: String = clock::rfc3339(line.at).chars().take(23).collect();
    let (stream, text) = match line.stream {
        Stream::Out => ("out", out::clean(&line.text)),
        Stream::Err => ("err", out::paint(31, &out::clean(&line.text))),
        Stream::Steady => ("---", out::paint(36, &out::clean(&line.text))),
    };
    out::line(&format!("{} {:<5} {stream} {text}", out::paint(2, &time), out::clean(&line.version)))
}

pub fn requests(app: &App, n: usize, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let mut lines: Vec<RequestLine> = session.client.get(&of(&project, &format!("/requests?n={n}")))?;
    if global.json {
        return out::json(&lines);
    }
    lines.reverse();
    let row = |line: &RequestLine| {
        let status = line.status.to_string();
        vec![
            out::time(line.at),
            out::clean(&line.method),
            if line.status >= 500 { out::paint(31, &status) } else { status },
            format!("{:.1} ms", micros(line.total_us)),
            format!("{:.1} ms", micros(line.gate_us)),
            format!("{:.1} ms", micros(line.app_us)),
            out::bytes(line.bytes_out),
            out::clean(&line.version),
            out::clean(&line.path),
        ]
    };
    let rows: Vec<_> = lines.iter().map(row).collect();
    out::table(&["WHEN (UTC)", "METHOD", "STATUS", "TOTAL", "GATE", "APP", "SENT", "VERSION", "PATH"], &rows)
}

#[allow(clippy::cast_precision_loss)]
fn micros(us: u64) -> f64 {
    us as f64 / 1000.0
}

pub fn export(app: &App, output: Option<&Path>, global: &Global) -> Done {
    let session = Session::open(global)?;
    let project = session.project(app.project.as_deref(), global)?;
    let response = session.client.send::<()>(Method::GET, &of(&project, "/export"), None)?;
    let mut body = response.into_body().into_reader();
    if output == Some(Path::new("-")) {
        copy(&mut body, &mut std::io::stdout().lock(), "standard output")?;
        return Ok(());
    }
    let name = PathBuf::from(format!("{}.tar.gz", project.project));
    let path = &std::path::absolute(output.unwrap_or(&name)).map_err(Fail::io("the export's path"))?;
    // A half export must not pass for a whole one, nor replace an older whole one.
    let part = path.with_added_extension("part");
    let result = std::fs::File::create(&part).map_err(Fail::io(part.display())).and_then(|mut file| {
        let bytes = copy(&mut body, &mut file, "the export")?;
        file.sync_all().map_err(Fail::io(part.display()))?;
        crate::base::fs::rename_durable(&part, path).map_err(Fail::io(path.display()))?;
        Ok(bytes)
    });
    let bytes = result.inspect_err(|_| drop(std::fs::remove_file(&part)))?;
    if global.json {
        return out::json(&serde_json::json!({ "file": path, "bytes": bytes }));
    }
    out::line(&format!("{} ({})", path.display(), out::bytes(bytes)))
}

fn copy(from: &mut impl Read, to: &mut impl Write, what: &str) -> Done<u64> {
    let bar = bar(None, "download");
    let mut buffer = vec![0; 64 << 10];
    let mut total = 0;
    loop {
        let n = from.read(&mut buffer).map_err(|e| Fail::new(UNREACHABLE, format!("the export broke off: {e}")))?;
        if n == 0 {
            break;
        }
        to.write_all(&buffer[..n]).map_err(Fail::io(what))?;
        total += n as u64;
        bar.inc(n as u64);
    }
    bar.finish_and_clear();
    to.flush().map_err(Fail::io(what))?;
    Ok(total)
}
