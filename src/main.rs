//! The `ybox` command: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    ybox::cli::main()
}
