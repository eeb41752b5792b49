//! A signed-in browser without a browser: cookie, forgery token, and the editor's own endpoints.
use serde_json::{Value, json};

use super::{PASSWORD, Reply, Request, Steady, until};

pub struct Session {
    port: u16,
    host: String,
    cookie: String,
    csrf: String,
}

impl Session {
    pub fn sign_in(steady: &Steady, user: &str) -> Self {
        let (port, host) = (steady.port, steady.host());
        let body = format!("name={user}&password={}", PASSWORD.replace(' ', "+"));
        let reply = Request::new(port, "POST", &host, "/signin")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send();
        Self::begun(port, host, &reply)
    }

    /// A guest of a server that takes them.
    pub fn play(steady: &Steady, nickname: &str) -> Self {
        let (port, host) = (steady.port, steady.host());
        let reply = Request::new(port, "POST", &host, "/play")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("nickname={nickname}"))
            .send();
        Self::begun(port, host, &reply)
    }

    fn begun(port: u16, host: String, reply: &Reply) -> Self {
        assert_eq!(reply.status, 303, "{}", reply.text());
        let cookie = reply.header("set-cookie").and_then(|c| c.split(';').next()).expect("a cookie").to_owned();
        assert!(cookie.starts_with("__Host-"), "{cookie}");
        let mut session = Self { port, host, cookie, csrf: String::new() };
        let page = session.get("/new").ok();
        let csrf = page.split("name=\"csrf\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
        session.csrf = csrf.expect("every page has its forgery token").to_owned();
        session
    }

    fn request(&self, method: &str, path: &str) -> Request {
        Request::new(self.port, method, &self.host, path).header("cookie", &self.cookie)
    }
    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }
    pub fn post(&self, path: &str, body: &Value) -> Request {
        self.request("POST", path).header("x-csrf-token", &self.csrf).json(body)
    }
    /// A plain form, as a page without scripts sends it.
    pub fn form(&self, path: &str, fields: &str) -> Reply {
        self.request("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("{fields}&_csrf={}", self.csrf))
            .send()
    }
    /// The same, by a browser that does not wait for the answer.
    pub fn form_and_leave(&self, path: &str, fields: &str) {
        let body = format!("{fields}&_csrf={}", self.csrf);
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            self.host,
            self.cookie,
            body.len()
        );
        let mut stream = super::http::connect(self.port).expect("connect");
        std::io::Write::write_all(&mut stream, head.as_bytes()).expect("send");
    }
    /// Without the forgery token: must be refused everywhere.
    pub fn forged(&self, path: &str, body: &Value) -> Reply {
        self.request("POST", path).json(body).send()
    }

    pub fn workspace(&self, project: &str) -> Value {
        let reply = self.request("GET", &format!("/dev/{project}/files")).header("accept", "application/json").send();
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()
    }
    /// A save of one file on top of `on`, to be sent.
    pub fn save(&self, project: &str, on: &str, path: &str, text: &str) -> Request {
        let changes = json!([{ "op": "write", "path": path, "text": text }]);
        self.post(&format!("/dev/{project}/files"), &json!({ "on": on, "changes": changes }))
    }
    /// What the draft holds under that name.
    pub fn file(&self, project: &str, path: &str) -> String {
        let commit = self.workspace(project)["commit"].as_str().expect("a commit").to_owned();
        let reply = self.get(&format!("/dev/{project}/file?commit={commit}&path={path}"));
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["text"].as_str().expect("text").to_owned()
    }
    /// Run, to be sent; its answer is a stream whose last line is the result.
    pub fn run(&self, project: &str) -> Request {
        self.post(&format!("/dev/{project}/run"), &json!({})).header("accept", "application/x-ndjson")
    }
    /// Deploys the draft as the button does.
    pub fn deploy(&self, project: &str, message: &str) -> Reply {
        self.request("POST", &format!("/dev/{project}/deploy"))
            .header("x-csrf-token", &self.csrf)
            .header("accept", "application/x-ndjson")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("message={message}"))
            .send()
    }
    pub fn draft_get(&self, url: &str, path: &str) -> Reply {
        let host = url.strip_prefix("http://").expect("a URL").trim_end_matches('/');
        until("the draft answers", || {
            Request::get(self.port, host, path).try_send().ok().filter(|reply| reply.status != 502)
        })
    }
}

/// The `result` at the end of a stream, if that is how it ended.
pub fn result(reply: &Reply) -> Option<Value> {
    let last: Value = serde_json::from_str(reply.text().lines().last()?).ok()?;
    (last["type"] == "result").then(|| last["result"].clone())
}
