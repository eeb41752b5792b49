//! Every page rendered with plain and with hostile data. With STEADY_PREVIEW=DIR they are written there too,
//! to be looked at.
use askama::Template;

use super::account::{AccountPage, Fresh};
use super::certificates::Certificates;
use super::edit::{Boot, EditPage};
use super::home::{Home, Welcome};
use super::login::{PlayPage, SignInPage, SignUpPage};
use super::new::{NewPage, Wanted};
use super::project::{Deploys, Head, LogPage, Overview, Requests};
use super::settings::Settings;
use super::show;
use super::trash::TrashPage;
use super::visit::{Account, Shell};
use crate::accounts::User;
use crate::accounts::{Actor, InviteInfo, Scope, TokenInfo, Via};
use crate::apps::domain::{DomainState, DomainView, RecordView};
use crate::apps::door::Access;
use crate::apps::template::TEMPLATES;
use crate::apps::view::*;
use crate::base::{Clock, ProjectPath, UserName};
use crate::runner::logs::{LogLine, RequestLine, Stream};
use crate::runner::{self, State, Status};
use crate::tls::overview::{self, CertificateView, LimitView};

const HOSTILE: &str = "\"><img src=x onerror=alert(1)>";

fn user(name: &str, admin: bool) -> User {
    let name = UserName::parse(name).unwrap();
    User { id: 1, name, admin, guest: false, nickname: None, created: now() - 86_400_000 * 40, expires: None }
}

pub fn actor() -> Actor {
    Actor { user: user("ada", true), via: Via::Session { id: 1, csrf: "secret".into() } }
}

fn now() -> i64 {
    Clock::default().now()
}

fn shell(title: &str, signed_in: bool) -> Shell {
    let user = signed_in.then(|| Account { name: "ada".into(), guest: false, expires: None });
    Shell::with(title.into(), "abc".into(), "secret".into(), user, "auto", None)
}

fn entry(path: &str, size: u64) -> FileEntry {
    FileEntry { path: path.into(), size, executable: false, link: false, blob: format!("b{size}") }
}

pub fn workspace() -> Workspace {
    let files = vec![
        entry("README.md", 320),
        entry("index.ts", 1224),
        entry("package.json", 210),
        entry("public/logo.png", 18_220),
        entry("public/style.css", 900),
        entry("routes/guestbook.ts", 2011),
        entry("routes/api/visits.ts", 811),
    ];
    let (commit, base) = ("1f0c2a".repeat(6), Some("aa".repeat(20)));
    Workspace { commit, base, is_draft: true, moved: None, files, conflicts: vec![] }
}

fn status(state: &str) -> AppStatus {
    AppStatus {
        project: ProjectPath::parse("ada/guestbook").unwrap(),
        url: "http://guestbook.localhost:8080".into(),
        state: state.into(),
        version: Some("v12".into()),
        commit: Some("3fa91c0d22".repeat(4)),
        message: Some("Greet by name".into()),
        deployed: Some(now() - 1_320_000),
        git_url: "http://localhost:8080/ada/guestbook.git".into(),
        data_bytes: 4_820_112,
        code_bytes: 2_210_000,
        repo_bytes: 141_000,
        memory_limit: Some(512 << 20),
        pids_limit: Some(256),
        cpu_percent: Some(200),
        log_limit: 16 << 20,
        idle_seconds: Some(300),
        freeze_seconds: Some(30),
        env_version: 3,
        env_names: vec!["SMTP_URL".into(), "STRIPE_KEY".into()],
        process: Some(Status {
            state: State::Ready,
            version: "v12".into(),
            pid: Some(311),
            outbound: None,
            memory: Some(38_200_000),
            swapped: None,
            in_flight: 0,
            started: Some(now() - 90_000),
            boots_ms: vec![18, 21, 17, 19, 44],
            boots: vec![runner::Boot {
                at: now() - 90_000,
                waited: true,
                bundled: true,
                data_us: 300,
                process_us: 900,
                load_us: 2_800,
                answer_us: Some(400),
            }],
            crashes: 1,
            last_crash: None,
            cold_starts: 41,
            thaws: 3,
            requests: 1893,
        }),
        confinement: "full".into(),
        confinement_missing: vec!["disk quota".into()],
        permissions: vec!["net: api.example.com".into()],
        waiting: None,
        disk_limit: 1 << 30,
        confinement_note: "own uid, own files, no new privileges, bounded memory and processes".into(),
        public_code: false,
    }
}

fn permissions() -> PermissionsView {
    let added = vec!["net: api.example.com".to_owned(), format!("net: {HOSTILE}")];
    let approval = |deploy: Option<i64>| ApprovalView {
        at: now() - 86_400_000,
        who: "ada".into(),
        revoked: deploy.is_none(),
        deploy,
        commit: deploy.map(|_| "3fa91c0d22".repeat(4)),
        added: if deploy.is_some() { added.clone() } else { vec![] },
    };
    PermissionsView {
        project: ProjectPath::parse("ada/guestbook").unwrap(),
        server: vec!["net: none".into()],
        live: added.clone(),
        approved: added.clone(),
        waiting: None,
        history: vec![approval(Some(12)), approval(None)],
    }
}

fn head(tab: &'static str) -> Head {
    Head {
        tab,
        status: status("ready"),
        signed_in: true,
        may_edit: true,
        may_manage: true,
        may_approve: true,
        waiting: None,
    }
}

fn deploy(number: i64, state: &str, current: bool, message: &str, error: Option<&str>) -> DeployView {
    let stage = |name: &str, ms| Stage { name: name.into(), ms };
    DeployView {
        number,
        version: Some(format!("v{number}")),
        commit: "3fa91c0d22".repeat(4),
        message: message.into(),
        who: "ada".into(),
        why: if number % 2 == 0 { "push" } else { "editor" }.into(),
        state: state.into(),
        current,
        error: error.map(str::to_owned),
        stages: vec![stage("checkout", 6), stage("install", 412), stage("check", 38), stage("hand over", 24)],
        started: now() - (14 - number) * 2_700_000,
        finished: Some(now()),
        url: "http://guestbook.localhost:8080".into(),
    }
}

fn deploys() -> Vec<DeployView> {
    let why = "check: exited with 1 before it listened\nSyntaxError: Unexpected end of file\n    at /app/routes/guestbook.ts:41:2";
    vec![
        deploy(13, "failed", false, "Try streaming the list", Some(why)),
        deploy(12, "live", true, "Greet by name", None),
        deploy(11, "live", false, "Keep entries in SQLite", None),
        deploy(10, "live", false, HOSTILE, None),
    ]
}

fn requests() -> Vec<RequestLine> {
    let one = |i: i64, method: &str, path: &str, status, gate_us, boot_us, app_us, bytes_out| RequestLine {
        id: "r1".into(),
        at: now() - i * 9_000,
        method: method.into(),
        path: path.into(),
        status,
        version: "v12".into(),
        gate_us,
        boot_us,
        app_us,
        total_us: app_us + 200,
        bytes_in: 0,
        bytes_out,
        error: (status == 502).then(|| "response head".into()),
    };
    vec![
        one(0, "GET", "/", 200, 12, 0, 1_830, 4_210),
        one(1, "POST", "/entries", 303, 9, 0, 3_120, 0),
        one(2, "GET", "/style.css", 200, 0, 0, 210, 912),
        one(3, "GET", "/wp-login.php", 404, 11, 0, 640, 22),
        one(9, "GET", "/", 200, 19_800, 18_400, 2_400, 4_100),
        one(12, "GET", "/entries/9120/edit", 502, 14, 0, 0, 1_204),
    ]
}

fn lines() -> Vec<LogLine> {
    let texts = [
        (Stream::Steady, "started v12 in 18 ms"),
        (Stream::Out, "listening, 212 entries"),
        (Stream::Out, "GET / 200"),
        (Stream::Err, "TypeError: undefined is not an object (evaluating 'entry.name')"),
        (Stream::Err, "      at render (/app/routes/guestbook.ts:28:19)"),
        (Stream::Out, HOSTILE),
    ];
    let line = |(seq, (stream, text)): (u64, (Stream, &str))| LogLine {
        seq,
        at: now() - 60_000 + seq as i64 * 800,
        stream,
        version: "v12".into(),
        text: text.into(),
    };
    (0..).zip(texts).map(line).collect()
}

/// Renders, checks what no page may have, and writes it where asked.
#[allow(clippy::disallowed_methods)]
fn check(name: &str, page: &impl Template) {
    let html = page.render().unwrap();
    assert!(html.contains("<main id=\"main\""), "{name} has a main part");
    assert!(!html.contains("<img src=x"), "{name} must escape what people wrote");
    assert!(!html.contains(" style=") && !html.contains(" onclick="), "{name} breaks the content policy");
    let forms = html.matches("<form").count()
        - html.matches("method=\"get\"").count()
        - html.matches("method=\"dialog\"").count();
    assert_eq!(forms, html.matches("name=\"_csrf\"").count(), "{name}: each form that posts carries the secret");
    if let Ok(dir) = std::env::var("STEADY_PREVIEW") {
        std::fs::write(format!("{dir}/{name}.html"), html).unwrap();
    }
}

#[test]
fn pages_for_strangers() {
    let error = || Some(("That name and password do not fit.".to_owned(), Some("Try again.".to_owned())));
    check(
        "welcome",
        &Welcome { shell: shell("Steady", false), host: "localhost:8080".into(), needs_setup: false, guests: true },
    );
    check(
        "needs-setup",
        &Welcome { shell: shell("Steady", false), host: HOSTILE.into(), needs_setup: true, guests: false },
    );
    check(
        "signin",
        &SignInPage {
            shell: shell("Sign in", false),
            next: HOSTILE.into(),
            name: HOSTILE.into(),
            error: error(),
            guests: true,
        },
    );
    let signup = SignUpPage {
        shell: shell("Set up Steady", false),
        heading: "Make this server yours",
        lead: "You are its first owner. Choose how you sign in; everything else can wait.",
        action: "/setup/x".into(),
        button: "Create owner",
        name: String::new(),
        error: None,
    };
    check("setup", &signup);
    check("play", &PlayPage { shell: shell("Play", false), days: 7, nickname: HOSTILE.into(), error: None });
}

#[test]
fn pages_of_a_user() {
    let summary = |path: &str, state: &str, version: Option<&str>, failing| ProjectSummary {
        path: ProjectPath::parse(path).unwrap(),
        url: format!("http://{}.localhost:8080", path.split_once('/').unwrap().1),
        state: state.to_owned(),
        version: version.map(str::to_owned),
        deployed: version.map(|_| now() - 5_000_000),
        failing,
        waiting: state == "paused",
        data_bytes: 4_820_112,
    };
    let projects = vec![
        summary("ada/guestbook", "ready", Some("v12"), true),
        summary("ada/calm-otter-7", "asleep", Some("v3"), false),
        summary("ada/mail-digest", "crashed", Some("v40"), false),
        summary("grace/shop", "paused", Some("v1"), false),
        summary("ada/scratch", "asleep", None, false),
    ];
    check("home", &Home { shell: shell("Projects", true), projects, q: String::new(), all: false, admin: true });
    check(
        "home-empty",
        &Home { shell: shell("Projects", true), projects: vec![], q: String::new(), all: false, admin: false },
    );
    let form = Wanted { template: "hono".into(), name: HOSTILE.into(), ..Wanted::default() };
    check(
        "new",
        &NewPage {
            shell: shell("New project", true),
            templates: TEMPLATES,
            form,
            apps_host: "localhost:8080".into(),
            error: None,
        },
    );
    let deleted = Deleted {
        id: 4,
        project: ProjectPath::parse("ada/old").unwrap(),
        deleted: now() - 9_000_000,
        until: now() + 500_000_000,
    };
    check("trash", &TrashPage { shell: shell("Trash", true), deleted: vec![deleted] });
    let token = |name: &str| TokenInfo {
        id: 1,
        name: name.into(),
        scopes: vec![Scope::Write],
        project: None,
        created: now() - 86_400_000,
        expires: Some(now() + 86_400_000 * 20),
        used: Some(now() - 3_600_000),
    };
    let invite = InviteInfo {
        id: 1,
        note: HOSTILE.into(),
        admin: false,
        created: now(),
        expires: now() + 86_400_000,
        used_by: None,
    };
    let account = AccountPage {
        shell: shell("Account", true),
        me: user("ada", true),
        tokens: vec![token("laptop"), token(HOSTILE)],
        projects: vec![(1, ProjectPath::parse("ada/guestbook").unwrap())],
        invites: vec![invite],
        users: vec![user("ada", true), user("grace", false)],
        fresh: Some(Fresh {
            what: "Your new token",
            value: "steady_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE".into(),
            note: "It is shown only now.",
        }),
        error: None,
    };
    check("account", &account);
}

#[test]
fn pages_of_a_project() {
    let shell = || shell("ada/guestbook", true);
    check(
        "overview",
        &Overview { shell: shell(), head: head("overview"), deploys: deploys(), requests: requests(), lines: lines() },
    );
    check("deploys", &Deploys { shell: shell(), head: head("deploys"), deploys: deploys() });
    check("logs", &LogPage { shell: shell(), head: head("logs"), lines: lines(), n: 500 });
    check("requests", &Requests { shell: shell(), head: head("requests"), requests: requests(), n: 200 });
    let settings = Settings {
        door: DoorView {
            access: Access::Members,
            links: vec![LinkView {
                id: 4,
                name: "<i>Robin</i>".into(),
                who: "ada".into(),
                created: now() - 9_000_000,
                expires: Some(now() + 9_000_000),
                over: false,
            }],
            maintenance: Some("<b>Back</b> at nine.".into()),
        },
        fresh_link: Some("http://guestbook.localhost:8080/?steady_link=abc".into()),
        shell: shell(),
        head: head("settings"),
        env: vec![EnvName { name: "STRIPE_KEY".into(), set: now() - 9_000_000 }],
        members: vec![
            Member { user: "ada".into(), role: "owner".into() },
            Member { user: "grace".into(), role: "owner".into() },
        ],
        permissions: permissions(),
        domains: vec![domain()],
        host: "guestbook".into(),
        apps_host: "localhost:8080".into(),
        error: None,
    };
    check("settings", &settings);
    let html = settings.render().unwrap();
    assert!(html.contains("Remove grace") && !html.contains("Remove ada"), "all but the project's own owner");
}

/// What DNS has is anybody's to write.
fn domain() -> DomainView {
    let record =
        RecordView { kind: "TXT".into(), name: "_steady-challenge.x.example".into(), value: "t".into(), set: false };
    DomainView {
        host: "x.example".into(),
        shown: "x.example".into(),
        url: "https://x.example".into(),
        redirect: None,
        state: DomainState::Waiting,
        note: "Waiting for DNS.".into(),
        verified: None,
        checked: Some(now()),
        found: format!("an alias of {HOSTILE}"),
        records: vec![record],
    }
}

#[test]
fn certificates_are_listed_with_what_is_wrong() {
    let one = CertificateView { hosts: vec!["x.example".into()], trouble: Some(HOSTILE.into()), ..Default::default() };
    let limit =
        LimitView { authority: HOSTILE.into(), domain: String::new(), what: "orders".into(), used: 1, most: 300 };
    let all = overview::Overview { mode: "auto".into(), certificates: vec![one], limits: vec![limit] };
    check("certificates", &Certificates { shell: shell("Certificates", true), all });
    check("certificates", &Certificates { shell: shell("Certificates", true), all: Default::default() });
}

#[test]
fn a_waiting_deploy_offers_the_yes_to_owners_only() {
    let page = |may_approve| {
        let waiting = Waiting {
            deploy: 13,
            commit: "3fa91c0d22".repeat(4),
            message: "Call an API".into(),
            who: "bob".into(),
            why: "push".into(),
            more: vec!["net: api.example.com".into(), format!("net: {HOSTILE}")],
        };
        let head = Head { waiting: Some(waiting), may_approve, ..head("deploys") };
        let mut deploys = deploys();
        deploys[0].state = "waiting".into();
        let page = Deploys { shell: shell("Deploys", true), head, deploys };
        check("waiting", &page);
        page.render().unwrap()
    };
    let owner = page(true);
    assert!(owner.contains("Approve and deploy") && owner.contains("name=\"deploy\" value=\"13\""));
    assert!(owner.contains("<code>net: api.example.com</code>"));
    assert!(!owner.contains("SyntaxError"), "what it asks for is its error");
    let other = page(false);
    assert!(!other.contains("/approve\"") && other.contains("steady approve ada/guestbook"));
}

#[test]
fn what_is_not_deployed_has_nothing_to_pause_and_says_why_it_is_empty() {
    let page = |state: &str, version: Option<&str>| {
        let mut head = head("overview");
        head.status = AppStatus { version: version.map(Into::into), env_version: 0, process: None, ..status(state) };
        head.status.env_names.clear();
        let (deploys, requests, lines) = Default::default();
        Overview { shell: shell("ada/guestbook", true), head, deploys, requests, lines }.render().unwrap()
    };
    let new = page("not deployed", None);
    for absent in ["/pause", "/restart", "sleeps after", "st-logs", "changed 0"] {
        assert!(!new.contains(absent), "{absent} is offered before the first deploy");
    }
    assert!(new.contains("The log begins with the first deploy."));
    let plain = page("static", Some("v1"));
    assert!(!plain.contains("/pause") && !plain.contains("sleeps after"), "plain files have no process");
    let live = page("asleep", Some("v1"));
    assert!(live.contains("/pause") && live.contains("sleeps after") && live.contains("st-logs"));
}

#[test]
fn the_editing_page() {
    let text = "import { Hono } from \"hono\";\n\nconst app = new Hono();\n\n// </script><img src=x>\napp.get(\"/\", (c) => c.text(`Hello ${c.req.query(\"name\") ?? \"you\"}`));\n\nexport default app;\n";
    let open =
        Some(FileView { path: "index.ts".into(), size: text.len() as u64, binary: false, text: Some(text.into()) });
    let (workspace, status, path) = (workspace(), status("ready"), "ada/guestbook".to_owned());
    let boot = show::json(&Boot {
        project: &path,
        workspace: &workspace,
        open: &open,
        may_edit: true,
        live: true,
        url: &status.url,
    });
    check("edit", &EditPage { shell: shell("Edit ada/guestbook", true), status, path, open, may_edit: true, boot });
}
