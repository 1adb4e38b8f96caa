//! Reading a Debian package (deb(5)): its control stanza and the files it brings. Nothing in it is
//! run. Which packages there are is the lock's business.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use globset::GlobSet;
use tar::{Archive, Entry, EntryType};

use super::ar;
use super::content::{Content, Spool};
use super::input::{Bounded, InputError, LARGEST_CONTENT};
use super::layer::{Node, check_path};

const LARGEST_CONTROL: u64 = 16 << 20;
/// What an xz decoder may take, above the 64 MiB of the strongest preset.
const XZ_MEMORY: u64 = 256 << 20;

/// The part of a package that goes into an image.
pub struct Package {
    /// The stanza as in the package, with one newline at its end.
    pub control: String,
    /// By path, without those that are left out.
    pub nodes: Vec<(String, Node)>,
}

/// Reads the package at `path`. Contents go to `spool`; paths that `exclude` matches are left out.
pub fn read(path: &Path, exclude: &GlobSet, spool: &mut Spool) -> Result<Package, InputError> {
    let mut archive = ar::Archive::new(BufReader::new(File::open(path)?));
    let (mut control, mut nodes) = (None, None);
    let mut first = true;
    while let Some(mut member) = archive.next_member()? {
        let name = member.name.clone();
        if first && name.trim_end_matches('/') != "debian-binary" {
            return Err(InputError::Missing("`debian-binary` at its beginning".into()));
        }
        first = false;
        if let Some(suffix) = name.strip_prefix("control.tar") {
            control = Some(read_control(decompressed(suffix, &mut member, LARGEST_CONTROL)?)?);
        } else if let Some(suffix) = name.strip_prefix("data.tar") {
            let data = decompressed(suffix, &mut member, LARGEST_CONTENT)?;
            nodes = Some(read_data(data, exclude, spool)?);
        }
    }
    match (control, nodes) {
        (Some(control), Some(nodes)) => Ok(Package { control, nodes }),
        (None, _) => Err(InputError::Missing("control stanza".into())),
        (_, None) => Err(InputError::Missing("data".into())),
    }
}

/// The value of a field of a control stanza.
pub fn field<'a>(control: &'a str, name: &str) -> Option<&'a str> {
    control.lines().find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn decompressed<'a>(
    suffix: &str,
    member: &'a mut impl Read,
    limit: u64,
) -> Result<Bounded<Box<dyn Read + 'a>>, InputError> {
    let reader: Box<dyn Read + 'a> = match suffix.trim_end_matches('/') {
        "" => Box::new(member),
        ".gz" => Box::new(flate2::read::MultiGzDecoder::new(member)),
        ".xz" => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, 0)
                .map_err(|e| InputError::Unreadable(e.into()))?;
            Box::new(liblzma::read::XzDecoder::new_stream(member, stream))
        }
        ".zst" => Box::new(zstd::Decoder::new(member)?),
        _ => return Err(InputError::Missing(format!("compression that ybox knows: `{suffix}`"))),
    };
    Ok(Bounded::new(reader, limit))
}

fn read_control(tar: impl Read) -> Result<String, InputError> {
    for entry in Archive::new(tar).entries()? {
        let mut entry = entry?;
        if entry.path_bytes().as_ref() == b"./control" || entry.path_bytes().as_ref() == b"control"
        {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            return Ok(format!("{}\n", text.trim_end()));
        }
    }
    Err(InputError::Missing("control stanza".into()))
}

fn read_data(
    tar: impl Read,
    exclude: &GlobSet,
    spool: &mut Spool,
) -> Result<Vec<(String, Node)>, InputError> {
    let mut nodes = Vec::new();
    let mut files = HashMap::new();
    for entry in Archive::new(tar).entries()? {
        let mut entry = entry?;
        let Some(path) = member_path(&entry)? else { continue };
        let folder = entry.header().entry_type() == EntryType::Directory;
        let left_out = exclude.is_match(if folder { format!("{path}/") } else { path.clone() });
        if let Some(node) = read_member(&mut entry, &path, left_out, &mut files, spool)? {
            nodes.push((path, node));
        }
    }
    Ok(nodes)
}

/// The member's path relative to the root; nothing for the root itself.
fn member_path(entry: &Entry<impl Read>) -> Result<Option<String>, InputError> {
    let bytes = entry.path_bytes();
    let refuse = |why| InputError::Member { member: String::from_utf8_lossy(&bytes).into(), why };
    let path = std::str::from_utf8(&bytes).map_err(|_| refuse("is not named in UTF-8"))?;
    let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
    if path.is_empty() || path == "." {
        return Ok(None);
    }
    check_path(path).map_err(|_| refuse("leaves the image's root"))?;
    Ok(Some(path.to_owned()))
}

/// What a member becomes, if it is not left out.
fn read_member(
    entry: &mut Entry<impl Read>,
    path: &str,
    left_out: bool,
    files: &mut HashMap<String, (bool, Content)>,
    spool: &mut Spool,
) -> Result<Option<Node>, InputError> {
    let refuse = |why| InputError::Member { member: path.to_owned(), why };
    let node = match entry.header().entry_type() {
        EntryType::Directory => Node::Folder { sticky: false },
        EntryType::Symlink => Node::Link { target: link_target(entry, path)? },
        EntryType::Regular | EntryType::Continuous if left_out => return Ok(None),
        EntryType::Regular | EntryType::Continuous => {
            let executable = entry.header().mode()? & 0o111 != 0;
            let content = spool.add(entry, LARGEST_CONTENT)?;
            files.insert(path.to_owned(), (executable, content.clone()));
            Node::File { executable, content }
        }
        EntryType::Link => {
            let target = link_name(entry, path)?;
            let target = target.strip_prefix("./").unwrap_or(&target);
            match files.get(target) {
                Some((executable, content)) => {
                    Node::File { executable: *executable, content: content.clone() }
                }
                None if left_out => return Ok(None),
                None => return Err(refuse("is a hard link to what is not in the image")),
            }
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            return Err(refuse("is a device node or pipe"));
        }
        _ => return Err(refuse("is of a kind that packages don't have")),
    };
    Ok((!left_out).then_some(node))
}

fn link_name(entry: &Entry<impl Read>, path: &str) -> Result<String, InputError> {
    let refuse = |why| InputError::Member { member: path.to_owned(), why };
    let name = entry.link_name_bytes().ok_or_else(|| refuse("is a link to nowhere"))?;
    String::from_utf8(name.into_owned()).map_err(|_| refuse("links to a name not in UTF-8"))
}

/// The target of a symbolic link; one that climbs above the root is refused.
fn link_target(entry: &Entry<impl Read>, path: &str) -> Result<String, InputError> {
    let target = link_name(entry, path)?;
    let folder =
        if target.starts_with('/') { "" } else { path.rsplit_once('/').map_or("", |p| p.0) };
    let mut depth = folder.split('/').filter(|c| !c.is_empty()).count();
    for component in target.split('/') {
        match component {
            "" | "." => {}
            ".." if depth == 0 => {
                let why = "is a symbolic link that leaves the image's root";
                return Err(InputError::Member { member: path.to_owned(), why });
            }
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    if target.is_empty() || target.contains('\0') {
        let why = "is a symbolic link to nowhere";
        return Err(InputError::Member { member: path.to_owned(), why });
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;
    use tar::Header;

    use super::*;

    fn tar_of(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn package() -> Vec<u8> {
        let mut data = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        data.write_all(&tar_of(&[("./usr/lib/a", "content"), ("./usr/b", "more")])).unwrap();
        let control = tar_of(&[("./control", "Package: a\nVersion: 1\n")]);
        ar::tests::archive(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control),
            ("data.tar.gz", &data.finish().unwrap()),
        ])
    }

    fn read_bytes(bytes: &[u8]) -> Result<Package, InputError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.deb");
        std::fs::write(&path, bytes).unwrap();
        read(&path, &GlobSet::empty(), &mut Spool::new(dir.path()).unwrap())
    }

    #[test]
    fn reads_stanza_and_files() {
        let package = read_bytes(&package()).unwrap();
        assert_eq!(field(&package.control, "version"), Some("1"));
        let paths: Vec<_> = package.nodes.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["usr/lib/a", "usr/b"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_packages_never_panic_and_never_leave_the_root(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
        ) {
            let mut bytes = package();
            for (at, value) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= value;
            }
            if let Ok(package) = read_bytes(&bytes) {
                prop_assert!(package.nodes.iter().all(|(path, _)| check_path(path).is_ok()));
            }
        }
    }
}
