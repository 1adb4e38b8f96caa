//! A small project with everything that an image is made of: a package, a wheel, a trainer,
//! presets, recipe and lock.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Write};
use std::path::PathBuf;
use std::process::Command;

use tar::{EntryType, Header};
use ybox::fetch::Inputs;
use ybox::image::{Assembly, Built, BuiltLayer, ImageError, Store, Watch};
use ybox::lock::{Lock, LockedDeb, LockedWheel, Recipe};
use ybox_spec::Digest;
use zip::CompressionMethod;
use zip::write::SimpleFileOptions;

pub const RECIPE: &str = "\
schema: ybox.recipe/v1
variant: tiny
base:
  archive: debian
  suites: [trixie]
  architecture: amd64
  packages: [alpha]
  exclude: [usr/share/doc/**/changelog*, usr/share/lintian/**]
wheels:
  - name: beta
    version: 1.0
    file: '*.whl'
    layer: libraries
    files:
      - {from: 'beta/lib/*.so', to: /opt/ybox/lib}
trainer: {binary: trainer, to: /opt/ybox/bin/ytrain}
presets: {from: configs, to: /opt/ybox/configs}
environment: {LANG: C.UTF-8}
labels: {org.opencontainers.image.title: tiny}
entrypoint: [/opt/ybox/bin/ytrain]
supports: {capabilities: ['7.5', '8.0'], driver: 580.65.06}
";

const CONTROL: &str = "Package: alpha\nVersion: 1.0-1\nArchitecture: amd64\nDescription: first\n";

/// A member of a package.
pub struct Member<'a> {
    pub path: &'a str,
    pub kind: EntryType,
    pub mode: u32,
    /// Content, or the target of a link.
    pub content: &'a str,
}

pub fn file<'a>(path: &'a str, content: &'a str) -> Member<'a> {
    Member { path, kind: EntryType::Regular, mode: 0o644, content }
}

pub fn special<'a>(path: &'a str, kind: EntryType, content: &'a str) -> Member<'a> {
    Member { path, kind, mode: 0o755, content }
}

pub fn ordinary_members() -> Vec<Member<'static>> {
    let folder = |path| special(path, EntryType::Directory, "");
    vec![
        folder("./"),
        folder("./usr/"),
        folder("./usr/lib/"),
        special("./usr/lib/tool", EntryType::Regular, "#!/bin/sh\n"),
        special("./usr/lib/alias", EntryType::Symlink, "tool"),
        special("./usr/lib/twin", EntryType::Link, "./usr/lib/tool"),
        folder("./usr/share/doc/alpha/"),
        file("./usr/share/doc/alpha/copyright", "free"),
        file("./usr/share/doc/alpha/changelog.gz", "left out"),
        folder("./usr/share/lintian/"),
        file("./usr/share/lintian/alpha", "left out"),
    ]
}

#[derive(Clone, Copy)]
pub enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

/// A Debian package. Without compression its bytes are the same everywhere.
pub fn deb(members: &[Member], compression: Compression) -> Vec<u8> {
    let (suffix, data) = compress(&data_tar(members), compression);
    let control = data_tar(&[file("./control", CONTROL)]);
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in [
        ("debian-binary", &b"2.0\n"[..]),
        ("control.tar", &control),
        (&format!("data.tar{suffix}"), &data),
    ] {
        let header =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, content.len());
        bytes.extend(header.as_bytes());
        bytes.extend(content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

fn compress(tar: &[u8], compression: Compression) -> (&'static str, Vec<u8>) {
    match compression {
        Compression::None => ("", tar.to_vec()),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(tar).unwrap();
            (".gz", out.finish().unwrap())
        }
        Compression::Xz => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(tar).unwrap();
            (".xz", out.finish().unwrap())
        }
        Compression::Zstd => (".zst", zstd::encode_all(tar, 1).unwrap()),
    }
}

/// Names are written as they are, however hostile.
fn data_tar(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut header = Header::new_gnu();
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_mtime(1_700_000_000);
        header.set_uid(1000);
        header.set_gid(1000);
        let is_file = member.kind == EntryType::Regular;
        header.set_size(if is_file { member.content.len() as u64 } else { 0 });
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..member.path.len()].copy_from_slice(member.path.as_bytes());
        if !is_file {
            fields.linkname[..member.content.len()].copy_from_slice(member.content.as_bytes());
        }
        header.set_cksum();
        bytes.extend(header.as_bytes());
        if is_file {
            bytes.extend(member.content.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        }
    }
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A wheel of stored members. A mode of 0 is left unsaid.
pub fn wheel(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in members {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(zip::DateTime::default());
        if mode & 0o170_000 == 0o120_000 {
            zip.add_symlink(*name, std::str::from_utf8(content).unwrap(), options).unwrap();
        } else {
            zip.start_file(*name, options.unix_permissions(*mode)).unwrap();
            zip.write_all(content).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

pub fn ordinary_wheel() -> Vec<u8> {
    wheel(&[
        ("beta/lib/beta.so", 0o755, b"not really a library"),
        ("beta/lib/deep/gamma.so", 0o755, b"not asked for"),
        ("beta/readme", 0o644, b"not asked for"),
    ])
}

/// The smallest program: an ELF header for amd64 and nothing that it needs.
pub fn trainer() -> Vec<u8> {
    let mut bytes = vec![0; 64];
    bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    bytes[16] = 2; // ET_EXEC
    bytes[18] = 62; // EM_X86_64
    bytes[20] = 1; // EV_CURRENT
    bytes[52] = 64; // size of this header
    bytes[54] = 56; // size of a program header, of which there are none
    bytes[58] = 64; // size of a section header, of which there are none
    bytes
}

pub struct Project {
    dir: tempfile::TempDir,
    pub recipe: Recipe,
    pub lock: Lock,
    inputs: Inputs,
}

pub struct Silent;

impl Watch for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn done(&self, _: &BuiltLayer) {}
}

impl Project {
    pub fn new() -> Self {
        Self::with(&deb(&ordinary_members(), Compression::None), &ordinary_wheel())
    }

    pub fn with(deb: &[u8], wheel: &[u8]) -> Self {
        Self::of(RECIPE, deb, wheel)
    }

    pub fn of(recipe_text: &str, deb: &[u8], wheel: &[u8]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let recipe = Recipe::parse(recipe_text, "tiny.yaml".as_ref()).unwrap();
        let lock = lock(&recipe, deb, wheel);
        let cache = dir.path().join("home/cache/sha256");
        for folder in [&cache, &dir.path().join("docker"), &dir.path().join("configs")] {
            fs::create_dir_all(folder).unwrap();
        }
        let mut inputs = Inputs::default();
        for (name, bytes, files) in
            [("alpha", deb, &mut inputs.debs), ("beta", wheel, &mut inputs.wheels)]
        {
            let path = cache.join(Digest::of(bytes).hex());
            fs::write(&path, bytes).unwrap();
            *files = BTreeMap::from([(name.to_owned(), path)]);
        }
        fs::write(dir.path().join("docker/tiny.yaml"), recipe_text).unwrap();
        lock.write(&dir.path().join("docker/tiny.lock")).unwrap();
        fs::write(dir.path().join("trainer"), trainer()).unwrap();
        fs::write(dir.path().join("configs/a.yaml"), "model: a\n").unwrap();
        fs::write(dir.path().join("configs/b.yaml"), "model: b\n").unwrap();
        fs::write(dir.path().join("configs/notes.txt"), "not a preset").unwrap();
        Self { dir, recipe, lock, inputs }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn store(&self) -> Store {
        Store::under(&self.path("home")).unwrap()
    }

    pub fn blobs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("home/store/blobs/sha256")).unwrap();
        let mut names: Vec<_> =
            entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn build(&self) -> Result<Built, ImageError> {
        let store = self.store();
        let (trainer, presets) = (self.path("trainer"), self.path("configs"));
        Assembly::plan(&store, &self.recipe, &self.lock, &trainer, &presets)?.build(
            &self.inputs,
            &"ybox/tiny".parse().unwrap(),
            &Silent,
        )
    }

    /// The command, in this project, without a network.
    pub fn ybox(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("ybox"));
        command.args(["--offline", "--home"]).arg(self.path("home"));
        command.arg("--project").arg(self.dir.path()).args(arguments);
        command
    }
}

fn lock(recipe: &Recipe, deb: &[u8], wheel: &[u8]) -> Lock {
    Lock {
        schema: "ybox.lock/v1".into(),
        recipe: recipe.digest(),
        packer: ybox::image::PACKER_REVISION,
        debs: vec![LockedDeb {
            name: "alpha".into(),
            version: "1.0-1".into(),
            architecture: "amd64".into(),
            archive: "debian".into(),
            suite: "trixie".into(),
            path: "pool/alpha.deb".into(),
            size: deb.len() as u64,
            sha256: Digest::of(deb),
        }],
        wheels: vec![LockedWheel {
            name: "beta".into(),
            version: "1.0".into(),
            file: "beta-1.0-py3-none-any.whl".into(),
            size: wheel.len() as u64,
            sha256: Digest::of(wheel),
        }],
    }
}
