//! Compiles the shim against the libtorch that torch-sys found.
//!
//! Nothing in the object depends on where the sources or libtorch lie: assertion messages inside
//! libtorch's headers carry `__FILE__`, so both prefixes are mapped away.

use std::env;
use std::path::PathBuf;

fn main() {
    let sources = [
        "src/shim.cpp",
        "src/autocast.cpp",
        "src/checkpoint.cpp",
        "src/memory.cpp",
        "src/norm_silu.cpp",
    ];
    sources.iter().for_each(|source| println!("cargo:rerun-if-changed={source}"));
    println!("cargo:rerun-if-changed=src/caught.h");
    println!("cargo:rerun-if-changed=src/autocast.h");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let manifest = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let libtorch = libtorch();
    // Reaches only this crate's own tests, never a binary that depends on it.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", libtorch.join("lib").display());
    let include = libtorch.join("include");
    let include = include.to_str().expect("the path of libtorch is UTF-8");
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        // Not `include`: libtorch's own warnings are not ours.
        .flag(format!("-isystem{include}"))
        .flag(format!("-ffile-prefix-map={include}=libtorch"))
        .flag(format!("-ffile-prefix-map={manifest}=torch-ext"))
        .debug(false)
        .files(sources)
        .compile("torch_ext_shim");
}

/// The directory that holds libtorch's `include` and `lib`.
fn libtorch() -> PathBuf {
    if let Some(lib) = env::var_os("DEP_TCH_LIBTORCH_LIB") {
        return PathBuf::from(lib).join("..");
    }
    env::var_os("LIBTORCH").map(PathBuf::from).expect("LIBTORCH names the directory of libtorch")
}
