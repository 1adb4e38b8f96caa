//! The `ytrain` command: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ytrain::cli::main()
}
