//! Where `ytrain` finds libtorch: inside an image in `lib` beside the `bin` that holds it. A
//! development build looks first where it was linked, so that tests run without settings; a
//! release build carries no path of the machine that built it. And the digest of the lock of its
//! dependencies, for `made_from`.

use std::{env, fs};

use sha2::{Digest, Sha256};

const LOCK: &str = "../../Cargo.lock";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={LOCK}");
    let lock = fs::read(LOCK).expect("a workspace has a Cargo.lock beside its Cargo.toml");
    let digest: String = Sha256::digest(lock).iter().map(|byte| format!("{byte:02x}")).collect();
    println!("cargo:rustc-env=YTRAIN_CARGO_LOCK=sha256:{digest}");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let development = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    if let Ok(libtorch) = env::var("LIBTORCH")
        && development
    {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
}
