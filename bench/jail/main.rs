//! The figures of the jail, each beside its peer, taking turns (A B A B …). See bench/jail.sh. Decides nothing.
//!
//!     jail [spawn] [requests] [egress] [neighbour] [--rounds N]
#![allow(clippy::disallowed_methods)] // it measures, and has nothing to shut down
mod client;
mod egress;
mod neighbour;
mod requests;
mod spawn;
mod table;
mod world;

use world::World;

#[tokio::main]
async fn main() {
    let mut rounds = 7;
    let mut parts: Vec<String> = Vec::new();
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--rounds" {
            rounds = words.next().and_then(|n| n.parse().ok()).expect("--rounds takes a number");
        } else {
            parts.push(word);
        }
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|p| p == part);
    let world = World::new(2);
    table::machine(&world, rounds.max(5));
    let rounds = rounds.max(5);
    if wanted("spawn") {
        spawn::measure(&world, rounds).await;
    }
    if wanted("requests") {
        requests::measure(&world, rounds).await;
    }
    if wanted("egress") {
        egress::measure(&world, rounds).await;
    }
    if wanted("neighbour") {
        neighbour::measure(&world, rounds).await;
    }
    println!("\nload at the end: {}", table::load());
    world.down().await;
}
