//! One database, read while others write it: the pages that differ from the last time, as LTX. Runs in the app's own
//! jail: an app's databases are untrusted input.
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::ltx::{Header, Writer, lock_page};
use super::sums::{Sum, Sums};
use crate::base::Millis;

/// What the scan is told.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// The number of this moment; rises with each snapshot of the app.
    pub moment: u64,
    pub epoch: u64,
    pub time: Millis,
    /// How long a writer that holds the database may keep it waiting.
    pub patience: Duration,
}

/// A database with a read transaction open: what is read from here on is of one moment.
pub struct Held {
    connection: Connection,
    page_size: u32,
    pages: u32,
    /// `wal`, `delete`, …
    pub journal: String,
}

/// What a scan found.
#[derive(Debug)]
pub struct Found {
    pub sums: Sums,
    /// Pages written; `None` when nothing differs and nothing was.
    pub changed: Option<u32>,
}

impl Held {
    /// Errors: a sentence for a person; among them that the app keeps it locked.
    pub fn begin(path: &Path, patience: Duration) -> Result<Self, String> {
        let sql = |e: rusqlite::Error| match e.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                "the app keeps it locked (an exclusive locking mode, or a long transaction)".to_owned()
            }
            Some(rusqlite::ErrorCode::NotADatabase) => "it is no SQLite database any more".to_owned(),
            _ => e.to_string(),
        };
        // Reading a WAL database takes writing its shared-memory file.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(sql)?;
        connection.busy_timeout(patience).map_err(sql)?;
        // The last one to close a database writes its log back into it: that is the app's business.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(sql)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true).map_err(sql)?;
        let begin =
            "PRAGMA trusted_schema=OFF; PRAGMA mmap_size=0; PRAGMA cache_size=-512; PRAGMA query_only=ON; BEGIN";
        connection.execute_batch(begin).map_err(sql)?;
        let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, u32>(0)).map_err(sql);
        let (pages, page_size) = (number("PRAGMA page_count")?, number("PRAGMA page_size")?);
        let journal = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).map_err(sql)?;
        Ok(Self { connection, page_size, pages, journal })
    }

    /// Writes what differs from `before` (all of it, where `before` does not fit) to `out`, and ends the transaction.
    pub fn scan(self, before: Option<&Sums>, order: Order, out: &mut (impl Write + io::Seek)) -> Result<Found, String> {
        let said = |e: io::Error| format!("its pages cannot be written: {e}");
        let sql = |e: rusqlite::Error| e.to_string();
        let before = before.filter(|sums| sums.page_size == self.page_size && sums.moment < order.moment);
        let header = Header {
            page_size: self.page_size,
            commit: self.pages,
            min: before.map_or(1, |_| order.moment),
            max: order.moment,
            time: order.time,
            pre: before.map_or(0, Sums::database),
            node: order.epoch,
        };
        let mut writer = Writer::new(&mut *out, header).map_err(said)?;
        let mut sums = Sums { page_size: self.page_size, moment: order.moment, pages: Vec::new() };
        let (mut changed, locks) = (0, lock_page(self.page_size));
        {
            let mut statement = self.connection.prepare("SELECT pgno, data FROM sqlite_dbpage('main')").map_err(sql)?;
            let mut rows = statement.query([]).map_err(sql)?;
            while let Some(row) = rows.next().map_err(sql)? {
                let number: u32 = row.get(0).map_err(sql)?;
                let data = row.get_ref(1).and_then(|value| Ok(value.as_blob()?)).map_err(sql)?;
                let at = number as usize - 1;
                if at != sums.pages.len() || data.len() != self.page_size as usize {
                    return Err("its pages came out of order".into());
                }
                if number == locks {
                    sums.pages.push(Sum::default());
                    continue;
                }
                let old = before.and_then(|before| before.pages.get(at)).copied();
                let sum = Sum::of(number, data, old);
                if old != Some(sum) {
                    changed += 1;
                    writer.page(number, data).map_err(said)?;
                }
                sums.pages.push(sum);
            }
        }
        if sums.pages.len() != self.pages as usize {
            return Err("its pages are fewer than it says".into());
        }
        let same = before.is_some_and(|before| changed == 0 && before.pages.len() == sums.pages.len());
        writer.finish(sums.database()).map_err(said)?;
        self.connection.execute_batch("COMMIT").map_err(sql)?;
        if same {
            out.rewind().map_err(said)?;
        }
        Ok(Found { sums, changed: (!same).then_some(changed) })
    }
}
