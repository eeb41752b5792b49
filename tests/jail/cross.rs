use serde_json::json;

use super::kit::{Battery, hostile, processes, world};
use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_apps() {
    let world = world();
    let mut battery = Battery::new("cross");
    let victim = hostile(&world, "victim", include_str!("victim.ts"), json!({ "port": 4100 }));
    let mut victim = victim;
    victim.env = vec![secret("TOKEN", "of-the-neighbour")];
    world.runner.register(victim.clone());
    assert_eq!(world.get(&victim, "/").await, (200, "here".into()), "{:#?}", world.log(&victim));
    let uid = world.options.uid_base + victim.uid_offset;
    let of_victim = processes(uid);
    // The first is its init, and the last the program.
    let neighbour = of_victim.last().expect("it runs");
    let more = json!({ "port": 4100, "neighbour": neighbour, "neighbourUid": uid, "neighbourHome": victim.home,
        "neighbourCode": victim.code, "neighbourLogs": victim.logs });
    let app = hostile(&world, "attacker", include_str!("cross.ts"), more);
    world.runner.register(app.clone());
    battery.ask(&world, &app, "/").await;
    battery.check(
        "the neighbour is what it was",
        (processes(uid), world.get(&victim, "/").await),
        (of_victim, (200, "here")),
    );
    let told = world.log(&victim).join("\n") + &world.log(&app).join("\n");
    battery.check("no log has the neighbour's secret", told.contains("of-the-neighbour"), false);

    battery.ask(&world, &app, "/write").await;
    let old = world.options.uid_base + app.uid_offset;
    world.runner.remove(&app.key).await;
    std::fs::remove_dir_all(app.home.parent().expect("a folder")).expect("deleted");
    battery.check("nothing runs of one that was deleted", processes(old), Vec::<u32>::new());
    let again = hostile(&world, "attacker", include_str!("cross.ts"), json!({ "oldUid": old }));
    world.runner.register(again.clone());
    battery.ask(&world, &again, "/again").await;
    let log = world.log(&again).join("\n");
    battery.check("the log of one that was deleted", log.matches("started v1").count(), 1);
    battery.finish();
    world.down().await;
}
