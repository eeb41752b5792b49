//! Hidden: `steady zygote` starts children for the server; `steady copy-home`, `snapshot-home` and `snapshot-put` are jobs
//! inside one.
//! Must run before anything starts a second thread.
use std::process::ExitCode;

use crate::runner::{copy, sandbox};
use crate::snapshots;

/// `args` without the program's name: `["zygote"]`, or what a job was given, such as `["copy-home", FROM, TO, MAX_BYTES]`.
pub fn main(args: &[String]) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("copy-home") => copy::main(&args[1..]),
        Some("snapshot-home") => snapshots::take::main(&args[1..]),
        Some("snapshot-put") => snapshots::put::main(&args[1..]),
        _ => sandbox::zygote::main(),
    }
}
