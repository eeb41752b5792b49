//! The program: parse, run, print error and hint, exit code.
use std::process::ExitCode;

pub mod jail;

pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if matches!(args.first().map(String::as_str), Some("jail" | "copy-home")) {
        return jail::main(&args);
    }
    ExitCode::SUCCESS
}
