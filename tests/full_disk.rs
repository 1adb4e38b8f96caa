//! A full disk at every stage of a build and a run: a clear error, nothing corrupt, and the next try
//! with more room gives the digests of a first one. The disks are small tmpfs, each test in a mount
//! namespace of its own.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the tests of downloads use the rest")]
mod fetch_server;
#[path = "image/fixture.rs"]
#[allow(dead_code, reason = "the tests of images use the rest")]
mod fixture;
mod run_standin;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fetch_server::{Answer, Server};
use fixture::{Compression, Project, deb, ordinary_members, wheel};
use run_standin::{Place, files_below};
use ybox::fetch::{FetchError, Fetcher, Item};
use ybox::image::{Archive, ImageError};
use ybox::record::verify::Check;
use ybox::settings::Settings;
use ybox::ui::download::Progress;
use ybox::ui::{DISK_FULL, Failure};
use ybox_spec::Digest;
use ybox_spec::config::Task;

const PAGE: u64 = 4096;
/// More than anything here needs.
const AMPLE: u64 = 64 << 20;
/// Set for the tests that are run again inside a namespace.
const INSIDE: &str = "YBOX_TEST_MOUNT_NAMESPACE";

/// Runs the ignored test `name` of this file where it may mount.
fn in_namespace(name: &str) {
    let unshare = |program: &Path| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount"]).arg(program);
        command
    };
    let can = unshare(Path::new("true")).output().is_ok_and(|output| output.status.success());
    if !can {
        println!("skipped: no user and mount namespaces can be made here");
        return;
    }
    let output = unshare(&std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

#[test]
fn the_download_cache() {
    in_namespace("inside::the_download_cache");
}

#[test]
fn the_image_store() {
    in_namespace("inside::the_image_store");
}

#[test]
fn an_archive() {
    in_namespace("inside::an_archive");
}

#[test]
fn the_unpacked_image() {
    in_namespace("inside::the_unpacked_image");
}

#[test]
fn the_run_folder() {
    in_namespace("inside::the_run_folder");
}

#[test]
fn the_memory_of_digests() {
    in_namespace("inside::the_memory_of_digests");
}

/// A file system of its own at a folder.
struct Disk(PathBuf);

impl Disk {
    fn at(folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        mount(&["-t", "tmpfs", "-o", &format!("size={AMPLE}"), "none"], folder);
        Self(folder.to_owned())
    }

    /// Leaves so many pages free.
    fn leave(&self, pages: u64) {
        let of = rustix::fs::statvfs(&self.0).unwrap();
        let used = (of.f_blocks - of.f_bfree) * of.f_frsize;
        // A size of 0 would be no limit.
        self.resize((used + pages * PAGE).max(PAGE));
    }

    fn resize(&self, size: u64) {
        mount(&["-o", &format!("remount,size={size}"), "none"], &self.0);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) {
    assert!(std::env::var_os(INSIDE).is_some(), "run by the test of the same name only");
    let status = Command::new("mount").args(arguments).arg(folder).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

/// What every such error says; returns its first line.
fn assert_clear(failure: &Failure) -> String {
    let text = failure.to_string();
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(failure.hint.as_deref(), Some(DISK_FULL), "{text}");
    assert!([1, 2].contains(&failure.exit), "{text}");
    failure.what.clone()
}

fn noise(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// A project none of whose layers the ordinary one has, and whose largest does not compress.
fn project() -> Project {
    let wheel = wheel(&[("beta/lib/beta.so", 0o755, &noise(60_000))]);
    let mut members = ordinary_members();
    members.push(fixture::file("./usr/lib/more", "more"));
    let project = Project::with(&deb(&members, Compression::None), &wheel);
    fs::write(project.path("configs/c.yaml"), "model: c\n").unwrap();
    project
}

mod inside {
    use super::*;

    #[test]
    #[ignore = "run by the test of the same name, in a mount namespace"]
    fn the_download_cache() {
        let content = noise(300_000);
        let served = content.clone();
        let server = Server::start(move |_, request| Answer::range(&served, request));
        let url: reqwest::Url = server.url.parse().unwrap();
        let item = Item {
            name: "file.whl".into(),
            size: content.len() as u64,
            digest: Digest::of(&content),
        };
        let fetch = |home: &Path| -> Result<PathBuf, FetchError> {
            let settings = Settings::of_home(home.into());
            let fetcher = Fetcher::new(&settings).unwrap().with_progress(Progress::silent());
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(fetcher.file(&item, &url))
        };
        for pages in [1, 10, 70, 73] {
            let dir = tempfile::tempdir().unwrap();
            let disk = Disk::at(dir.path());
            fs::write(dir.path().join("mine"), "kept").unwrap();
            disk.leave(pages);
            let error = fetch(dir.path()).unwrap_err();
            let what = assert_clear(&error.into());
            let part = dir.path().join("cache/sha256").join(item.digest.hex() + ".part");
            let expected = "there is no room for file.whl (300000 bytes) in the download cache at";
            assert_eq!(what, format!("{expected} {}", part.display()));
            disk.resize(AMPLE);
            let path = fetch(dir.path()).unwrap();
            assert_eq!(fs::read(path).unwrap(), content);
            assert!(!part.exists());
            assert_eq!(fs::read(dir.path().join("mine")).unwrap(), b"kept");
        }
        // What was on the disk was not asked for again.
        assert!(server.requests().iter().any(|request| request.from > Some(200_000)));
    }

    #[test]
    #[ignore = "run by the test of the same name, in a mount namespace"]
    fn the_image_store() {
        let mut said = BTreeSet::new();
        // All layers are new.
        sweep_builds(&Project::new(), project, &mut said);
        // The large ones are there: what is small fails, too.
        sweep_builds(&project(), with_other_trainer, &mut said);
        println!("{said:#?}");
        assert_eq!(said.len(), 10, "{said:?}");
    }

    fn with_other_trainer() -> Project {
        let project = project();
        fs::write(project.path("trainer"), [fixture::trainer(), noise(5000)].concat()).unwrap();
        fs::write(project.path("configs/d.yaml"), noise(5000)).unwrap();
        project
    }

    /// Builds what `project` makes into the store of `before` with one more page of room each time,
    /// until it fits. Collects the first lines of the errors.
    fn sweep_builds(before: &Project, project: impl Fn() -> Project, said: &mut BTreeSet<String>) {
        let old = before.build().unwrap().image;
        let expected = project().build().unwrap().image;
        for pages in 0.. {
            let project = project();
            let build = || project.ybox(&["build", "tiny", "--no-load"]).output().unwrap();
            let disk = Disk::at(&project.path("home/store"));
            copy(&before.path("home/store"), &project.path("home/store"));
            disk.leave(pages);
            let output = build();
            if output.status.success() {
                return assert!(pages > 6, "it fits into {pages} pages");
            }
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!((output.status.code(), output.stdout), (Some(2), Vec::new()), "{error}");
            assert!(error.contains("No space left on device"), "{error}");
            assert!(error.ends_with(&format!("hint: {DISK_FULL}\n")), "{error}");
            let what = error.lines().find(|line| line.starts_with("error: ")).unwrap();
            let place = project.path("home/store").display().to_string();
            assert!(what.contains(&place), "{what}");
            said.insert(what.replace(&place, "STORE"));
            // The image before is whole, and nothing is left of what was not finished.
            let store = project.store();
            assert_eq!(store.images().unwrap().as_slice(), std::slice::from_ref(&old));
            assert_eq!(store.check(&old), []);
            assert_eq!(files_below(&project.path("home/store/tmp")), [""; 0].map(PathBuf::from));
            disk.resize(AMPLE);
            assert!(build().status.success());
            let image = store.find("tiny").unwrap();
            assert_eq!((image.manifest, image.config), (expected.manifest, expected.config));
            assert_eq!(store.check(&image), []);
        }
    }

    fn copy(from: &Path, to: &Path) {
        let from = from.join(".");
        assert!(Command::new("cp").arg("-a").args([&from, to]).status().unwrap().success());
    }

    #[test]
    #[ignore = "run by the test of the same name, in a mount namespace"]
    fn an_archive() {
        let project = project();
        let image = project.build().unwrap().image;
        let archive = Archive::new(&project.store(), &image, &BTreeSet::new()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::at(dir.path());
        let path = dir.path().join("image.tar");
        fs::write(&path, "the one before").unwrap();
        for pages in [0, 5, archive.size() / PAGE - 1] {
            disk.leave(pages);
            let error: ImageError = archive.write_file(&path).unwrap_err();
            let what = assert_clear(&error.into());
            let (place, size) = (path.display(), archive.size());
            assert_eq!(what, format!("cannot write the archive {place} ({size} bytes)"));
            assert_eq!(fs::read(&path).unwrap(), b"the one before");
            assert_eq!(files_below(dir.path()).len(), 1);
        }
        disk.resize(AMPLE);
        archive.write_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), archive.size());
    }

    #[test]
    #[ignore = "run by the test of the same name, in a mount namespace"]
    fn the_unpacked_image() {
        let project = project();
        let image = project.build().unwrap().image;
        let store = project.store();
        let disk = Disk::at(&project.path("home/rootfs"));
        let mut failures = 0;
        for pages in (0..).step_by(2) {
            disk.leave(pages);
            match store.unpack(&image) {
                Ok(_) => break,
                Err(error) => {
                    let what = assert_clear(&error.into());
                    let place = project.path("home/rootfs");
                    assert!(what.starts_with("cannot unpack "), "{what}");
                    assert!(what.ends_with(&format!(" in {}", place.display())), "{what}");
                    failures += 1;
                }
            }
            let left = fs::read_dir(project.path("home/rootfs")).unwrap();
            let names = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            assert_eq!(names.filter(|name| name.starts_with(".unpacking")).count(), 0);
        }
        assert!(failures > 5, "{failures}");
        disk.resize(AMPLE);
        assert_eq!(store.unpack(&image).unwrap().mended, None);
        let preset = project.path("home/rootfs").join(image.config.hex());
        assert_eq!(fs::read(preset.join("opt/ybox/configs/a.yaml")).unwrap(), b"model: a\n");
    }

    #[test]
    #[ignore = "run by the test of the same name, in a mount namespace"]
    fn the_memory_of_digests() {
        let place = Place::new();
        let disk = Disk::at(&place.home().join("manifests"));
        // Only files that have been as they are for a while are remembered.
        std::thread::sleep(Duration::from_millis(4100));
        fs::write(place.home().join("manifests/other"), noise(5000)).unwrap();
        disk.leave(0);
        let (result, talk) = place.run_talking(Task::Train, &["data=data/data.yaml", "epochs=2"]);
        let note = "note: digests of the data cannot be remembered: No space left on device";
        assert!(talk.contains(note), "{talk}");
        assert_eq!(files_below(&place.home().join("manifests")).len(), 1);
        assert!(place.verify(&result.unwrap().folder).passes());
        disk.resize(AMPLE);
        place.train();
        assert_eq!(files_below(&place.home().join("manifests")).len(), 2);
    }

    #[test]
    #[ignore = "run by the test of the same name, in a mount namespace"]
    fn the_run_folder() {
        let place = Place::new();
        let expected = place.train().record;
        let folder = place.work().join("small");
        let project = format!("project={}", folder.display());
        let settings = ["data=data/data.yaml", "epochs=2", "imgsz=320", &project];
        let mut said = BTreeSet::new();
        for pages in 0.. {
            let disk = Disk::at(&folder);
            let first = place.run(Task::Train, &settings).unwrap();
            disk.leave(pages);
            let result = place.run(Task::Train, &settings);
            disk.resize(AMPLE);
            assert!(place.verify(&first.folder).passes());
            let Err(failure) = result else {
                assert!(pages > 6, "it fits into {pages} pages");
                break;
            };
            said.insert(assert_clear(&failure).replace(&folder.display().to_string(), "RUNS"));
            let torn = |path: &PathBuf| path.extension().is_some_and(|e| e == "tmp");
            assert!(!files_below(&folder).iter().any(torn));
            let again = place.run(Task::Train, &settings).unwrap();
            assert_eq!(again.record.run_hash, expected.run_hash, "{pages} pages");
            assert_eq!(place.verify(&again.folder).items(Check::is_bad), [""; 0]);
        }
        println!("{said:#?}");
        assert!(said.len() >= 3, "{said:?}");
    }
}
