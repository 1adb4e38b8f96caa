//! Where `ytrain` finds libtorch: inside an image in `lib` beside the `bin` that holds it. A
//! development build looks first where it was linked, so that tests run without settings; a
//! release build carries no path of the machine that built it.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let development = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    if let Ok(libtorch) = env::var("LIBTORCH")
        && development
    {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{libtorch}/lib");
    }
    println!("cargo:rustc-link-arg-bins=-Wl,-rpath,$ORIGIN/../lib");
}
