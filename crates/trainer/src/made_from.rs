//! What this binary was made from, in a section of its own, where `ybox build` finds it without
//! running it. What it was made with stands in `.comment`: compilers and linker write that.

use std::hint::black_box;
use std::sync::LazyLock;

const TEXT: &str = env!("YTRAIN_CARGO_LOCK");

/// The digest of Cargo.lock, `sha256:` and hex.
#[used]
#[unsafe(link_section = ".ybox.cargo-lock")]
static CARGO_LOCK: [u8; TEXT.len()] = match TEXT.as_bytes().first_chunk() {
    Some(bytes) => *bytes,
    None => unreachable!(),
};

/// The version with what it was made from.
pub fn version() -> &'static str {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        // Were the section not read, the linker would drop it.
        let lock = String::from_utf8_lossy(black_box(&CARGO_LOCK));
        format!("{}\nCargo.lock {lock}", env!("CARGO_PKG_VERSION"))
    });
    &VERSION
}
