use serde_json::json;

use super::kit::{Battery, hostile, world};

#[tokio::test(flavor = "multi_thread")]
async fn the_kernel() {
    let world = world();
    let mut battery = Battery::new("kernel");
    let app = hostile(&world, "kernel", include_str!("kernel.ts"), json!({}));
    world.runner.register(app.clone());
    battery.ask(&world, &app, "/").await;
    battery.check("it answers after all that", world.get(&app, "/nothing").await, (200, "[]"));
    battery.finish();
    world.down().await;
}
