//! The program: parse, run, print error and hint, exit code.
use std::process::ExitCode;

pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
