//! What every image gets beside its packages: the links of the merged /usr, the few files that the
//! C library looks at, and mount points.

use super::content::Content;
use super::deb::{self, Package};
use super::input::InputError;
use super::layer::{Node, Tree};
use crate::lock::LockedDeb;

const ORIGIN: &str = "ybox";

const PASSWD: &str = "\
root:x:0:0:root:/root:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUP: &str = "root:x:0:\nnogroup:x:65534:\n";
const NSSWITCH: &str = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n";

/// Mount points: what the trainer reads and writes, and what engines mount.
const FOLDERS: [&str; 7] = ["data", "out", "weights", "proc", "sys", "dev", "run"];
const USR_MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// Version numbers of Debian's suites, for os-release.
const SUITES: [(&str, &str); 3] = [("bookworm", "12"), ("trixie", "13"), ("forky", "14")];

/// Puts in what no package brings.
pub fn furnish(tree: &mut Tree, suite: &str) -> Result<(), InputError> {
    for name in USR_MERGED {
        tree.insert(&format!("usr/{name}"), Node::Folder { sticky: false }, ORIGIN)?;
        tree.insert(name, Node::Link { target: format!("usr/{name}") }, ORIGIN)?;
    }
    for folder in FOLDERS {
        tree.insert(folder, Node::Folder { sticky: false }, ORIGIN)?;
    }
    tree.insert("tmp", Node::Folder { sticky: true }, ORIGIN)?;
    let files = [
        ("etc/passwd", PASSWD.to_owned()),
        ("etc/group", GROUP.to_owned()),
        ("etc/nsswitch.conf", NSSWITCH.to_owned()),
        ("etc/os-release", os_release(suite)),
    ];
    for (path, text) in files {
        tree.insert(path, text_file(text), ORIGIN)?;
    }
    Ok(())
}

/// Puts in a package's files, and its stanza where scanners look for it in images without dpkg.
pub fn install(tree: &mut Tree, deb: &LockedDeb, package: Package) -> Result<(), InputError> {
    check_identity(deb, &package.control)?;
    for (path, node) in package.nodes {
        tree.insert(&path, node, &deb.name)?;
    }
    let status = format!("var/lib/dpkg/status.d/{}", deb.name);
    tree.insert(&status, text_file(package.control), &deb.name)?;
    Ok(())
}

fn text_file(text: String) -> Node {
    Node::File { executable: false, content: Content::bytes(text) }
}

fn check_identity(deb: &LockedDeb, control: &str) -> Result<(), InputError> {
    let field = |name| deb::field(control, name).unwrap_or("?");
    let found = (field("Package"), field("Version"), field("Architecture"));
    let expected = (deb.name.as_str(), deb.version.as_str(), deb.architecture.as_str());
    if (found.0, found.1) == (expected.0, expected.1) && [expected.2, "all"].contains(&found.2) {
        return Ok(());
    }
    let text = |(name, version, architecture)| format!("{name} {version} {architecture}");
    Err(InputError::Other { expected: text(expected), found: text(found) })
}

fn os_release(suite: &str) -> String {
    let number = SUITES.iter().find(|(name, _)| *name == suite).map(|(_, number)| *number);
    let version = number.map_or_else(|| suite.to_owned(), |number| format!("{number} ({suite})"));
    let mut text =
        format!("PRETTY_NAME=\"Debian GNU/Linux {version}\"\nNAME=\"Debian GNU/Linux\"\n");
    if let Some(number) = number {
        text += &format!("VERSION_ID=\"{number}\"\n");
    }
    text + &format!("VERSION=\"{version}\"\nVERSION_CODENAME={suite}\nID=debian\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_says_which_debian_it_is() {
        let text = os_release("trixie");
        assert!(text.contains("PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"), "{text}");
        assert!(text.contains("VERSION_ID=\"13\"\nVERSION=\"13 (trixie)\"\n"), "{text}");
        assert!(!os_release("sid").contains("VERSION_ID"));
    }
}
