//! From a wheel's name, version and file pattern to the one file of the index that it means.

use super::{LockedWheel, Wheel};
use crate::fetch::index::{IndexFile, normalized};
use crate::fetch::{FetchError, Fetcher};

#[derive(Debug, thiserror::Error)]
pub enum WheelError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the index has no project {0}")]
    NoProject(String),
    #[error("the index has no wheel of {name} {version}")]
    NoVersion { name: String, version: String, newest: Vec<String> },
    #[error("no wheel of {name} {version} matches `{pattern}`: there are {}", files.join(", "))]
    NoMatch { name: String, version: String, pattern: String, files: Vec<String> },
    #[error("`{pattern}` matches more than one wheel of {name}: {}", files.join(", "))]
    Ambiguous { name: String, pattern: String, files: Vec<String> },
    #[error("{file} was withdrawn from the index{}", reason_text(reason))]
    Yanked { file: String, reason: String },
    #[error("the index tells no SHA-256 of {0}")]
    NoHash(String),
    #[error("neither the index nor the server tells the size of {0}")]
    NoSize(String),
}

fn reason_text(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

/// The exact file of `wheel`.
pub async fn resolve(fetcher: &Fetcher, wheel: &Wheel) -> Result<LockedWheel, WheelError> {
    let wanted = |file: &IndexFile| is_wheel_of(wheel, &file.name);
    let files = match fetcher.project(&wheel.name, wanted).await {
        Err(FetchError::NotInIndex { .. }) => {
            return Err(WheelError::NoProject(wheel.name.clone()));
        }
        files => files?,
    };
    let file = choose(wheel, files)?;
    let sha256 = file.sha256.ok_or_else(|| WheelError::NoHash(file.name.clone()))?;
    let size = match file.size {
        Some(size) => size,
        None => {
            fetcher.size(&file.url).await?.ok_or_else(|| WheelError::NoSize(file.name.clone()))?
        }
    };
    Ok(LockedWheel {
        name: wheel.name.clone(),
        version: wheel.version.clone(),
        file: file.name,
        size,
        sha256,
    })
}

fn choose(wheel: &Wheel, files: Vec<IndexFile>) -> Result<IndexFile, WheelError> {
    let (of_version, others): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter(|file| file.name.ends_with(".whl"))
        .partition(|file| is_wheel_of(wheel, &file.name));
    if of_version.is_empty() {
        return Err(WheelError::NoVersion {
            name: wheel.name.clone(),
            version: wheel.version.clone(),
            newest: last_versions(&others),
        });
    }
    let names = |files: &[IndexFile]| files.iter().map(|f| f.name.clone()).collect();
    let (mut matching, rest): (Vec<_>, Vec<_>) =
        of_version.into_iter().partition(|file| matches(&wheel.file, &file.name));
    let pattern = wheel.file.clone();
    match matching.len() {
        0 => Err(WheelError::NoMatch {
            name: wheel.name.clone(),
            version: wheel.version.clone(),
            pattern,
            files: names(&rest),
        }),
        1 => not_yanked(matching.remove(0)),
        _ => Err(WheelError::Ambiguous {
            name: wheel.name.clone(),
            pattern,
            files: names(&matching),
        }),
    }
}

fn not_yanked(file: IndexFile) -> Result<IndexFile, WheelError> {
    match file.yanked {
        Some(reason) => Err(WheelError::Yanked { file: file.name, reason }),
        None => Ok(file),
    }
}

/// `NAME-VERSION-….whl` (the binary distribution format); names are compared in normal form.
fn is_wheel_of(wheel: &Wheel, file: &str) -> bool {
    let Some(file) = file.strip_suffix(".whl") else { return false };
    let mut parts = file.split('-');
    let name = parts.next().unwrap_or_default();
    normalized(name) == normalized(&wheel.name) && parts.next() == Some(wheel.version.as_str())
}

/// The last few versions in the index's own order, which is that of release.
fn last_versions(files: &[IndexFile]) -> Vec<String> {
    let mut versions: Vec<String> =
        files.iter().filter_map(|file| file.name.split('-').nth(1).map(str::to_owned)).collect();
    versions.dedup();
    versions.split_off(versions.len().saturating_sub(5))
}

/// Whether a pattern of `*` (anything) and `?` (one character) fits the whole name.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    let mut last_star = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                last_star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == '?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                // Let the last star take one character more.
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                p = star + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::Url;
    use ybox_spec::Digest;

    use super::*;

    fn wheel(pattern: &str) -> Wheel {
        Wheel {
            name: "nvidia-tool".into(),
            version: "1.0".into(),
            file: pattern.into(),
            layer: "l".into(),
            files: vec![],
        }
    }

    fn offered(names: &[&str]) -> Vec<IndexFile> {
        names
            .iter()
            .map(|name| IndexFile {
                name: (*name).into(),
                url: Url::parse("https://index.test/f").unwrap(),
                sha256: Some(Digest::of(b"")),
                size: Some(1),
                yanked: None,
            })
            .collect()
    }

    const FILES: [&str; 5] = [
        "nvidia_tool-1.0-py3-none-manylinux_2_28_aarch64.whl",
        "nvidia_tool-1.0-py3-none-manylinux_2_28_x86_64.whl",
        "nvidia_tool-1.0.tar.gz",
        "nvidia_tool-1.0.1-py3-none-manylinux_2_28_x86_64.whl",
        "nvidia_tool-1.1-py3-none-manylinux_2_28_x86_64.whl",
    ];

    #[test]
    fn takes_the_one_that_matches() {
        let file = choose(&wheel("*-manylinux*_x86_64.whl"), offered(&FILES)).unwrap();
        assert_eq!(file.name, FILES[1]);
    }

    #[test]
    fn refuses_none_and_several() {
        let several = choose(&wheel("*"), offered(&FILES)).unwrap_err();
        assert!(matches!(several, WheelError::Ambiguous { files, .. } if files == FILES[..2]));
        let none = choose(&wheel("*win*"), offered(&FILES)).unwrap_err();
        assert!(matches!(none, WheelError::NoMatch { files, .. } if files == FILES[..2]));
        let version = choose(&wheel("*"), offered(&FILES[3..])).unwrap_err();
        assert!(
            matches!(version, WheelError::NoVersion { newest, .. } if newest == ["1.0.1", "1.1"])
        );
    }

    #[test]
    fn refuses_what_was_withdrawn() {
        let mut files = offered(&FILES[..1]);
        files[0].yanked = Some("broken".into());
        let error = choose(&wheel("*"), files).unwrap_err();
        assert_eq!(error.to_string(), format!("{} was withdrawn from the index: broken", FILES[0]));
    }

    proptest! {
        #[test]
        fn a_name_matches_itself_with_any_part_starred(name in "[a-c_.*?]{1,12}", at in 0usize..12, len in 0usize..6) {
            let at = at.min(name.len());
            let end = (at + len).min(name.len());
            let pattern = format!("{}*{}", &name[..at], &name[end..]);
            prop_assert!(matches(&pattern, &name), "{pattern} {name}");
            let longer = format!("{name}x");
            prop_assert!(!matches(&name.replace('*', "?"), &longer));
        }
    }
}
