//! A small Debian archive in a folder, signed with a throwaway key.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ybox_spec::Digest;

/// A package of the archive: name, version, dependencies.
pub type Package<'a> = (&'a str, &'a str, &'a str);

pub struct Archive {
    pub root: PathBuf,
    key: Key,
}

/// A signing key in a keyring of its own.
pub struct Key {
    home: tempfile::TempDir,
}

impl Key {
    /// A fresh key; `None` if there is no gpg to make it, or no gpgv to check what it signs.
    pub fn new() -> Option<Self> {
        let there = |tool| Command::new(tool).arg("--version").output().is_ok();
        if !there("gpg") || !there("gpgv") {
            println!("skipped: there is no gpg and gpgv");
            return None;
        }
        // gpg's agent puts a socket there, whose path must be short.
        let key = Self { home: tempfile::Builder::new().prefix("k").tempdir_in("/tmp").unwrap() };
        key.gpg(&["--passphrase", "", "--quick-generate-key", "Archive", "ed25519", "sign"], b"");
        let public = key.gpg(&["--export"], b"");
        fs::write(key.keyring(), public).unwrap();
        Some(key)
    }

    pub fn keyring(&self) -> PathBuf {
        self.home.path().join("keyring.gpg")
    }

    pub fn armored(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export"], b"")
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut gpg = Command::new("gpg")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--batch", "--quiet", "--no-tty", "--pinentry-mode", "loopback"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        gpg.stdin.take().unwrap().write_all(input).unwrap();
        let output = gpg.wait_with_output().unwrap();
        assert!(output.status.success(), "gpg {arguments:?}");
        output.stdout
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "gpg-agent"])
            .status();
    }
}

impl Archive {
    pub fn new(root: &Path, key: Key) -> Self {
        Self { root: root.into(), key }
    }

    pub fn keyring(&self) -> PathBuf {
        self.key.keyring()
    }

    pub fn armored_key(&self) -> Vec<u8> {
        self.key.armored()
    }

    /// Publishes a suite with these packages; `fields` are more lines of its Release file.
    pub fn publish(&self, suite: &str, packages: &[Package], fields: &str) {
        let index: String = packages.iter().map(stanza).collect();
        let mut compressed = Vec::new();
        let mut xz = liblzma::write::XzEncoder::new(&mut compressed, 6);
        xz.write_all(index.as_bytes()).unwrap();
        xz.finish().unwrap();
        let folder = self.suite(suite).join("main/binary-amd64");
        let by_hash = folder.join("by-hash/SHA256");
        fs::create_dir_all(&by_hash).unwrap();
        let hash = Digest::of(&compressed).hex();
        fs::write(folder.join("Packages.xz"), &compressed).unwrap();
        fs::write(by_hash.join(&hash), &compressed).unwrap();
        let release = format!(
            "Origin: Test\nCodename: {suite}\nAcquire-By-Hash: yes\n{fields}SHA256:\n \
             {hash} {} main/binary-amd64/Packages.xz\n",
            compressed.len()
        );
        fs::write(self.in_release(suite), self.key.gpg(&["--clearsign"], release.as_bytes()))
            .unwrap();
    }

    pub fn suite(&self, suite: &str) -> PathBuf {
        self.root.join("dists").join(suite)
    }

    pub fn in_release(&self, suite: &str) -> PathBuf {
        self.suite(suite).join("InRelease")
    }
}

fn stanza((name, version, depends): &Package) -> String {
    let content = format!("{name} {version}");
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nDepends: {depends}\n\
         Filename: pool/main/{name}_{version}_amd64.deb\nSize: {}\nSHA256: {}\n\n",
        content.len(),
        Digest::of(content.as_bytes()).hex()
    )
}
