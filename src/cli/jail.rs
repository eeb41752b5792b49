//! Hidden: `steady zygote` starts children for the server; `steady copy-home` is a job inside one.
//! Must run before anything starts a second thread.
use std::process::ExitCode;

use crate::runner::{copy, sandbox};

/// `args` without the program's name: `["zygote"]`, or `["copy-home", FROM, TO, MAX_BYTES]`.
pub fn main(args: &[String]) -> ExitCode {
    match args.first().map(String::as_str) {
        Some("copy-home") => copy::main(&args[1..]),
        _ => sandbox::zygote::main(),
    }
}
