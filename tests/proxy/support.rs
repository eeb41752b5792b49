//! A listener around a `Proxy` around a `Runner`, and a client that speaks by hand.
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use steady::base::{Result, Secret, Tasks};
use steady::http::serve;
use steady::http::trust;
use steady::proxy::door::{Claim, Judge, Member, Seal};
use steady::proxy::express::Named;
use steady::proxy::files::Folder;
use steady::proxy::{Options, Proxy, Route, Routes, Target};
use steady::runner::LaunchSpec;
use steady::runner::logs::RequestLine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::runner_world as base;

/// Lets nobody in.
struct Nobody;

impl Seal for Nobody {
    fn seal(&self, _: &'static str, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn open(&self, _: &'static str, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl Judge for Nobody {
    fn member(&self, _: i64, _: &Claim, _: bool) -> Result<Option<Member>> {
        Ok(None)
    }
    fn password(&self, _: &str, _: &Secret<String>) -> Result<bool> {
        Ok(false)
    }
}

pub struct World {
    pub base: base::World,
    pub routes: Routes,
    pub front: SocketAddr,
    /// The same without the express lane.
    pub slow: SocketAddr,
}

pub const MAX_BODY: u64 = 60 << 20;

pub async fn world() -> World {
    world_with(Duration::from_secs(30), serve::Limits::default()).await
}

/// `patience`: how long an app may take for its head, and be silent in a body.
pub async fn world_with(patience: Duration, limits: serve::Limits) -> World {
    let base = base::World::with(|options| options.uid_base = 730_000);
    let routes = Routes::default();
    let options = Options {
        max_body: MAX_BODY,
        head_timeout: patience,
        idle_timeout: patience,
        scheme: "http".into(),
        editor_url: "http://localhost:8080".into(),
        apps_host: "localhost:8080".into(),
    };
    let clock = steady::base::Clock::System;
    let proxy = Proxy::new(
        routes.clone(),
        base.runner.clone(),
        clock,
        base.tasks.clone(),
        options,
        std::sync::Arc::new(Nobody),
    );
    let front = listen(&proxy, &base.tasks, limits, true).await;
    let slow = listen(&proxy, &base.tasks, limits, false).await;
    World { base, routes, front, slow }
}

async fn listen(proxy: &Proxy, tasks: &Tasks, limits: serve::Limits, express: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = listener.local_addr().unwrap();
    let (proxy, all) = (proxy.clone(), tasks.clone());
    tasks.spawn("front", async move {
        while let Ok((socket, peer)) = listener.accept().await {
            let (proxy, tasks) = (proxy.clone(), all.clone());
            all.spawn("connection", async move {
                let label = |host: &str| host.split('.').next().map(str::to_lowercase);
                let named = |host: &str| Some(Named { label: label(host)?, fields: Default::default() });
                let rest = match express {
                    true => proxy.express(socket, peer.ip(), limits, &tasks.stopping(), &tasks, named).await,
                    false => Some(serve::Rest::whole(socket)),
                };
                let Some(rest) = rest else { return };
                let answer = move |request: hyper::Request<hyper::body::Incoming>| {
                    let proxy = proxy.clone();
                    async move {
                        let host = steady::http::host::requested(request.uri(), request.headers()).unwrap_or_default();
                        let client = trust::Client { ip: peer.ip(), scheme: None, host: None };
                        proxy.handle(&label(host).unwrap_or_default(), &client, request).await
                    }
                };
                serve::go_on(rest, limits, tasks.stopping(), &tasks, answer).await;
            });
        }
    });
    front
}

impl World {
    /// Registers an app of these files at the label of its name.
    pub fn app(&self, name: &str, files: &[(&str, &str)], draft: bool) -> LaunchSpec {
        let spec = self.base.app(name, files);
        let public = spec.code.join("public");
        let target = Target::App { key: spec.key.clone(), public: public.is_dir().then(|| folder(public)) };
        self.base.runner.register(spec.clone());
        self.route(name, target, draft);
        spec
    }

    /// A site of files alone.
    pub fn site(&self, name: &str, files: &[(&str, &str)]) -> LaunchSpec {
        let spec = self.base.app(name, files);
        self.base.runner.register(spec.clone());
        self.route(name, Target::Static { key: spec.key.clone(), root: folder(spec.code.clone()) }, false);
        spec
    }

    pub fn route(&self, label: &str, target: Target, draft: bool) {
        let route = Route {
            target,
            project: format!("dev/{label}"),
            draft,
            version: "v1".into(),
            door: None,
            manners: Default::default(),
            health: "/".into(),
            sleeper: Default::default(),
        };
        self.routes.update([(label.to_owned(), Some(route))]);
    }

    pub async fn client(&self) -> Client {
        Client(TcpStream::connect(self.front).await.unwrap())
    }

    /// One GET on a connection of its own: the whole answer.
    pub async fn get(&self, label: &str, path: &str, headers: &str) -> String {
        let mut client = self.client().await;
        client
            .say(&format!("GET {path} HTTP/1.1\r\nHost: {label}.localhost:8080\r\nConnection: close\r\n{headers}\r\n"))
            .await;
        client.hear_all().await
    }

    /// The newest line of an app's request log, once there are `count`.
    pub async fn recorded(&self, spec: &LaunchSpec, count: usize) -> RequestLine {
        let lines = || self.base.runner.logs(&spec.key).unwrap().requests(1000).unwrap();
        base::eventually("a line in the request log", || lines().len() >= count).await;
        assert_eq!(lines().len(), count);
        lines().remove(0)
    }
}

fn folder(root: PathBuf) -> Folder {
    Folder::new(root, None, "v1")
}

pub struct Client(pub TcpStream);

impl Client {
    pub async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything up to and with `end`.
    pub async fn hear(&mut self, end: &str) -> String {
        let mut seen = Vec::new();
        let reading = async {
            while !seen.ends_with(end.as_bytes()) || end.is_empty() {
                match self.0.read_u8().await {
                    Ok(byte) => seen.push(byte),
                    Err(_) => return,
                }
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), reading).await;
        let text = String::from_utf8_lossy(&seen).into_owned();
        assert!(in_time.is_ok(), "waited for {end:?}, heard {text:?}");
        text
    }

    pub async fn hear_all(&mut self) -> String {
        self.hear("").await
    }
}

/// The status of an answer.
pub fn status(answer: &str) -> u16 {
    let status = answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    status.unwrap_or_else(|| panic!("no status in {answer:?}"))
}
