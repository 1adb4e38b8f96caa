//! The mirror that debootstrap uses by default: on hosts whose apt serves another distribution it
//! is the one place that knows where Debian is.

use std::path::Path;

use reqwest::Url;

use crate::settings::folder_url;

/// The `default_mirror` line of debootstrap's script for Debian.
pub fn default_mirror(debootstrap: &Path) -> Option<Url> {
    let script = std::fs::read_to_string(debootstrap.join("scripts").join("sid")).ok()?;
    let line = script.lines().find_map(|line| line.trim().strip_prefix("default_mirror "))?;
    folder_url(line.trim().trim_matches(['"', '\'']))
}
