//! Hosts of the owner's own network: the server's owner opens them, a steady.json asks, a project's owner approves.
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{Steady, text, until};

/// Connects to `?to=` and answers what it read there, or the error.
const DIALS: &str = r#"
    import net from "node:net";
    export default {
      fetch: (request: Request) => new Promise<Response>((done) => {
        const to = new URL(request.url).searchParams.get("to");
        if (!to) return done(new Response("up"));
        const [host, port] = to.split("|");
        const socket = net.connect({ host, port: Number(port) });
        socket.on("data", (data) => { socket.destroy(); done(new Response(data)); });
        socket.on("error", (error: any) => done(new Response(error.code)));
        socket.on("close", () => done(new Response("closed")));
      }),
    };
"#;

/// Says a word to everybody, on the server's own loopback.
fn database(word: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("its address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(word.as_bytes());
            let _ = stream.read(&mut [0; 16]);
        }
    });
    port
}

fn asks(hosts: &[String]) -> String {
    json!({ "permissions": { "private": hosts } }).to_string()
}

#[test]
fn a_private_host_is_reached_when_both_owners_said_so() {
    let (open, shut) = (database("open"), database("shut"));
    let mut steady = Steady::prepare(&[]);
    let host = format!("localhost:{open}");
    steady.env("STEADY_PRIVATE_HOSTS", &host);
    steady.token = {
        steady.add_user("dev", true);
        steady.new_token("dev")
    };
    steady.launch();
    let dial = |to: u16| steady.get("mine", &format!("/?to=127.0.0.1|{to}")).text();
    // Nobody asked: it is the app's own loopback, where nothing listens.
    let work = steady.push_new("mine", &[("index.ts", DIALS)]);
    assert_eq!((dial(open).as_str(), dial(shut).as_str()), ("ECONNREFUSED", "ECONNREFUSED"));

    // Not one that the server's owner has not opened, and the answer says which are.
    work.write(&[("steady.json", &asks(&[format!("localhost:{shut}")]))]);
    work.commit("Ask for another");
    let (pushed, said) = work.push();
    assert!(!pushed && said.contains("is not open to apps") && said.contains(&format!("\"{host}\"")), "{said}");

    work.write(&[("steady.json", &asks(std::slice::from_ref(&host)))]);
    work.commit("Ask for the database");
    let (pushed, said) = work.push();
    assert!(!pushed && said.contains(&format!("private: {host}")), "{said}");
    assert_eq!(dial(open), "ECONNREFUSED", "nobody said yes yet");
    steady.cli_ok(&["approve", "dev/mine", "--yes"]);
    assert_eq!((dial(open).as_str(), dial(shut).as_str()), ("open", "ECONNREFUSED"));
    assert_eq!(steady.status("mine")["permissions"], json!(["net: none", format!("private: {host}")]));

    // The server's owner takes it back: the approval alone opens nothing.
    steady.terminate();
    steady.env("STEADY_PRIVATE_HOSTS", "");
    steady.launch();
    let dial = |to: u16| steady.get("mine", &format!("/?to=127.0.0.1|{to}")).text();
    assert_eq!(dial(open), "ECONNREFUSED");
    let again = steady.cli(&["deploy", "dev/mine"]);
    assert!(!again.status.success(), "{}", text(&again.stdout));
}

/// A name server of the test's own in the place of the machine's.
const WITH_NAMES: &str = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";

/// What the driver of MongoDB does with `mongodb+srv://c.example.com`, and what a name server can do to it.
#[test]
fn a_service_is_found_by_its_records_and_never_leads_inside() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: port 53 and another resolv.conf need root");
    }
    let open = database("open");
    let names = names::Server::start(open);
    let mut steady = Steady::prepare(&[]);
    let conf = steady.dir().join("resolv.conf");
    std::fs::write(&conf, format!("nameserver {}\noptions timeout:1 attempts:2\n", names.ip)).expect("a file");
    steady.run_by(&["unshare", "-m", "sh", "-c", WITH_NAMES, conf.to_str().expect("a path")], 0);
    steady.token = {
        steady.add_user("dev", true);
        steady.new_token("dev")
    };
    steady.launch();
    let code = r#"
        import dns from "node:dns/promises";
        const why = (error: any) => error.code ?? String(error);
        export default {
          async fetch(request: Request) {
            const name = new URL(request.url).searchParams.get("name");
            if (!name) return new Response("up");
            return Response.json({
              srv: await dns.resolveSrv("_db._tcp." + name).catch(why),
              txt: await dns.resolveTxt(name).catch(why),
              mx: await dns.resolveMx(name).catch(why),
              caa: await dns.resolveCaa(name).catch(why),
              dial: await fetch("http://s1." + name + ":OPEN/").then((r) => r.text(), why),
            });
          },
        };"#
    .replace("OPEN", &open.to_string());
    let net = json!({ "permissions": { "net": [format!("*.c.example.com:{open}"), "c.example.com"] } }).to_string();
    let work = steady.push_new("mongo", &[("index.ts", "export default { fetch: () => new Response('one') }")]);
    work.write(&[("index.ts", &code), ("steady.json", &net)]);
    work.commit("Find the cluster");
    let (_, said) = work.push();
    assert!(said.contains("net: *.c.example.com"), "{said}");
    steady.cli_ok(&["approve", "dev/mongo", "--yes"]);

    let seen: Value = steady.get("mongo", "/?name=c.example.com").json();
    assert_eq!(seen["srv"], json!([{ "name": "s1.c.example.com", "port": open, "priority": 0, "weight": 0 }]));
    assert_eq!(seen["txt"], json!([["replicaSet=a"]]));
    assert_eq!(seen["mx"], json!([{ "exchange": "c.example.com", "priority": 5 }]), "others are not allowed");
    // What it leads to is looked up when it is used, and is this machine: refused, whatever port it names.
    assert_ne!(seen["dial"], "open");
    until("the refusals", || {
        let log = steady.cli_ok(&["logs", "dev/mongo", "-n", "200"]);
        let all = [
            format!("refused: s1.c.example.com:{open}. Its address is loopback"),
            format!("refused: evil.example:{open}. To allow it"),
            "refused: mail.evil.example. To allow it".to_owned(),
        ];
        all.iter().all(|line| log.contains(line)).then_some(())
    });
    let other: Value = steady.get("mongo", "/?name=evil.example").json();
    for kind in ["srv", "txt", "mx"] {
        assert_eq!(other[kind], "ENOTFOUND", "{other}");
    }
    let asked = names.asked();
    assert!(asked.iter().any(|name| name == "_db._tcp.c.example.com."), "{asked:?}");
    assert!(!asked.iter().any(|name| name.contains("evil")), "nobody outside hears of it: {asked:?}");
}

mod names {
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::{Arc, Mutex};

    use hickory_proto::op::{Message, Metadata, ResponseCode};
    use hickory_proto::rr::rdata::{A, MX, SRV, TXT};
    use hickory_proto::rr::{Name, RData, Record, RecordType};

    pub struct Server {
        pub ip: Ipv4Addr,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Server {
        /// At port 53 of an address of loopback that nobody else has. `port`: of the service it tells of.
        pub fn start(port: u16) -> Self {
            let (ip, socket) = (1..=254u8)
                .map(|n| Ipv4Addr::new(127, 53, std::process::id() as u8, n))
                .find_map(|ip| Some((ip, UdpSocket::bind((ip, 53)).ok()?)))
                .expect("port 53 of some address");
            let asked = Arc::new(Mutex::new(Vec::new()));
            let seen = asked.clone();
            std::thread::spawn(move || {
                let mut packet = [0; 600];
                while let Ok((n, from)) = socket.recv_from(&mut packet) {
                    let Ok(question) = Message::from_vec(&packet[..n]) else { continue };
                    let query = &question.queries[0];
                    seen.lock().expect("names").push(query.name.to_ascii().to_lowercase());
                    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
                    reply.metadata = Metadata::response_from_request(&question.metadata);
                    reply.metadata.response_code = ResponseCode::NoError;
                    reply.queries.push(query.clone());
                    let data = of(query.query_type, port);
                    reply.answers = data.into_iter().map(|d| Record::from_rdata(query.name.clone(), 60, d)).collect();
                    let _ = socket.send_to(&reply.to_vec().expect("a packet"), from);
                }
            });
            Self { ip, asked }
        }

        pub fn asked(&self) -> Vec<String> {
            self.asked.lock().expect("names").clone()
        }
    }

    fn name(text: &str) -> Name {
        Name::from_ascii(text).expect(text)
    }

    fn of(kind: RecordType, port: u16) -> Vec<RData> {
        match kind {
            RecordType::SRV => vec![
                RData::SRV(SRV::new(0, 0, port, name("s1.c.example.com."))),
                RData::SRV(SRV::new(0, 0, port, name("evil.example."))),
            ],
            RecordType::TXT => vec![RData::TXT(TXT::new(vec!["replicaSet=a".to_owned()]))],
            RecordType::MX => {
                vec![RData::MX(MX::new(5, name("c.example.com."))), RData::MX(MX::new(1, name("mail.evil.example.")))]
            }
            RecordType::A => vec![RData::A(A(Ipv4Addr::LOCALHOST))],
            _ => Vec::new(),
        }
    }
}
