//! Doors for the fuzz targets below `fuzz/` to what registries answer. Compiled for them alone.

use oci_spec::image::{ImageIndex, ImageManifest};

use super::Place;
use super::challenge::Challenge;
use super::manifest::parse;

pub fn challenge(header: &str) {
    Challenge::parse(header);
}

/// A place is the same when written and read again.
pub fn place(text: &str) {
    if let Ok(place) = text.parse::<Place>() {
        let written = place.to_string();
        assert_eq!(
            written.parse::<Place>().expect("ybox reads what it writes").to_string(),
            written
        );
    }
}

pub fn documents(bytes: &[u8]) {
    let _ = parse::<ImageManifest>(bytes, "the fuzzed manifest");
    let _ = parse::<ImageIndex>(bytes, "the fuzzed index");
}
