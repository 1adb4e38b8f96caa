//! Doors for the fuzz targets below `fuzz/` to what reads recipes, locks and package archives'
//! indexes. Compiled for them alone.

use std::path::Path;
use std::time::SystemTime;

use super::deb::fuzzing::{compare, packages, release, unmet};
use super::{Lock, Recipe};

/// What is read as a lock is the same when written and read again.
pub fn lock(text: &str) {
    let path = Path::new("fuzzed.lock");
    if let Ok(lock) = Lock::parse(text, path) {
        let written = lock.to_text();
        let again = Lock::parse(&written, path).expect("ybox reads what it writes");
        assert_eq!(again.to_text(), written);
    }
}

pub fn recipe(text: &str) {
    if let Ok(recipe) = Recipe::parse(text, Path::new("fuzzed.yaml")) {
        recipe.digest();
    }
}

/// An InRelease whose signature held, and the package index that it names.
pub fn archive_index(text: &str) {
    let _ = release(text, SystemTime::UNIX_EPOCH);
    let names: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Package: "))
        .map(|name| name.trim().to_owned())
        .collect();
    if let Ok(stanzas) = packages(text.as_bytes(), &names) {
        unmet(&stanzas);
    }
}

/// Versions have one order: both ways round, and through a third.
pub fn versions(a: &str, b: &str, c: &str) {
    assert_eq!(compare(a, b), compare(b, a).reverse());
    if compare(a, b).is_le() && compare(b, c).is_le() {
        assert!(compare(a, c).is_le(), "{a:?} {b:?} {c:?}");
    }
}
