//! The one tar writer. Whatever the order, owner, time or permissions of what goes in, the same
//! names and contents give the same bytes:
//!
//! - entries sorted by path, byte by byte; every parent folder is there, once, before its children;
//! - paths without a leading `./`; folders end in `/`;
//! - GNU headers; a name or link target over 100 bytes is put before its entry as a GNU long name;
//! - user and group 0 without names, time 0, no extended attributes;
//! - modes 0755 (folders, executables), 0644 (files), 0777 (symbolic links), 01777 (`/tmp`);
//! - no hard links: each is a copy of its target;
//! - two zero blocks at the end and no further padding.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tar::{EntryType, Header};

use super::content::Content;

/// Revision of the bytes that this packer writes for the same inputs. Raise it, and the golden
/// digests with it, when any of these change:
/// - this file's rules above;
/// - the version of the zstd library, the level, or whether workers are used (`pack`);
/// - which members of a package or wheel are taken, and how they are renamed (`deb`, `wheel`);
/// - the files that every image gets (`base`), the order of layers (`assemble`);
/// - what stand-ins are made of (`stand_in`, `shared_object`);
/// - the fields of config or manifest, or how they are serialised (`oci`).
pub const PACKER_REVISION: u32 = 1;

const BLOCK: u64 = 512;
const NAME: usize = 100;
const LONGEST_PATH: usize = 4096;

/// What is at a path.
#[derive(Clone)]
pub enum Node {
    Folder { sticky: bool },
    File { executable: bool, content: Content },
    Link { target: String },
}

/// Why something cannot be put into a layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    #[error("`{0}` is not a path inside an image")]
    BadPath(String),
    #[error("{first} and {second} both bring {path}")]
    Conflict { path: String, first: String, second: String },
    #[error("{second} brings {path}, but {parent} is not a folder in {first}")]
    NotAFolder { path: String, parent: String, first: String, second: String },
}

struct Entry {
    node: Node,
    origin: String,
}

/// The files of one layer, by path.
#[derive(Default)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `node` at `path` (relative to the root), and folders above it where there are none.
    /// `origin` says in errors whose file it is. Folders may be brought several times, all else
    /// once.
    pub fn insert(&mut self, path: &str, node: Node, origin: &str) -> Result<(), TreeError> {
        check_path(path)?;
        for (end, _) in path.match_indices('/') {
            self.insert_parent(&path[..end], path, origin)?;
        }
        match (self.entries.get_mut(path), node) {
            (None, node) => {
                self.entries.insert(path.into(), Entry { node, origin: origin.into() });
                Ok(())
            }
            (Some(Entry { node: Node::Folder { sticky }, .. }), Node::Folder { sticky: too }) => {
                *sticky |= too;
                Ok(())
            }
            (Some(there), _) => Err(TreeError::Conflict {
                path: path.into(),
                first: there.origin.clone(),
                second: origin.into(),
            }),
        }
    }

    fn insert_parent(&mut self, parent: &str, path: &str, origin: &str) -> Result<(), TreeError> {
        match self.entries.get(parent) {
            None => {
                let node = Node::Folder { sticky: false };
                self.entries.insert(parent.into(), Entry { node, origin: origin.into() });
                Ok(())
            }
            Some(Entry { node: Node::Folder { .. }, .. }) => Ok(()),
            Some(there) => Err(TreeError::NotAFolder {
                path: path.into(),
                parent: parent.into(),
                first: there.origin.clone(),
                second: origin.into(),
            }),
        }
    }

    /// Sorted by path.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), &entry.node))
    }

    pub fn node(&self, path: &str) -> Option<&Node> {
        self.entries.get(path).map(|entry| &entry.node)
    }

    /// Bytes that `write` will write.
    pub fn tar_size(&self) -> u64 {
        self.nodes().map(|(path, node)| entry_size(path, node)).sum::<u64>() + 2 * BLOCK
    }

    /// Writes the layer as a tar stream.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for (path, node) in self.nodes() {
            write_entry(out, path, node)?;
        }
        out.write_all(&[0; 2 * BLOCK as usize])
    }
}

/// Whether `path` is relative, without `.`, `..` and empty components.
pub fn check_path(path: &str) -> Result<(), TreeError> {
    let component = |c: &str| !matches!(c, "" | "." | "..") && !c.contains('\0');
    if path.len() <= LONGEST_PATH && path.split('/').all(component) {
        Ok(())
    } else {
        Err(TreeError::BadPath(path.into()))
    }
}

fn entry_size(path: &str, node: &Node) -> u64 {
    let long = |name: usize| {
        if name > NAME { BLOCK + padded(name as u64 + 1) } else { 0 }
    };
    BLOCK
        + match node {
            Node::Folder { .. } => long(path.len() + 1),
            Node::File { content, .. } => long(path.len()) + padded(content.size()),
            Node::Link { target } => long(path.len()) + long(target.len()),
        }
}

fn padded(size: u64) -> u64 {
    size.next_multiple_of(BLOCK)
}

fn write_entry(out: &mut impl Write, path: &str, node: &Node) -> io::Result<()> {
    match node {
        Node::Folder { sticky } => {
            let mode = if *sticky { 0o1777 } else { 0o755 };
            write_header(out, EntryType::Directory, &format!("{path}/"), "", mode, 0)
        }
        Node::Link { target } => write_header(out, EntryType::Symlink, path, target, 0o777, 0),
        Node::File { executable, content } => {
            let mode = if *executable { 0o755 } else { 0o644 };
            write_header(out, EntryType::Regular, path, "", mode, content.size())?;
            content.copy_to(out)?;
            write_padding(out, content.size())
        }
    }
}

fn write_header(
    out: &mut impl Write,
    kind: EntryType,
    path: &str,
    target: &str,
    mode: u32,
    size: u64,
) -> io::Result<()> {
    write_long_name(out, EntryType::GNULongLink, target)?;
    write_long_name(out, EntryType::GNULongName, path)?;
    write_block(out, kind, path, target, mode, size)
}

fn write_long_name(out: &mut impl Write, kind: EntryType, name: &str) -> io::Result<()> {
    if name.len() <= NAME {
        return Ok(());
    }
    let size = name.len() as u64 + 1;
    write_block(out, kind, "././@LongLink", "", 0o644, size)?;
    out.write_all(name.as_bytes())?;
    out.write_all(&[0])?;
    write_padding(out, size)
}

fn write_block(
    out: &mut impl Write,
    kind: EntryType,
    path: &str,
    target: &str,
    mode: u32,
    size: u64,
) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    let fields = header.as_gnu_mut().expect("the header was made as a GNU header");
    put(&mut fields.name, path);
    put(&mut fields.linkname, target);
    header.set_cksum();
    out.write_all(header.as_bytes())
}

/// As much of `text` as fits: the rest is in a long name before.
fn put(field: &mut [u8; NAME], text: &str) {
    let length = text.len().min(NAME);
    field[..length].copy_from_slice(&text.as_bytes()[..length]);
}

fn write_padding(out: &mut impl Write, size: u64) -> io::Result<()> {
    let padding = (padded(size) - size) as usize;
    out.write_all(&[0; BLOCK as usize][..padding])
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn file(bytes: &str) -> Node {
        Node::File { executable: false, content: Content::bytes(bytes) }
    }

    fn tar_of(tree: &Tree) -> Vec<u8> {
        let mut out = Vec::new();
        tree.write(&mut out).unwrap();
        assert_eq!(out.len() as u64, tree.tar_size());
        out
    }

    #[test]
    fn order_of_insertion_does_not_matter() {
        let items = [("b/z", file("z")), ("b.c", file("c")), ("a/long", file(&"x".repeat(600)))];
        let mut forwards = Tree::new();
        let mut backwards = Tree::new();
        for (path, node) in &items {
            forwards.insert(path, node.clone(), "x").unwrap();
        }
        for (path, node) in items.iter().rev() {
            backwards.insert(path, node.clone(), "y").unwrap();
        }
        assert_eq!(tar_of(&forwards), tar_of(&backwards));
        let paths: Vec<_> = forwards.nodes().map(|(p, _)| p.to_owned()).collect();
        assert_eq!(paths, ["a", "a/long", "b", "b.c", "b/z"]);
    }

    #[test]
    fn is_read_back_by_an_independent_reader_whatever_the_length_of_names() {
        let mut tree = Tree::new();
        for length in [98, 99, 100, 101, 300] {
            let name = "n".repeat(length);
            tree.insert(&format!("d{length}/{name}"), file(&name), "t").unwrap();
            tree.insert(&format!("l{length}"), Node::Link { target: name.clone() }, "t").unwrap();
            tree.insert(&name, Node::Folder { sticky: true }, "t").unwrap();
        }
        let bytes = tar_of(&tree);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = 0;
        for (entry, (path, node)) in archive.entries().unwrap().zip(tree.nodes()) {
            let mut entry = entry.unwrap();
            assert_eq!(entry.path().unwrap().to_str().unwrap().trim_end_matches('/'), path);
            assert_eq!((entry.header().uid().unwrap(), entry.header().mtime().unwrap()), (0, 0));
            match node {
                Node::Folder { sticky } => {
                    let mode = if *sticky { 0o1777 } else { 0o755 };
                    assert_eq!(entry.header().mode().unwrap(), mode);
                }
                Node::Link { target } => {
                    assert_eq!(entry.link_name().unwrap().unwrap().to_str().unwrap(), target);
                }
                Node::File { .. } => {
                    let mut text = String::new();
                    entry.read_to_string(&mut text).unwrap();
                    assert!(path.ends_with(&text));
                }
            }
            seen += 1;
        }
        assert_eq!(seen, tree.nodes().count());
    }

    #[test]
    fn refuses_conflicts_and_paths_that_leave_the_image() {
        let mut tree = Tree::new();
        tree.insert("usr/lib/a", file("a"), "one").unwrap();
        tree.insert("lib", Node::Link { target: "usr/lib".into() }, "base").unwrap();
        let conflict = tree.insert("usr/lib/a", file("a"), "two").unwrap_err();
        assert_eq!(conflict.to_string(), "one and two both bring usr/lib/a");
        assert!(matches!(
            tree.insert("lib/b", file("b"), "two"),
            Err(TreeError::NotAFolder { .. })
        ));
        assert!(tree.insert("usr/lib/a/b", file("b"), "two").is_err());
        assert!(tree.insert("usr/lib", file("b"), "two").is_err());
        for path in ["", "/etc", "../x", "a/../../x", "a//b", "./a", "a/", "a\0b"] {
            assert!(
                matches!(tree.insert(path, file(""), "x"), Err(TreeError::BadPath(_))),
                "{path}"
            );
        }
    }
}
