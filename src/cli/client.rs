//! Speaks the API: one agent, bounded in time, errors in the server's own words.
use std::io::{BufRead as _, BufReader, Read};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::http::{Method, Response, request};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, SendBody};

use super::fail::{Done, FAILED, Fail, UNREACHABLE};
use super::{out, roots, saved};
use crate::api::wire;
use crate::base::{ProjectPath, Secret};

/// Bytes of a JSON answer.
const MAX_ANSWER: u64 = 64 << 20;
/// Bytes of one line of a stream.
const MAX_LINE: u64 = 8 << 20;

pub struct Client {
    agent: Agent,
    url: String,
    token: Option<Secret<String>>,
}

impl Client {
    /// `url` as [`saved::server_url`] writes it.
    pub fn new(url: &str, token: Option<Secret<String>>) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("steady-cli/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(Duration::from_secs(10)))
            .timeout_connect(Some(Duration::from_secs(10)))
            // Creating a project from a git URL, stopping an app: minutes, not hours.
            .timeout_recv_response(Some(Duration::from_secs(600)))
            // Streams send a blank line every 15 seconds, so silence means the server is gone.
            .timeout_per_read(Some(Duration::from_secs(4 * wire::KEEP_ALIVE_SECONDS)))
            .timeout_per_write(Some(Duration::from_secs(60)));
        if url.starts_with("https:") {
            config = config.tls_config(TlsConfig::builder().root_certs(roots::trusted()).build());
        }
        let authority = url.split_once("://").map_or(url, |(_, authority)| authority);
        if saved::is_this_machine(authority) {
            config = config.proxy(None);
        }
        Self { agent: config.build().new_agent(), url: url.to_owned(), token }
    }

    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Done<T> {
        self.call::<(), T>(Method::GET, path, None)
    }

    /// Any method with a JSON body (or none), answered by JSON.
    pub fn call<B: Serialize, T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&B>) -> Done<T> {
        let response = self.send(method, path, body)?;
        let reader = response.into_body().into_reader();
        serde_json::from_reader(BufReader::new(reader.take(MAX_ANSWER)))
            .map_err(|e| Fail::new(FAILED, format!("the server's answer is not right: {e}")).hint(VERSIONS))
    }

    /// A bare answer to read from as it comes.
    pub fn send<B: Serialize>(&self, method: Method, path: &str, body: Option<&B>) -> Done<Response<Body>> {
        let mut request = self.request(method, path);
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                serde_json::to_vec(body).map_err(|e| Fail::new(FAILED, e.to_string()))?
            }
            None => Vec::new(),
        };
        let response = if body.is_empty() {
            request.body(()).map_err(bad_request).map(|request| self.agent.run(request))?
        } else {
            request.body(body).map_err(bad_request).map(|request| self.agent.run(request))?
        };
        self.check(response)
    }

    /// Sends bytes of `length`, read from `body` as they go out.
    pub fn upload(&self, path: &str, kind: &str, body: &mut dyn Read, length: u64) -> Done<Response<Body>> {
        let request = self
            .request(Method::POST, path)
            .header("content-type", kind)
            .header("content-length", length)
            // A server that refuses says so before all is sent.
            .header("expect", "100-continue")
            .body(SendBody::from_reader(body))
            .map_err(bad_request)?;
        self.check(self.agent.run(request))
    }

    fn request(&self, method: Method, path: &str) -> request::Builder {
        let request = ureq::http::Request::builder().method(method).uri(format!("{}/api/v1{path}", self.url));
        match &self.token {
            // Only ever sent to the server it was made for.
            Some(token) => request.header("authorization", format!("Bearer {}", token.expose())),
            None => request,
        }
    }

    fn check(&self, response: Result<Response<Body>, ureq::Error>) -> Done<Response<Body>> {
        let mut response = response.map_err(|e| self.unreachable(&e))?;
        if let Some(path) = response.headers().get(wire::MOVED_HEADER).and_then(|v| v.to_str().ok()) {
            out::note(&format!("note: this project is now called {}", out::clean(path)));
        }
        let status = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let text = response.body_mut().with_config().limit(1 << 20).read_to_string().unwrap_or_default();
        let answer: Option<Value> = serde_json::from_str(&text).ok();
        match answer.as_ref().and_then(|answer| answer.get("error")) {
            Some(error) => Err(Fail::from_server(status, error)),
            None => Err(Fail::new(UNREACHABLE, format!("{} is not a Steady server (it answered {status})", self.url))
                .hint("Check the address; --url and STEADY_URL set it.")),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Fail {
        let error = match error {
            // ureq spells the operation; people know the cause.
            ureq::Error::Io(e) => e.to_string(),
            e => e.to_string(),
        };
        Fail::new(UNREACHABLE, format!("cannot reach {}: {error}", self.url))
            .hint("Is the server running, and is the address right?")
    }
}

const VERSIONS: &str = "Server and command line may be of different versions; `steady whoami` shows the server's.";

fn bad_request(error: ureq::http::Error) -> Fail {
    Fail::usage(format!("that cannot be sent: {error}"))
}

/// `/projects/USER/PROJECT` and what follows.
pub fn of(project: &ProjectPath, rest: &str) -> String {
    format!("/projects/{project}{rest}")
}

/// `text` for use in one segment of a path or one value of a query.
pub fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Hands over each JSON line of a stream until it ends or `take` says stop.
pub fn lines(body: Body, mut take: impl FnMut(Value) -> Done<bool>) -> Done {
    let mut reader = BufReader::new(body.into_reader());
    let mut line = Vec::new();
    loop {
        line.clear();
        let n = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line).map_err(|e| {
            Fail::new(UNREACHABLE, format!("the connection broke: {e}"))
                .hint("What was begun goes on there; `steady status` and `steady deploys` show how it went.")
        })?;
        if n == 0 {
            return Ok(());
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value = serde_json::from_slice(&line)
            .map_err(|e| Fail::new(FAILED, format!("the server's answer is not right: {e}")).hint(VERSIONS))?;
        if !take(value)? {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    /// A server that answers one connection with these bytes.
    fn answer(bytes: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0u8; 4096];
            let n = stream.read(&mut head).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            String::from_utf8_lossy(&head[..n]).into_owned()
        });
        (url, server)
    }

    #[test]
    fn an_error_comes_back_in_the_servers_words() {
        let (url, server) = answer(
            "HTTP/1.1 404 Not Found\r\nconnection: close\r\n\r\n\
             {\"error\":{\"kind\":\"not_found\",\"message\":\"there is no such project\",\"a\":1}}",
        );
        let client = Client::new(&url, Some(Secret::new("steady_t".into())));
        let fail = client.get::<Value>("/projects/dev/x").unwrap_err();
        assert_eq!((fail.code, fail.message.as_deref()), (4, Some("there is no such project")));
        let head = server.join().unwrap();
        assert!(head.starts_with("GET /api/v1/projects/dev/x HTTP/1.1\r\n"), "{head}");
        assert!(head.to_lowercase().contains("authorization: bearer steady_t\r\n"), "{head}");
    }

    #[test]
    fn nobody_there_or_somebody_else_is_unreachable() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let fail = Client::new(&format!("http://127.0.0.1:{port}"), None).get::<Value>("/me").unwrap_err();
        assert_eq!(fail.code, UNREACHABLE);
        let (url, _server) = answer("HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
        assert_eq!(Client::new(&url, None).get::<Value>("/me").unwrap_err().code, UNREACHABLE);
        // A redirect is not followed: the token would go along.
        let (url, _server) = answer("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(Client::new(&url, None).get::<Value>("/me").unwrap_err().code, UNREACHABLE);
    }

    #[test]
    fn a_stream_is_read_line_by_line_past_its_keep_alives() {
        let (url, _server) = answer(
            "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n\
             {\"n\":1}\n\n\n{\"n\":2}\n{\"n\":3}\n",
        );
        let response = Client::new(&url, None).send::<()>(Method::GET, "/x", None).unwrap();
        let mut seen = Vec::new();
        lines(response.into_body(), |value| {
            seen.push(value["n"].as_i64().unwrap());
            Ok(seen.len() < 2)
        })
        .unwrap();
        assert_eq!(seen, [1, 2]);
    }
}
