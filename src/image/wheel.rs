//! Taking files out of a Python wheel (a zip, PEP 427) by globs. Nothing in it is run or installed.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use zip::ZipArchive;
use zip::read::ZipFile;

use super::content::Spool;
use super::input::{InputError, LARGEST_CONTENT, globs};
use super::layer::{Node, check_path};
use super::sbom::{self, LONGEST_TEXT, Licence};
use crate::lock::Placement;

type Reader = BufReader<File>;

/// The files that `placements` ask for, under their paths in the image. Each placement must find
/// something.
pub fn read(
    path: &Path,
    placements: &[Placement],
    spool: &mut Spool,
) -> Result<Vec<(String, Node)>, InputError> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(unreadable)?;
    if archive.has_duplicate_names() {
        return Err(InputError::Unreadable("a member's name occurs twice".into()));
    }
    let names = member_names(&archive)?;
    let mut nodes = Vec::new();
    for placement in placements {
        let wanted = globs([placement.from.as_str()])?;
        let before = nodes.len();
        for (index, name) in names.iter().enumerate().filter(|(_, name)| wanted.is_match(name)) {
            let member = archive.by_index(index).map_err(unreadable)?;
            if let Some(node) = read_member(member, name, spool)? {
                nodes.push((destination(name, &placement.to), node));
            }
        }
        if nodes.len() == before {
            return Err(InputError::Missing(format!("file that matches `{}`", placement.from)));
        }
    }
    Ok(nodes)
}

/// What the wheel's metadata says of its licence, with the licence files that it names.
pub fn licence(path: &Path) -> Result<Licence, InputError> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(unreadable)?;
    let names = member_names(&archive)?;
    let folder = names.iter().find_map(|name| {
        let folder = name.strip_suffix("/METADATA")?;
        (folder.ends_with(".dist-info") && !folder.contains('/')).then_some(folder)
    });
    let Some(folder) = folder else { return Ok(Licence::default()) };
    let metadata = read_text(&mut archive, &format!("{folder}/METADATA"))?.unwrap_or_default();
    let mut texts = Vec::new();
    for file in metadata.lines().filter_map(|line| line.strip_prefix("License-File:")) {
        for place in ["licenses/", ""] {
            texts.extend(read_text(&mut archive, &format!("{folder}/{place}{}", file.trim()))?);
        }
    }
    let text = (!texts.is_empty()).then(|| cut(texts.concat()));
    Ok(sbom::of_wheel(&metadata, text))
}

/// However many files a wheel names, all of them together are one text.
fn cut(mut text: String) -> String {
    let longest = usize::try_from(LONGEST_TEXT).unwrap_or(usize::MAX);
    text.truncate(text.floor_char_boundary(longest));
    text
}

/// A member's text, cut where it is very long; nothing if there is no such member.
fn read_text(archive: &mut ZipArchive<Reader>, name: &str) -> Result<Option<String>, InputError> {
    let Some(index) = archive.index_for_name(name) else { return Ok(None) };
    let mut bytes = Vec::new();
    let member = archive.by_index(index).map_err(unreadable)?;
    member.take(LONGEST_TEXT).read_to_end(&mut bytes)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn unreadable(error: zip::result::ZipError) -> InputError {
    InputError::Unreadable(error.into())
}

/// All names, in the order of the archive.
fn member_names(archive: &ZipArchive<Reader>) -> Result<Vec<String>, InputError> {
    let name = |index| -> Result<String, InputError> {
        let entry = archive.by_index_data(index).map_err(unreadable)?;
        let name = entry.name().map_err(unreadable)?.into_owned();
        let plain = name.strip_suffix('/').unwrap_or(&name);
        match check_path(plain) {
            Ok(()) if !plain.contains('\\') => Ok(name),
            _ => Err(InputError::Member { member: name, why: "leaves the wheel's root" }),
        }
    };
    (0..archive.len()).map(name).collect()
}

fn read_member(
    member: ZipFile<'_, Reader>,
    name: &str,
    spool: &mut Spool,
) -> Result<Option<Node>, InputError> {
    const KIND: u32 = 0o170_000;
    const REGULAR: u32 = 0o100_000;
    let mode = member.unix_mode().unwrap_or(0);
    if member.is_dir() {
        return Ok(None);
    }
    if !matches!(mode & KIND, 0 | REGULAR) {
        let why = "is a symbolic link or another special file";
        return Err(InputError::Member { member: name.to_owned(), why });
    }
    // The size in the directory is the wheel's word; the stream is cut where it goes beyond.
    let content = spool.add(&mut { member }, LARGEST_CONTENT)?;
    Ok(Some(Node::File { executable: mode & 0o111 != 0, content }))
}

fn destination(name: &str, folder: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    format!("{}/{file}", folder.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use proptest::prelude::*;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn wheel() -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["lib/a.so", "lib/b.so", "meta/LICENSE"] {
            zip.start_file(name, SimpleFileOptions::default()).unwrap();
            zip.write_all(name.repeat(50).as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn take(bytes: &[u8]) -> Result<Vec<(String, Node)>, InputError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.whl");
        std::fs::write(&path, bytes).unwrap();
        let placement = Placement { from: "lib/*".into(), to: "/opt".into() };
        read(&path, &[placement], &mut Spool::new(dir.path()).unwrap())
    }

    #[test]
    fn many_licence_files_are_cut_as_one_text() {
        let dir = tempfile::tempdir().unwrap();
        let mut zip = zip::ZipWriter::new(File::create(dir.path().join("x.whl")).unwrap());
        let metadata = "Name: a\nLicense-File: B\nLicense-File: C\n";
        for name in ["METADATA", "B", "C"] {
            let name = format!("a-1.dist-info/{name}");
            zip.start_file(&name, SimpleFileOptions::default()).unwrap();
            let text = "\u{20ac}".repeat(200_001);
            let content = if name.ends_with('A') { metadata } else { &text };
            zip.write_all(content.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let text = licence(&dir.path().join("x.whl")).unwrap().text.unwrap();
        assert_eq!(text.len() as u64, LONGEST_TEXT - LONGEST_TEXT % 3);
    }

    #[test]
    fn a_name_that_occurs_twice_is_refused() {
        let mut bytes = wheel();
        assert_eq!(take(&bytes).unwrap().len(), 2);
        while let Some(at) = bytes.windows(8).position(|w| w == b"lib/b.so") {
            bytes[at + 4] = b'a';
        }
        assert!(take(&bytes).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_wheels_never_panic_and_never_leave_the_folder(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
        ) {
            let mut bytes = wheel();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= value;
            }
            for (path, _) in take(&bytes).unwrap_or_default() {
                prop_assert!(path.starts_with("opt/") && check_path(&path).is_ok(), "{path}");
            }
        }
    }
}
