use serde_json::json;
use steady::runner::LaunchSpec;

use super::kit::{Battery, hostile, processes, world};
use super::support::*;

/// Asks the neighbour as long as the bomb burns; all that was not its answer.
async fn beside(world: &World, neighbour: &LaunchSpec, bomb: impl Future<Output = ()>) -> Vec<(u16, String)> {
    tokio::pin!(bomb);
    let (mut asked, mut wrong) = (0, Vec::new());
    loop {
        tokio::select! {
            biased;
            () = &mut bomb, if asked > 0 => return wrong,
            answer = world.get(neighbour, "/") => {
                asked += 1;
                if answer != (200, "here".to_owned()) {
                    wrong.push(answer);
                }
                tokio::task::yield_now().await;
            }
        }
    }
}

/// Nothing.
const NONE: [(u16, String); 0] = [];

#[tokio::test(flavor = "multi_thread")]
async fn bombs() {
    let world = world();
    let mut battery = Battery::new("resources");
    let neighbour = hostile(&world, "neighbour", include_str!("victim.ts"), json!({ "port": 4200 }));
    world.runner.register(neighbour.clone());
    assert_eq!(world.get(&neighbour, "/").await, (200, "here".into()), "{:#?}", world.log(&neighbour));
    let mut app = hostile(&world, "bombs", include_str!("resources.ts"), json!({ "pids": 64, "files": 1024 }));
    write(&app.code.join("threads.ts"), include_str!("threads.ts"));
    write(&app.code.join("hello.ts"), "console.log('hello')");
    (app.limits.pids, app.limits.open_files, app.limits.memory_bytes) = (64, 1024, 256 << 20);
    world.runner.register(app.clone());
    let uid = world.options.uid_base + app.uid_offset;
    let wrong = beside(&world, &neighbour, battery.ask(&world, &app, "/forks")).await;
    battery.check("the neighbour beside a fork bomb", wrong, NONE);
    let wrong = beside(&world, &neighbour, battery.ask(&world, &app, "/threads")).await;
    battery.check("the neighbour beside threads", wrong, NONE);
    let wrong = beside(&world, &neighbour, battery.ask(&world, &app, "/spin")).await;
    battery.check("the neighbour beside spinning processes", wrong, NONE);
    let wrong = beside(&world, &neighbour, battery.ask(&world, &app, "/descriptors")).await;
    battery.check("the neighbour beside descriptors", wrong, NONE);
    let wrong = beside(&world, &neighbour, battery.ask(&world, &app, "/dirty")).await;
    battery.check("the neighbour beside dirty pages", wrong, NONE);
    let wrong = beside(&world, &neighbour, battery.ask(&world, &app, "/log")).await;
    battery.check("the neighbour beside a log flood", wrong, NONE);
    battery.check("what its bombs left behind", processes(uid).len(), 2);
    battery.ask(&world, &app, "/watches").await;
    battery.check(
        "the neighbour watches files when another has taken all watches",
        world.get(&neighbour, "/watch").await,
        (200, "watches"),
    );
    battery.ask(&world, &app, "/watches/end").await;
    battery.check(
        "its log stays within its limit",
        steady::base::fs::tree_size(&app.logs) <= app.limits.log_bytes + (1 << 20),
        true,
    );
    let bomb = async {
        let (status, _) = world.get(&app, "/memory").await;
        battery.check("a memory bomb has no answer", status, 502);
    };
    let wrong = beside(&world, &neighbour, bomb).await;
    battery.check("the neighbour beside a memory bomb", wrong, NONE);
    world.logged(&app, "killed: out of memory").await;
    battery.check("it starts again after a memory bomb", world.get(&app, "/nothing").await, (200, "[]"));
    battery.finish();
    world.down().await;
}
