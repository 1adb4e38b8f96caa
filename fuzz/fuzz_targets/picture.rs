//! Pictures of a data set.
#![no_main]

use std::io::Cursor;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // Decoding what says to be large takes long, which is no finding.
    let small = |(width, height): (u32, u32)| u64::from(width) * u64::from(height) < 1 << 20;
    if ybox_picture::size(Cursor::new(bytes)).is_ok_and(small) {
        let _ = ybox_picture::decode(bytes);
    }
});
