//! The `ytrain` command: everything but the allocator is in the library.

mod allocator;

use std::process::ExitCode;

fn main() -> ExitCode {
    ytrain::cli::main()
}
