//! An engine, a listener for its proofs, and an authority.
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use steady::base::{Clock, DataDir, Millis, Tasks};
use steady::store::certs::OrderRow;
use steady::store::seal::Key;
use steady::store::{Store, certs};
use steady::tls::{Certs, Options};

use super::pebble::{Likes, Names, Pebble, at};
use super::server::Server;

pub struct World {
    pub folder: tempfile::TempDir,
    pub names: Names,
    pub server: Server,
    pub clock: Clock,
    /// Hosts that are ours.
    pub ours: Arc<Mutex<BTreeSet<String>>>,
    pub options: Options,
    dir: DataDir,
    listeners: Option<(tokio::net::TcpListener, tokio::net::TcpListener)>,
    tasks: Tasks,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (server, http, tls) = Server::bind().await;
        let now = Clock::System.now();
        let options = Options {
            authorities: Vec::new(),
            roots: Some(server_certificate(&folder)),
            wait: Duration::from_secs(60),
            ..Options::default()
        };
        Self {
            names: Names::start(folder.path()),
            dir: DataDir::open(&folder.path().join("data")).unwrap(),
            folder,
            server,
            clock: Clock::manual(now),
            ours: Arc::default(),
            options,
            listeners: Some((http, tls)),
            tasks: Tasks::new(),
        }
    }

    /// One more authority, after those that are there.
    pub fn authority(&mut self, likes: &Likes) -> Pebble {
        let (http, tls) = (self.server.http, self.server.tls);
        let pebble = Pebble::start(self.folder.path(), likes, at(self.names.port), http, tls);
        self.options.authorities.push(pebble.directory());
        pebble
    }

    pub fn own(&self, host: &str) {
        self.ours.lock().unwrap().insert(host.to_owned());
    }

    /// The next engine on the same store, behind the same ports.
    pub async fn start_again(&mut self) -> Certs {
        self.listeners = Some(self.server.rebind().await);
        self.start()
    }

    pub fn start(&mut self) -> Certs {
        let ours = self.ours.clone();
        let owns = Arc::new(move |host: &str| ours.lock().unwrap().contains(host));
        self.tasks = Tasks::new();
        let (store, key, tasks) = (self.store(), self.key(), self.tasks.clone());
        let certs = Certs::start(self.options.clone(), store, key, self.clock.clone(), tasks, owns).unwrap();
        if let Some((http, tls)) = self.listeners.take() {
            self.server.serve(&certs, http, tls);
        }
        certs
    }

    pub async fn stop(&mut self, certs: Certs) {
        drop(certs);
        self.server.stop().await;
        assert!(self.tasks.drain(Duration::from_secs(20)).await, "the engine did not stop");
    }

    pub fn store(&self) -> Store {
        Store::open(&self.dir).unwrap()
    }

    pub fn key(&self) -> Key {
        Key::load(&self.dir).unwrap()
    }

    pub fn orders(&self) -> Vec<OrderRow> {
        self.store().read(|db| certs::orders(db, 0)).unwrap()
    }

    pub fn pass(&self, days: Millis) {
        self.clock.advance(Duration::from_secs(u64::try_from(days).unwrap() * 86_400));
    }
}

/// The certificate of the authorities' own servers, and the file that trusts it.
fn server_certificate(folder: &tempfile::TempDir) -> PathBuf {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let pem = folder.path().join("server.pem");
    std::fs::write(&pem, certificate.pem()).unwrap();
    std::fs::write(folder.path().join("server.key"), key.serialize_pem()).unwrap();
    pem
}
