//! Standing still as visitors, owners and pushes see it.
use super::support::*;

fn says(text: &str) -> String {
    format!("export default {{ fetch: () => new Response(\"{text} \" + process.pid) }};")
}

#[test]
fn an_idle_app_stands_still_goes_on_for_a_visitor_and_can_be_replaced() {
    let steady = Steady::start();
    let rest = r#"{ "freeze_seconds": 1, "idle_seconds": 600 }"#;
    let work = steady.push_new("still", &[("index.ts", &says("one")), ("steady.json", rest)]);
    let first = steady.get("still", "/").ok();
    let missing = steady.status("still")["confinement_missing"].to_string();
    if missing.contains("cgroup freezer") || missing.contains("\"cgroups\"") {
        // Nothing to freeze it with: it goes on answering, and is said to be ready.
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(steady.status("still")["state"], "ready");
        return;
    }
    let frozen = || until("it stands still", || Some(steady.status("still")).filter(|s| s["state"] == "frozen"));
    let status = frozen();
    assert!(status["process"]["pid"].is_number() && status["process"]["memory"].as_u64() > Some(1 << 20), "{status}");
    assert_eq!((&status["freeze_seconds"], &status["idle_seconds"]), (&1.into(), &600.into()));
    assert_eq!(steady.get("still", "/").ok(), first, "the same process goes on");
    frozen();
    work.write(&[("index.ts", &says("two"))]);
    work.commit("Second");
    work.push_ok();
    assert!(steady.get("still", "/").ok().starts_with("two "), "a deploy is not held up by one that stands still");
    // One that works in the background is left alone.
    work.write(&[("steady.json", r#"{ "background": true }"#)]);
    work.commit("Third");
    work.push_ok();
    steady.get("still", "/").ok();
    assert!(steady.status("still")["freeze_seconds"].is_null());
}
