use std::process::ExitCode;

fn main() -> ExitCode {
    steady::cli::main()
}
