//! A real name server with a key for updates: Debian's `knot`, on loopback.
use std::path::Path;
use std::process::Command;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::pebble::{Running, at, free_port, wait_for};

pub const KEY_NAME: &str = "steady.example";
pub const KEY: &[u8] = b"not a secret: thirty-two bytes!!";
/// Somebody else's proof under the same name.
pub const OTHER: &str = "of another program";

pub struct Zone {
    _process: Running,
    pub port: u16,
}

impl Zone {
    /// Serves `example.org`; the key may change TXT records in it.
    pub fn start(folder: &Path) -> Self {
        use base64::Engine as _;
        let (port, folder) = (free_port(), folder.join("knot"));
        std::fs::create_dir(&folder).unwrap();
        let (settings, log) = (folder.join("knot.conf"), folder.join("log"));
        let records = format!(
            "@ 60 SOA ns.example.org. mail.example.org. 1 3600 600 86400 60\n@ 60 NS ns\nns 60 A 127.0.0.1\n\
             _acme-challenge.apps 60 TXT \"{OTHER}\"\n_acme-challenge.alias 60 CNAME _acme-challenge.real\n"
        );
        std::fs::write(folder.join("example.org.zone"), records).unwrap();
        let key = base64::engine::general_purpose::STANDARD.encode(KEY);
        let text = format!(
            "server:\n  listen: 127.0.0.1@{port}\n  rundir: {dir}\nlog:\n  - target: stderr\n    any: info\n\
             database:\n  storage: {dir}\nkey:\n  - id: {KEY_NAME}\n    algorithm: hmac-sha256\n    secret: {key}\n\
             acl:\n  - id: updates\n    key: {KEY_NAME}\n    action: update\n    update-type: [TXT]\n\
             zone:\n  - domain: example.org\n    storage: {dir}\n    file: example.org.zone\n    acl: updates\n",
            dir = folder.display(),
        );
        std::fs::write(&settings, text).unwrap();
        let process = Running::start(Command::new("knotd").arg("-c").arg(&settings), &log);
        wait_for(port, "knotd", &log);
        let zone = Self { _process: process, port };
        // It listens before the zone is loaded.
        for _ in 0..500 {
            if !zone.txt("_acme-challenge.apps.example.org").is_empty() {
                return zone;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("knotd does not serve its zone:\n{}", std::fs::read_to_string(&log).unwrap());
    }

    pub fn txt(&self, name: &str) -> Vec<String> {
        let socket = std::net::UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        let mut question = Message::query();
        question.queries.push(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), RecordType::TXT));
        socket.send_to(&question.to_vec().unwrap(), at(self.port)).unwrap();
        let mut buffer = [0; 4096];
        let Ok(read) = socket.recv(&mut buffer) else { return Vec::new() };
        let answer = Message::from_vec(&buffer[..read]).unwrap();
        let text = |data: &RData| match data {
            RData::TXT(txt) => Some(String::from_utf8(txt.txt_data.concat()).unwrap()),
            _ => None,
        };
        answer.answers.iter().filter_map(|record| text(&record.data)).collect()
    }
}
