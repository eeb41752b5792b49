//! Numbered migrations, each in one transaction, the database file copied before the first.
use rusqlite::Connection;

use crate::base::{DataDir, Result};

pub(super) fn migrate(_connection: &mut Connection, _dir: &DataDir) -> Result<()> {
    todo!()
}
