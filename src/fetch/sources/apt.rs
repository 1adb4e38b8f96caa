//! apt's sources (sources.list(5)): both the one-line format and deb822. Only what tells where a
//! Debian archive is and what it is signed with is read.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DebSource, SignedBy};
use crate::settings::folder_url;

/// Names that Debian's archive has for its suites; third parties name theirs after them, too, so
/// that [`find`] looks at the URI as well.
const SUITES: [&str; 13] = [
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
    "sid",
    "stable",
    "oldstable",
    "oldoldstable",
    "testing",
    "unstable",
    "experimental",
];

/// One source of binary packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    uri: String,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: Option<SignedBy>,
}

/// The sources configured in the folder `apt`, in apt's order. What can't be read isn't there.
pub fn read(apt: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    for path in files(apt) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if path.extension().is_some_and(|e| e == "sources") {
            entries.extend(parse_deb822(&text));
        } else {
            entries.extend(text.lines().filter_map(parse_line));
        }
    }
    entries
}

fn files(apt: &Path) -> Vec<PathBuf> {
    let parts = fs::read_dir(apt.join("sources.list.d")).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = parts
        .map(|part| part.path())
        .filter(|path| path.extension().is_some_and(|e| e == "list" || e == "sources"))
        .collect();
    paths.sort();
    paths.insert(0, apt.join("sources.list"));
    paths
}

/// The source of the archive `debian` or `debian-security`: one whose URI ends in that name before
/// any other.
pub fn find(entries: &[Entry], archive: &str) -> Option<DebSource> {
    let mut found: Vec<DebSource> = entries
        .iter()
        .filter(|entry| entry.serves(archive))
        .filter_map(|entry| {
            let url = folder_url(&entry.uri)?;
            Some(DebSource { url, signed_by: entry.signed_by.clone() })
        })
        .collect();
    found.sort_by_key(|source| !source.url.path().trim_end_matches('/').ends_with(archive));
    found.into_iter().next()
}

impl Entry {
    fn serves(&self, archive: &str) -> bool {
        self.components.iter().any(|c| c == "main" || c == "updates/main")
            && self.suites.iter().any(|suite| archive_of(suite) == Some(archive))
    }
}

fn archive_of(suite: &str) -> Option<&'static str> {
    let (name, rest) = match suite.find(['-', '/']) {
        Some(at) => suite.split_at(at),
        None => (suite, ""),
    };
    match rest {
        _ if !SUITES.contains(&name) => None,
        "" | "-updates" | "-proposed-updates" | "-backports" => Some("debian"),
        "-security" | "/updates" => Some("debian-security"),
        _ => None,
    }
}

/// `deb [option=value …] URI SUITE COMPONENT…`
fn parse_line(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?,
        None => ("", rest),
    };
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(Entry {
        uri: words.next()?,
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .and_then(key_file),
    })
}

/// Stanzas of `Field: value` with continuation lines.
fn parse_deb822(text: &str) -> Vec<Entry> {
    let text = text.replace("\r\n", "\n");
    stanzas(&text).iter().flat_map(entries).collect()
}

type Fields = Vec<(String, String)>;

fn stanzas(text: &str) -> Vec<Fields> {
    let mut stanzas = vec![Fields::new()];
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let last = stanzas.len() - 1;
        let fields = &mut stanzas[last];
        if line.trim().is_empty() {
            stanzas.push(Fields::new());
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line.trim());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    stanzas
}

fn entries(fields: &Fields) -> Vec<Entry> {
    let value = |name: &str| fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    let words = |name: &str| -> Vec<String> {
        value(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let disabled = value("enabled").is_some_and(|v| matches!(v, "no" | "false" | "off" | "0"));
    if disabled || !words("types").iter().any(|t| t == "deb") {
        return Vec::new();
    }
    let entry = |uri| Entry {
        uri,
        suites: words("suites"),
        components: words("components"),
        signed_by: value("signed-by").and_then(signed_by),
    };
    words("uris").into_iter().map(entry).collect()
}

fn signed_by(value: &str) -> Option<SignedBy> {
    if value.contains("-----BEGIN PGP PUBLIC KEY BLOCK-----") {
        // deb822 writes an empty line as a single dot.
        let lines: Vec<&str> =
            value.lines().map(|line| if line.trim() == "." { "" } else { line.trim() }).collect();
        return Some(SignedBy::Key(lines.join("\n").trim_start().to_owned()));
    }
    value.split_whitespace().find_map(key_file)
}

/// A keyring's path; fingerprints name keys of apt's global keyring, which is no file to use here.
fn key_file(value: &str) -> Option<SignedBy> {
    value.split(',').find(|v| v.starts_with('/')).map(|path| SignedBy::File(path.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Entry> {
        text.lines().filter_map(parse_line).collect()
    }

    fn url_of(entries: &[Entry], archive: &str) -> Option<String> {
        find(entries, archive).map(|source| source.url.into())
    }

    #[test]
    fn reads_the_one_line_format() {
        let entries = lines(
            "# deb http://old.test/debian bullseye main\n\
             deb-src http://src.test/debian trixie main\n\
             deb [arch=amd64 signed-by=/k/d.gpg] http://a.test/debian trixie main contrib # x\n\
             deb\thttp://s.test/debian-security\ttrixie-security main\n",
        );
        assert_eq!(url_of(&entries, "debian").unwrap(), "http://a.test/debian/");
        assert_eq!(url_of(&entries, "debian-security").unwrap(), "http://s.test/debian-security/");
        let key = find(&entries, "debian").unwrap().signed_by;
        assert_eq!(key, Some(SignedBy::File("/k/d.gpg".into())));
    }

    #[test]
    fn reads_deb822() {
        let entries = parse_deb822(
            "# comment\nTypes: deb deb-src\n# in between\nURIs: http://a.test/debian\n\
             Suites: bookworm\n bookworm-updates\nComponents: main\nSigned-By: /k/d.gpg\n\n\
             Types: deb\nURIs: http://off.test/debian-security\nSuites: bookworm-security\n\
             Components: main\nEnabled: no\n\n\
             Types: deb\nURIs: http://s.test/security\nSuites: bookworm-security\n\
             Components: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n \
             -----END PGP PUBLIC KEY BLOCK-----\n",
        );
        assert_eq!(url_of(&entries, "debian").unwrap(), "http://a.test/debian/");
        let security = find(&entries, "debian-security").unwrap();
        assert_eq!(security.url.as_str(), "http://s.test/security/");
        let armored = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n\
                       -----END PGP PUBLIC KEY BLOCK-----";
        assert_eq!(security.signed_by, Some(SignedBy::Key(armored.into())));
    }

    #[test]
    fn other_distributions_and_third_parties_are_not_debian() {
        let entries = lines(
            "deb http://u.test/ubuntu noble main\n\
             deb https://d.test/linux/debian bookworm stable\n\
             deb http://p.test/apt bookworm-pgdg main\n\
             deb cdrom:[x] bookworm main\n",
        );
        assert_eq!(url_of(&entries, "debian"), None);
    }

    #[test]
    fn the_archive_comes_before_third_parties_that_borrow_its_suites() {
        let entries = lines(
            "deb http://third.test/repo bookworm main\ndeb http://m.test/debian bookworm main\n",
        );
        assert_eq!(url_of(&entries, "debian").unwrap(), "http://m.test/debian/");
    }

    #[test]
    fn order_is_that_of_apt() {
        let dir = tempfile::tempdir().unwrap();
        let parts = dir.path().join("sources.list.d");
        fs::create_dir(&parts).unwrap();
        let line = |host: &str| format!("deb http://{host}.test/debian trixie main\n");
        fs::write(parts.join("b.list"), line("b")).unwrap();
        fs::write(parts.join("a.list.disabled"), line("a")).unwrap();
        fs::write(dir.path().join("sources.list"), line("first")).unwrap();
        assert_eq!(url_of(&read(dir.path()), "debian").unwrap(), "http://first.test/debian/");
    }
}
