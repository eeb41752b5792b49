//! The certificate engine against a real authority: Debian's `pebble`, made as unfriendly as it can be.
// Tests wait for the real world, so they read the real time, and write files that may tear.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod tls {
    mod dns;
    mod front;
    mod issue;
    mod pebble;
    mod renew;
    mod server;
    mod world;
    mod zone;
}
