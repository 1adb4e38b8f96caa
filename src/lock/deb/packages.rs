//! `Packages` indexes: the stanzas of the packages that a recipe names.

use std::io::{self, BufRead};

use ybox_spec::Digest;

/// What a stanza says that matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza {
    pub name: String,
    pub version: String,
    pub architecture: String,
    pub depends: String,
    pub pre_depends: String,
    pub provides: String,
    /// Path below the archive's root.
    pub path: String,
    pub size: u64,
    pub sha256: Option<Digest>,
}

/// Stanzas of the packages in `names`, in the order of the index.
pub fn read(mut index: impl BufRead, names: &[String]) -> io::Result<Vec<Stanza>> {
    let mut found = Vec::new();
    let mut stanza = Stanza::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let ended = index.read_until(b'\n', &mut line)? == 0;
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        if !text.is_empty() {
            stanza.set(text);
            continue;
        }
        let complete = std::mem::take(&mut stanza);
        if names.contains(&complete.name) {
            found.push(complete);
        }
        if ended {
            return Ok(found);
        }
    }
}

impl Stanza {
    fn set(&mut self, line: &str) {
        // Continuation lines start with a space: none of these fields has any.
        let Some((field, value)) = line.split_once(':').filter(|_| !line.starts_with(' ')) else {
            return;
        };
        let value = value.trim();
        match field {
            "Package" => self.name = value.into(),
            "Version" => self.version = value.into(),
            "Architecture" => self.architecture = value.into(),
            "Depends" => self.depends = value.into(),
            "Pre-Depends" => self.pre_depends = value.into(),
            "Provides" => self.provides = value.into(),
            "Filename" => self.path = value.into(),
            "Size" => self.size = value.parse().unwrap_or(0),
            "SHA256" => self.sha256 = Digest::from_hex(value).ok(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = "\
Package: libc6
Source: glibc
Version: 2.41-12
Architecture: amd64
Depends: libgcc-s1
Description: GNU C Library
 long: text
Filename: pool/main/g/glibc/libc6_2.41-12_amd64.deb
Size: 7
SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

Package: other
Version: 1

Package: libgcc-s1
Version: 14.2.0-19
Provides: libgcc1 (= 1:14.2.0-19)
";

    #[test]
    fn takes_the_named_packages() {
        let names = ["libc6".to_owned(), "libgcc-s1".to_owned()];
        let stanzas = read(INDEX.as_bytes(), &names).unwrap();
        assert_eq!(stanzas.len(), 2);
        assert_eq!(stanzas[0].path, "pool/main/g/glibc/libc6_2.41-12_amd64.deb");
        assert_eq!((stanzas[0].size, stanzas[0].sha256), (7, Some(Digest::of(b""))));
        assert_eq!(stanzas[1].provides, "libgcc1 (= 1:14.2.0-19)");
    }
}
