//! Snapshots and restores through the real program: taken while the app writes, brought back while visitors wait.
use crate::data::COUNTER;
use crate::support::Steady;

fn count(steady: &Steady) -> u64 {
    let reply = steady.get("counter", "/count");
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["count"].as_u64().expect("a number")
}

fn add(steady: &Steady, times: usize) {
    for _ in 0..times {
        assert_eq!(steady.post("counter", "/").status, 303);
    }
}

fn take(steady: &Steady) -> i64 {
    let taken = steady.cli_ok(&["snapshot", "take", "dev/counter", "--json"]);
    serde_json::from_str::<serde_json::Value>(&taken).expect("json")["id"].as_i64().expect("an id")
}

fn list(steady: &Steady) -> Vec<serde_json::Value> {
    serde_json::from_str(&steady.cli_ok(&["snapshot", "ls", "dev/counter", "--json"])).expect("json")
}

#[test]
fn data_goes_back_and_forth_and_code_stays() {
    let steady = Steady::start();
    let work = steady.push_new("counter", &[("index.ts", COUNTER)]);
    add(&steady, 2);
    let first = take(&steady);
    add(&steady, 3);
    let restored = steady.cli_ok(&["snapshot", "restore", "dev/counter", &first.to_string(), "--yes", "--json"]);
    assert_eq!(count(&steady), 2);
    // The restore itself can be undone.
    let undo =
        serde_json::from_str::<serde_json::Value>(&restored).expect("json")["undo"].as_i64().expect("a way back");
    steady.cli_ok(&["snapshot", "restore", "dev/counter", &undo.to_string(), "--yes"]);
    assert_eq!(count(&steady), 5);
    add(&steady, 1);
    assert_eq!(count(&steady), 6, "it can be written again");

    // Each deploy has the data as it found it.
    work.write(&[("index.ts", &COUNTER.replace("Add one", "One more"))]);
    work.commit("Other words");
    let said = work.push_ok();
    assert!(said.contains("snapshot"), "{said}");
    add(&steady, 1);
    let before = list(&steady).into_iter().find(|one| one["deploy"] == 2).expect("one of the deploy");
    let id = before["id"].as_i64().expect("an id").to_string();
    steady.cli_ok(&["snapshot", "restore", "dev/counter", &id, "--yes"]);
    assert_eq!(count(&steady), 6);
    assert!(steady.get("counter", "/").ok().contains("One more"), "code stays");
}

#[test]
fn a_restore_that_a_crash_broke_off_is_finished() {
    let mut steady = Steady::start();
    steady.push_new("counter", &[("index.ts", COUNTER)]);
    add(&steady, 2);
    let first = take(&steady);
    add(&steady, 5);
    steady.terminate();
    // As if the server had died between the two halves: the data half gone, the restore written down.
    let db = rusqlite::Connection::open(steady.data().join("steady.db")).expect("the database");
    db.execute("INSERT INTO restores (app_id, moment) SELECT app_id, moment FROM snapshots WHERE moment = ?1", [first])
        .expect("a restore that has begun");
    drop(db);
    steady.launch();
    assert_eq!(count(&steady), 2);
}

#[test]
fn what_a_restore_that_has_begun_needs_is_not_thinned_out() {
    let steady = Steady::start();
    steady.push_new("counter", &[("index.ts", COUNTER)]);
    add(&steady, 2);
    let old = take(&steady);
    add(&steady, 1);
    take(&steady);
    // So old that no span keeps it; and a restore of it is under way.
    let db = rusqlite::Connection::open(steady.data().join("steady.db")).expect("the database");
    db.busy_timeout(std::time::Duration::from_secs(10)).expect("patience");
    db.execute_batch(&format!(
        "UPDATE snapshots SET taken = taken - 500 * 86400000 WHERE moment = {old};
         INSERT INTO restores (app_id, moment) SELECT app_id, moment FROM snapshots WHERE moment = {old}"
    ))
    .expect("a restore that has begun");
    take(&steady);
    let ids = || list(&steady).iter().map(|one| one["id"].as_i64().expect("an id")).collect::<Vec<_>>();
    assert!(ids().contains(&old), "{:?}", ids());
    db.execute("DELETE FROM restores", []).expect("it has ended");
    take(&steady);
    assert!(!ids().contains(&old), "{:?}", ids());
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let steady = Steady::start();
    steady.push_new("counter", &[("index.ts", COUNTER)]);
    add(&steady, 1);
    let id = take(&steady);
    for (args, says) in [
        (&["snapshot", "restore", "dev/counter", "999", "--yes"][..], "no snapshot 999"),
        (&["snapshot", "restore", "dev/counter", "x", "--yes"], "no snapshot's number"),
        (&["snapshot", "restore", "dev/counter", "1"], "needs a yes"),
        (&["snapshot", "take", "dev/nobody"], "dev/nobody"),
        (&["snapshot", "pin", "dev/counter", "1", "--name", ""], "cannot name a snapshot"),
    ] {
        let output = steady.cli(args);
        let said = crate::support::text(&output.stderr);
        assert!(!output.status.success() && said.contains(says), "{args:?}: {said}");
    }
    steady.cli_ok(&["snapshot", "pin", "dev/counter", &id.to_string(), "--name", "before the party"]);
    let pinned = list(&steady).into_iter().find(|one| one["id"] == id).expect("it");
    assert_eq!(pinned["name"], "before the party");
    assert_eq!(count(&steady), 1);
}
