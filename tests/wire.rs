//! Framing: what a request may look like on the wire, from the RFCs' text. Every line of the tables goes as raw
//! bytes to the real program, with an app behind it that keeps every byte it is given.
// Tests wait for the real world, so they read the real time, and write files that may tear.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

#[path = "it/support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

mod wire {
    mod agree;
    mod bodies;
    mod frames;
    mod heads;
    mod http2;
    mod model;
    mod sequences;
    mod world;
}
