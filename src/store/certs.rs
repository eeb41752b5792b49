//! Certificates, accounts at their authorities, and the orders that count against the authorities' limits.
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::SqlExt as _;
use super::seal::Key;
use crate::base::{Millis, Result, ResultExt as _, Secret};

/// What is known of a host's certificate.
#[derive(Clone, Debug, Default)]
pub struct CertRow {
    /// A host name, or `*.` and one.
    pub host: String,
    /// The directory it came from.
    pub authority: String,
    /// `None` when none was issued yet.
    pub pair: Option<Pair>,
    pub issued: Millis,
    pub expires: Millis,
    pub renew_at: Millis,
    /// The window for renewal that the authority suggested.
    pub ari: Option<(Millis, Millis)>,
    /// When the authority is asked for it again.
    pub ari_next: Millis,
    pub ocsp: Option<Vec<u8>>,
    pub ocsp_next: Millis,
    /// Failed tries in a row.
    pub failures: u32,
    pub last_error: Option<String>,
    /// Not tried before.
    pub next_try: Millis,
}

#[derive(Clone, Debug)]
pub struct Pair {
    /// PEM, the host's own certificate first.
    pub chain: String,
    /// PKCS #8, DER.
    pub key: Secret<Vec<u8>>,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Begun,
    Issued,
    /// Issued, and the authority knows that it replaces one: it counts against no limit of new ones.
    Renewed,
    /// The authority did not find the proof.
    Unproved,
    Failed,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Issued => "issued",
            Self::Renewed => "renewed",
            Self::Unproved => "unproved",
            Self::Failed => "failed",
        }
    }
    fn of(word: &str) -> Self {
        let all = [Self::Begun, Self::Issued, Self::Renewed, Self::Unproved];
        all.into_iter().find(|outcome| outcome.word() == word).unwrap_or(Self::Failed)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    pub authority: String,
    pub host: String,
    /// The registered domain of the host.
    pub domain: String,
    pub at: Millis,
    pub outcome: Outcome,
}

fn place(host: &str) -> String {
    format!("certs/{host}")
}

/// All of them, by host.
pub fn all(db: &Connection, key: &Key) -> Result<Vec<CertRow>> {
    let mut query = db
        .prepare_cached(
            "SELECT host, authority, chain, sealed, issued, expires, renew_at, ari_start, ari_end, ari_next, ocsp,
                    ocsp_next, failures, last_error, next_try FROM certs ORDER BY host",
        )
        .sql()?;
    let rows = query.query_map([], |row| Ok((row_of(row)?, row.get(2)?, row.get(3)?))).sql()?;
    let mut found = Vec::new();
    for row in rows {
        let (mut row, chain, sealed): (CertRow, Option<String>, Option<Vec<u8>>) = row.sql()?;
        if let (Some(chain), Some(sealed)) = (chain, sealed) {
            // Behind another key file it is as good as gone: a new one is ordered, and the server starts.
            match key.open(&place(&row.host), &sealed) {
                Ok(opened) => row.pair = Some(Pair { chain, key: Secret::new(opened) }),
                Err(error) => tracing::error!(host = row.host, ?error, "a certificate's key cannot be opened"),
            }
        }
        found.push(row);
    }
    Ok(found)
}

fn row_of(row: &Row<'_>) -> rusqlite::Result<CertRow> {
    let window: (Option<Millis>, Option<Millis>) = (row.get(7)?, row.get(8)?);
    Ok(CertRow {
        host: row.get(0)?,
        authority: row.get(1)?,
        pair: None,
        issued: row.get(4)?,
        expires: row.get(5)?,
        renew_at: row.get(6)?,
        ari: window.0.zip(window.1),
        ari_next: row.get(9)?,
        ocsp: row.get(10)?,
        ocsp_next: row.get(11)?,
        failures: row.get(12)?,
        last_error: row.get(13)?,
        next_try: row.get(14)?,
    })
}

/// Puts the row in the place of the host's earlier one; without a pair it keeps the one that is there.
pub fn put(db: &Connection, key: &Key, row: &CertRow) -> Result<()> {
    let chain = row.pair.as_ref().map(|pair| &pair.chain);
    // The key is exposed to be sealed.
    let sealed = row.pair.as_ref().map(|pair| key.seal(&place(&row.host), pair.key.expose()));
    db.prepare_cached(
        "INSERT INTO certs (host, authority, chain, sealed, issued, expires, renew_at, ari_start, ari_end, ari_next,
                ocsp, ocsp_next, failures, last_error, next_try)
             VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15)
         ON CONFLICT (host) DO UPDATE SET authority = ?2, chain = coalesce(?3, chain), sealed = coalesce(?4, sealed), issued = ?5, expires = ?6,
             renew_at = ?7, ari_start = ?8, ari_end = ?9, ari_next = ?10, ocsp = ?11, ocsp_next = ?12, failures = ?13,
             last_error = ?14, next_try = ?15",
    )
    .and_then(|mut s| {
        s.execute(params![
            row.host,
            row.authority,
            chain,
            sealed,
            row.issued,
            row.expires,
            row.renew_at,
            row.ari.map(|window| window.0),
            row.ari.map(|window| window.1),
            row.ari_next,
            row.ocsp,
            row.ocsp_next,
            row.failures,
            row.last_error,
            row.next_try,
        ])
    })
    .sql()?;
    Ok(())
}

pub fn remove(db: &Connection, host: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM certs WHERE host = ?").and_then(|mut s| s.execute([host])).sql()?;
    Ok(())
}

/// The credentials at that authority and the address they were registered with.
pub fn account(db: &Connection, key: &Key, authority: &str) -> Result<Option<(String, Secret<Vec<u8>>)>> {
    let found: Option<(String, Vec<u8>)> = db
        .prepare_cached("SELECT email, sealed FROM acme_accounts WHERE authority = ?")
        .and_then(|mut s| s.query_row([authority], |row| Ok((row.get(0)?, row.get(1)?))).optional())
        .sql()?;
    let open = |(email, sealed): (String, Vec<u8>)| {
        Ok((email, Secret::new(key.open(&format!("acme_accounts/{authority}"), &sealed)?)))
    };
    found.map(open).transpose()
}

pub fn put_account(
    db: &Connection,
    key: &Key,
    authority: &str,
    email: &str,
    credentials: &Secret<Vec<u8>>,
    now: Millis,
) -> Result<()> {
    // The credentials are exposed to be sealed.
    let sealed = key.seal(&format!("acme_accounts/{authority}"), credentials.expose());
    db.prepare_cached(
        "INSERT INTO acme_accounts (authority, email, sealed, created) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (authority) DO UPDATE SET email = ?2, sealed = ?3, created = ?4",
    )
    .and_then(|mut s| s.execute(params![authority, email, sealed, now]))
    .sql()?;
    Ok(())
}

/// The authority does not know it any more.
pub fn remove_account(db: &Connection, authority: &str) -> Result<()> {
    db.prepare_cached("DELETE FROM acme_accounts WHERE authority = ?")
        .and_then(|mut s| s.execute([authority]))
        .sql()?;
    Ok(())
}

/// Its number, for [`end_order`].
pub fn begin_order(db: &Connection, order: &OrderRow) -> Result<i64> {
    db.prepare_cached("INSERT INTO acme_orders (authority, host, domain, at, outcome) VALUES (?, ?, ?, ?, ?)")
        .and_then(|mut s| s.execute(params![order.authority, order.host, order.domain, order.at, order.outcome.word()]))
        .sql()?;
    Ok(db.last_insert_rowid())
}

pub fn end_order(db: &Connection, order: i64, outcome: Outcome) -> Result<()> {
    db.prepare_cached("UPDATE acme_orders SET outcome = ?2 WHERE id = ?1")
        .and_then(|mut s| s.execute(params![order, outcome.word()]))
        .sql()?;
    Ok(())
}

/// Those since then, oldest first.
pub fn orders(db: &Connection, since: Millis) -> Result<Vec<OrderRow>> {
    let mut query = db
        .prepare_cached("SELECT authority, host, domain, at, outcome FROM acme_orders WHERE at >= ? ORDER BY at, id")
        .sql()?;
    let rows = query.query_map([since], |row| {
        Ok(OrderRow {
            authority: row.get(0)?,
            host: row.get(1)?,
            domain: row.get(2)?,
            at: row.get(3)?,
            outcome: Outcome::of(&row.get::<_, String>(4)?),
        })
    });
    rows.sql()?.collect::<rusqlite::Result<_>>().internal("while reading the orders of certificates")
}

pub fn forget_orders(db: &Connection, before: Millis) -> Result<()> {
    db.prepare_cached("DELETE FROM acme_orders WHERE at < ?").and_then(|mut s| s.execute([before])).sql()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::DataDir;
    use crate::store::Store;

    #[test]
    fn a_certificate_comes_back_whole_and_its_key_is_sealed() {
        let temp = tempfile::tempdir().unwrap();
        let dir = DataDir::open(temp.path()).unwrap();
        let (store, key) = (Store::open(&dir).unwrap(), Key::load(&dir).unwrap());
        let mut row = CertRow { host: "a.example".to_owned(), failures: 2, next_try: 7, ..CertRow::default() };
        store.write(|db| put(db, &key, &row)).unwrap();
        row.pair = Some(Pair { chain: "PEM".to_owned(), key: Secret::new(b"very private".to_vec()) });
        (row.ari, row.ocsp, row.failures) = (Some((3, 4)), Some(vec![1, 2]), 0);
        store.write(|db| put(db, &key, &row)).unwrap();
        let found = store.read(|db| all(db, &key)).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", [&row]));
        assert_eq!(found[0].pair.as_ref().unwrap().key.expose(), b"very private");
        let credentials = Secret::new(b"very private too".to_vec());
        store.write(|db| put_account(db, &key, "https://ca", "a@b", &credentials, 1)).unwrap();
        assert_eq!(store.read(|db| account(db, &key, "https://ca")).unwrap().unwrap().1, credentials);
        assert!(store.read(|db| account(db, &key, "https://other")).unwrap().is_none());
        drop(store);
        for file in std::fs::read_dir(temp.path()).unwrap().flatten().filter(|f| f.path().is_file()) {
            let bytes = std::fs::read(file.path()).unwrap();
            assert!(!bytes.windows(12).any(|w| w == b"very private"), "{}", file.path().display());
        }
    }

    #[test]
    fn orders_are_counted_for_a_while() {
        let temp = tempfile::tempdir().unwrap();
        let store = Store::open(&DataDir::open(temp.path()).unwrap()).unwrap();
        let order = |at| OrderRow {
            authority: "https://ca".to_owned(),
            host: "a.example".to_owned(),
            domain: "example".to_owned(),
            at,
            outcome: Outcome::Begun,
        };
        let first = store.write(|db| begin_order(db, &order(1))).unwrap();
        store.write(|db| begin_order(db, &order(2))).unwrap();
        store.write(|db| end_order(db, first, Outcome::Unproved)).unwrap();
        let found = store.read(|db| orders(db, 0)).unwrap();
        assert_eq!(found, [OrderRow { outcome: Outcome::Unproved, ..order(1) }, order(2)]);
        store.write(|db| forget_orders(db, 2)).unwrap();
        assert_eq!(store.read(|db| orders(db, 0)).unwrap(), [order(2)]);
    }
}
