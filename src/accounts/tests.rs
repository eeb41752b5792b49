//! The handle against a real database, with a hand-driven clock.
use std::time::Duration;

mod newcomers;
mod sign_in;
mod tokens;

use super::*;
use crate::base::{DataDir, Kind};

const DAY: i64 = 24 * 60 * 60 * 1000;
const PASSWORD: &str = "correct horse";

struct World {
    accounts: Accounts,
    clock: Clock,
    dir: DataDir,
    _temp: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self::with(true)
    }

    fn with(guests: bool) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let clock = Clock::manual(1_750_000_000_000);
        let options = Options { session_ms: 30 * DAY, guests, guest_ms: 7 * DAY };
        let accounts = Accounts::new(Store::open(&dir).unwrap(), clock.clone(), options);
        Self { accounts, clock, dir, _temp: temp }
    }

    /// As another process on the same data would be.
    fn again(&self) -> Accounts {
        Accounts::new(Store::open(&self.dir).unwrap(), self.clock.clone(), self.accounts.options().clone())
    }

    fn after(&self, ms: i64) {
        self.clock.advance(Duration::from_millis(ms.try_into().unwrap()));
    }

    fn dev(&self) -> SignedIn {
        self.accounts.add_user(&name("dev"), &secret(PASSWORD), true).unwrap();
        self.accounts.sign_in("dev", &secret(PASSWORD), "192.0.2.1").unwrap()
    }

    fn count(&self, table: &str) -> i64 {
        let db = rusqlite::Connection::open(self.dir.database()).unwrap();
        db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.dir.database()).unwrap().execute_batch(sql).unwrap();
    }
}

fn name(text: &str) -> UserName {
    UserName::parse(text).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind
}

fn new_token(scopes: &[Scope], expires: Option<Millis>) -> NewToken {
    NewToken { name: "ci".to_owned(), scopes: scopes.to_vec(), project: None, expires }
}
