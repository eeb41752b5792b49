use super::*;
use crate::base::Kind;

fn fixture() -> (tempfile::TempDir, Store) {
    let temp = tempfile::tempdir().unwrap();
    let store = Store::open(&DataDir::open(temp.path()).unwrap()).unwrap();
    (temp, store)
}

fn add(db: &Db, id: i64) -> Result<()> {
    db.execute("INSERT INTO users (id, name, password, created) VALUES (?1, 'u' || ?1, 'x', 0)", [id]).sql()?;
    Ok(())
}

fn count(store: &Store) -> i64 {
    store.read(|db| db.query_row("SELECT count(*) FROM users", [], |row| row.get(0)).sql()).unwrap()
}

#[test]
fn a_write_is_whole_or_not_at_all() {
    let (_temp, store) = fixture();
    store.write(|db| add(db, 1)).unwrap();
    let failed: Result<()> = store.write(|db| {
        add(db, 2)?;
        Err(Error::conflict("on purpose"))
    });
    assert_eq!(failed.unwrap_err().kind, Kind::Conflict);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.write(|db| -> Result<()> {
            add(db, 3)?;
            panic!("on purpose")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(count(&store), 1);
    store.write(|db| add(db, 4)).unwrap();
    assert_eq!(count(&store), 2, "the writer still works");
}

#[test]
fn a_read_is_of_one_moment_and_cannot_write() {
    let (_temp, store) = fixture();
    store
        .read(|db| {
            let seen = |db: &Db| db.query_row("SELECT count(*) FROM users", [], |row| row.get::<_, i64>(0)).sql();
            assert_eq!(seen(db)?, 0);
            std::thread::scope(|scope| {
                scope.spawn(|| store.write(|db| add(db, 1)).unwrap());
            });
            assert_eq!(seen(db)?, 0);
            assert!(add(db, 2).is_err());
            Ok(())
        })
        .unwrap();
    assert_eq!(count(&store), 1);
}

#[test]
fn broken_rules_have_their_kinds() {
    let (_temp, store) = fixture();
    let taken = || Error::conflict("taken");
    store.write(|db| add(db, 1)).unwrap();
    for sql in [
        "INSERT INTO users (id, name, password, created) VALUES (2, 'u1', 'x', 0)",
        "INSERT INTO users (id, name, password, created) VALUES (1, 'u2', 'x', 0)",
    ] {
        let error = store.write(|db| db.execute(sql, []).unique(taken)).unwrap_err();
        assert_eq!(error.kind, Kind::Conflict, "{sql}");
    }
    let orphan = "INSERT INTO sessions (user_id, hash, csrf, created, used, expires) VALUES (9, 'h', 'c', 0, 0, 0)";
    let error = store.write(|db| db.execute(orphan, []).unique(taken)).unwrap_err();
    assert_eq!(error.kind, Kind::Internal);
    let missing =
        store.read(|db| db.query_row("SELECT id FROM users WHERE id = 9", [], |row| row.get::<_, i64>(0)).sql());
    assert_eq!(missing.unwrap_err().kind, Kind::NotFound);
}

#[test]
fn many_threads_of_two_handles_write_all() {
    let temp = tempfile::tempdir().unwrap();
    let dir = DataDir::open(temp.path()).unwrap();
    // Two handles are what a server and the command line beside it have.
    let stores = [Store::open(&dir).unwrap(), Store::open(&dir).unwrap()];
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let store = &stores[thread as usize % 2];
            scope.spawn(move || {
                for n in 0..20 {
                    store.write(|db| add(db, thread * 100 + n + 1)).unwrap();
                    assert!(count(store) > 0);
                }
            });
        }
    });
    assert_eq!(count(&stores[0]), 120);
    assert!(stores[0].0.readers.lock().unwrap().len() <= IDLE_READERS);
}

#[test]
fn looking_up_one_app_reads_no_others() {
    let (_temp, store) = fixture();
    for (table, column) in [
        ("apps", "project_id"),
        ("hosts", "app_id"),
        ("deploys", "version_id"),
        ("members", "user_id"),
        ("approvals", "project_id"),
        ("env_sets", "app_id"),
    ] {
        let sql = format!("EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE {column} = 1");
        let plan: String = store.read(|db| db.query_row(&sql, [], |row| row.get("detail")).sql()).unwrap();
        assert!(plan.starts_with("SEARCH") && plan.contains("INDEX"), "{sql}: {plan}");
    }
}
