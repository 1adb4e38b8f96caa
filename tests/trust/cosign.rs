//! The real cosign, as `scripts/cosign.sh` lays it out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub const PASSPHRASE: &str = "correct horse";

/// The program; `None`, and a printed line, where it is missing.
pub fn cosign() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/cosign/usr/bin/cosign");
    if !path.is_file() {
        println!("skipped: no cosign, `scripts/cosign.sh` has it");
        return None;
    }
    Some(path)
}

/// Runs a program in `folder`, with the passphrase of every key in its environment.
pub fn run(program: &Path, folder: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .current_dir(folder)
        .args(arguments)
        .env("COSIGN_PASSWORD", PASSPHRASE)
        .env("YBOX_KEY_PASSPHRASE", PASSPHRASE)
        .env("YBOX_HOME", folder.join("home"))
        .env("XDG_CONFIG_HOME", folder.join("config"))
        .env_remove("YBOX_PROJECT")
        .output()
        .unwrap()
}

pub fn ybox(folder: &Path, arguments: &[&str]) -> Output {
    run(Path::new(env!("CARGO_BIN_EXE_ybox")), folder, arguments)
}

/// Standard output of a program that must succeed.
pub fn output(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
