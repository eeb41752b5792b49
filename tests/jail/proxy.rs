use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::Request;
use steady::runner::{Admission, LaunchSpec};

use super::kit::{Battery, processes, world};
use super::support::*;

/// `200 BODY`, `cut` when the body breaks off, or the stage at which there was no answer.
async fn got(world: &World, app: &LaunchSpec, path: &str) -> String {
    let Admission::Go(upstream) = world.runner.admit(&app.key).await else { return "not let in".into() };
    let request = Request::get(path).header("host", "app.localhost").body(Body::empty()).expect("a request");
    let answer = async {
        let (response, _lease) = match upstream.send(request).await {
            Ok(answer) => answer,
            Err(error) => return error.to_string().split(':').next().unwrap_or_default().to_owned(),
        };
        let status = response.status().as_u16();
        match response.into_body().collect().await {
            Ok(body) => format!("{status} {}", String::from_utf8_lossy(&body.to_bytes())),
            Err(_) => "cut".into(),
        }
    };
    tokio::time::timeout(patient(20), answer).await.unwrap_or_else(|_| "no end".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_answers() {
    let world = world();
    let mut battery = Battery::new("proxy");
    let app = world.app("answers", &[("index.ts", include_str!("proxy.ts"))]);
    world.runner.register(app.clone());
    let none = "response head";
    battery.check("an honest answer", got(&world, &app, "/good").await, "200 good");
    battery.check("noise instead of an answer", got(&world, &app, "/noise").await, none);
    battery.check("an answer as before HTTP/1", got(&world, &app, "/old").await, none);
    battery.check("a negative length", got(&world, &app, "/negative").await, none);
    battery.check("two lengths", got(&world, &app, "/twice").await, none);
    battery.check("a length beyond numbers", got(&world, &app, "/overflow").await, none);
    battery.check("four megabytes of headers", got(&world, &app, "/heads").await, none);
    battery.check("five thousand headers", got(&world, &app, "/many").await, none);
    battery.check("a zero byte in a header", got(&world, &app, "/nul").await, none);
    battery.check("a status of five digits", got(&world, &app, "/status").await, none);
    battery.check("a chunk larger than numbers", got(&world, &app, "/chunk").await, "cut");
    battery.check("a chunk whose size is no number", got(&world, &app, "/chunks").await, "cut");
    battery.check("a body that ends too early", got(&world, &app, "/short").await, "cut");
    battery.check("a connection closed without a word", got(&world, &app, "/close").await, none);
    battery.check("a thousand early hints", got(&world, &app, "/hints").await, "200 final");
    battery.check("a second answer behind the first", got(&world, &app, "/second").await, "200 ok");
    battery.check("the next visitor does not get the second answer", got(&world, &app, "/good").await, "200 good");
    battery.check("a switch that nobody asked for", got(&world, &app, "/switch").await, "101 ");
    battery.check("the next visitor after a switch", got(&world, &app, "/good").await, "200 good");
    battery.check(
        "the server holds no more of it than before",
        processes(world.options.uid_base + app.uid_offset).len(),
        2,
    );

    // What the app puts in its socket's place.
    let planted = |name: &str, what: &str| {
        let code = format!(
            "import fs from 'node:fs'; export default {{ fetch: () => {{ fs.unlinkSync('/run/steady/http.sock'); {what}; \
             return new Response('planted', {{ headers: {{ connection: 'close' }} }}) }} }}"
        );
        let app = world.app(name, &[("index.ts", &code)]);
        world.runner.register(app.clone());
        app
    };
    let folder = planted("folder", "fs.mkdirSync('/run/steady/http.sock')");
    let file = planted("file", "fs.writeFileSync('/run/steady/http.sock', 'x')");
    let link = planted("link", "fs.symlinkSync('/var/run/docker.sock', '/run/steady/http.sock')");
    assert_eq!(got(&world, &folder, "/").await, "200 planted");
    battery.check("a folder in place of its socket", got(&world, &folder, "/").await, "connect");
    assert_eq!(got(&world, &file, "/").await, "200 planted");
    battery.check("a file in place of its socket", got(&world, &file, "/").await, "connect");
    assert_eq!(got(&world, &link, "/").await, "200 planted");
    battery.check("a link in place of its socket", got(&world, &link, "/").await, "connect");
    battery.finish();
    world.down().await;
}
