//! `ybox lock` against a signed Debian archive and a package index that are both small and local:
//! what it writes, what it keeps, and what it refuses.

// A test may panic, its setup included.
#![allow(clippy::unwrap_used)]

mod lock_archive;

use std::fs;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use lock_archive::{Archive, Key};
use ybox_spec::Digest;

const RECIPE: &str = r#"
schema: ybox.recipe/v1
variant: toy
base:
  archive: debian
  suites: [trixie, trixie-security]
  architecture: amd64
  packages: [libtwo, libone]
wheels:
  - {name: Some.Tool, version: "1.0", file: "*-any.whl", layer: tools, files: []}
trainer: {binary: target/ytrain, to: /ytrain}
presets: {from: configs, to: /configs}
entrypoint: [/ytrain]
"#;

const WHEEL: &[u8] = b"a wheel";

/// A project with the recipe `toy`, and the places that its inputs come from.
struct World {
    dir: tempfile::TempDir,
    debian: Archive,
}

impl World {
    fn new() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let debian = Archive::new(&dir.path().join("debian"), Key::new()?);
        let world = Self { dir, debian };
        world.write("project/docker/toy.yaml", RECIPE);
        world.publish("1.0", "1.0");
        world.debian.publish("trixie-security", &[], "");
        world.index("");
        Some(world)
    }

    /// libone and libtwo in these versions, where libtwo needs just that libone.
    fn publish(&self, one: &str, two: &str) {
        let depends = format!("libone (= {one}), libone (>> 0.1) | libnone");
        self.debian.publish("trixie", &[("libone", one, ""), ("libtwo", two, &depends)], "");
    }

    /// An HTML index with the wheel, its anchor having these further attributes.
    fn index(&self, attributes: &str) {
        let hash = Digest::of(WHEEL).hex();
        let anchor = |file: &str| {
            format!("<a {attributes} href=\"../../files/{file}#sha256={hash}\">{file}</a><br>\n")
        };
        let page = anchor("some_tool-1.0-py3-none-any.whl")
            + &anchor("some_tool-1.0-py3-none-win_amd64.whl")
            + &anchor("some_tool-1.1-py3-none-any.whl");
        self.write("simple/some-tool/index.html", &page);
        self.write("files/some_tool-1.0-py3-none-any.whl", std::str::from_utf8(WHEEL).unwrap());
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn lock_file(&self) -> String {
        fs::read_to_string(self.path("project/docker/toy.lock")).unwrap()
    }

    fn ybox(&self, arguments: &[&str]) -> String {
        self.ybox_with(arguments, &self.settings())
    }

    fn settings(&self) -> [(&'static str, PathBuf); 7] {
        [
            ("HOME", self.path("home")),
            ("YBOX_HOME", self.path("home/ybox")),
            ("YBOX_PROJECT", self.path("project")),
            ("YBOX_DEB_MIRROR", self.debian.root.clone()),
            ("YBOX_DEB_SECURITY_MIRROR", self.debian.root.clone()),
            ("YBOX_DEB_KEYRING", self.debian.keyring()),
            ("YBOX_PYTHON_INDEX", self.path("simple")),
        ]
    }

    /// What the command wrote and how it ended, without what differs from run to run.
    fn ybox_with(&self, arguments: &[&str], settings: &[(&str, PathBuf)]) -> String {
        let mut command = Command::cargo_bin("ybox").unwrap();
        let output = command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .args(arguments)
            .output()
            .unwrap();
        let text = |bytes: &[u8]| {
            String::from_utf8_lossy(bytes)
                .replace(&self.debian.keyring().display().to_string(), "KEYRING")
                .replace(&self.dir.path().display().to_string(), "DIR")
                .lines()
                .filter(|line| !line.starts_with("download") && !line.contains("gpgv:"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr)
        )
    }
}

fn in_a_world(test: impl FnOnce(World)) {
    // Says itself why it skips.
    if let Some(world) = World::new() {
        test(world);
    }
}

#[test]
fn locks_and_locks_again_to_the_same_bytes() {
    in_a_world(|world| {
        insta::assert_snapshot!("locks", world.ybox(&["lock", "toy"]));
        let first = world.lock_file();
        insta::assert_snapshot!("lock_file", first);
        insta::assert_snapshot!("locks_again", world.ybox(&["lock", "toy"]));
        fs::remove_file(world.path("project/docker/toy.lock")).unwrap();
        fs::remove_dir_all(world.path("home")).unwrap();
        world.ybox(&["lock", "toy"]);
        assert_eq!(world.lock_file(), first);
    });
}

#[test]
fn keeps_pins_until_told_otherwise() {
    in_a_world(|world| {
        world.ybox(&["lock"]);
        let first = world.lock_file();
        world.publish("1.1", "1.1~rc1");
        assert!(world.ybox(&["lock"]).ends_with("docker/toy.lock is up to date\n"));
        insta::assert_snapshot!("dry_run", world.ybox(&["lock", "--upgrade-all", "--dry-run"]));
        assert_eq!(world.lock_file(), first);
        let upgraded = world.ybox(&["lock", "--upgrade", "libone"]);
        insta::assert_snapshot!("upgrade_of_one", upgraded);
        insta::assert_snapshot!("upgrade_json", world.ybox(&["lock", "--json", "--upgrade-all"]));
    });
}

#[test]
fn refuses_an_upgrade_that_leaves_a_dependency_behind() {
    in_a_world(|world| {
        world.ybox(&["lock"]);
        world.publish("1.1", "1.1");
        let refused = world.ybox(&["lock", "--upgrade", "libtwo"]);
        insta::assert_snapshot!("pinned_dependency", refused);
    });
}

#[test]
fn refuses_packages_that_are_not_complete() {
    in_a_world(|world| {
        let recipe = RECIPE.replace("[libtwo, libone]", "[libtwo]");
        world.write("project/docker/toy.yaml", &recipe);
        insta::assert_snapshot!("unmet_dependency", world.ybox(&["lock"]));
    });
}

#[test]
fn takes_what_the_security_archive_has_newer() {
    in_a_world(|world| {
        world.debian.publish(
            "trixie-security",
            &[("libone", "1.0", ""), ("libtwo", "1.0+deb13u1", "libone")],
            "",
        );
        world.ybox(&["lock"]);
        let lock = world.lock_file();
        assert!(lock.contains("version: 1.0+deb13u1\n"), "{lock}");
        assert_eq!(lock.matches("archive: debian-security\n").count(), 1, "{lock}");
    });
}

#[test]
fn a_recipe_that_changed_makes_the_lock_stale() {
    in_a_world(|world| {
        insta::assert_snapshot!("check_unlocked", world.ybox(&["lock", "--check"]));
        world.ybox(&["lock"]);
        insta::assert_snapshot!("check_fits", world.ybox(&["lock", "--check"]));
        world.write("project/docker/toy.yaml", &RECIPE.replace('\n', "\r\n"));
        assert!(world.ybox(&["lock", "--check"]).starts_with("exit 0\n"));
        world.write("project/docker/toy.yaml", &RECIPE.replace("\"1.0\"", "\"1.1\""));
        insta::assert_snapshot!("check_stale", world.ybox(&["lock", "--check"]));
        insta::assert_snapshot!("check_stale_json", world.ybox(&["--json", "lock", "--check"]));
        insta::assert_snapshot!("fetch_stale", world.ybox(&["fetch", "toy"]));
    });
}

#[test]
fn a_release_file_that_was_changed_is_refused() {
    in_a_world(|world| {
        let path = world.debian.in_release("trixie");
        let signed = fs::read_to_string(&path).unwrap();
        fs::write(&path, signed.replace("Origin: Test", "Origin: Best")).unwrap();
        insta::assert_snapshot!("bad_signature", world.ybox(&["lock"]));
    });
}

#[test]
fn a_release_file_without_signature_or_with_a_stranger_s_is_refused() {
    in_a_world(|world| {
        let path = world.debian.in_release("trixie");
        let signed = fs::read_to_string(&path).unwrap();
        let text = signed.split("\n\n").nth(1).unwrap();
        fs::write(&path, text.split("-----BEGIN").next().unwrap()).unwrap();
        let refused = world.ybox(&["lock"]);
        assert!(refused.contains("`trixie` cannot be trusted"), "{refused}");
        fs::write(&path, &signed).unwrap();
        let stranger = Archive::new(&world.path("elsewhere"), Key::new().unwrap());
        let settings = [
            ("HOME", world.path("home")),
            ("YBOX_PROJECT", world.path("project")),
            ("YBOX_DEB_MIRROR", world.debian.root.clone()),
            ("YBOX_DEB_KEYRING", stranger.keyring()),
        ];
        let refused = world.ybox_with(&["lock"], &settings);
        assert!(refused.contains("`trixie` cannot be trusted"), "{refused}");
    });
}

#[test]
fn text_around_what_was_signed_does_not_count() {
    in_a_world(|world| {
        world.ybox(&["lock"]);
        let first = world.lock_file();
        let path = world.debian.in_release("trixie");
        let signed = fs::read_to_string(&path).unwrap();
        let forged =
            format!("Codename: trixie\nSHA256:\n {} 0 x\n\n{signed}", Digest::of(b"").hex());
        fs::write(&path, forged).unwrap();
        world.ybox(&["lock", "--upgrade-all"]);
        assert_eq!(world.lock_file(), first);
    });
}

#[test]
fn an_armored_keyring_does_too() {
    in_a_world(|world| {
        fs::write(world.path("key.asc"), world.debian.armored_key()).unwrap();
        let settings = [
            ("HOME", world.path("home")),
            ("YBOX_PROJECT", world.path("project")),
            ("YBOX_DEB_MIRROR", world.debian.root.clone()),
            ("YBOX_DEB_SECURITY_MIRROR", world.debian.root.clone()),
            ("YBOX_DEB_KEYRING", world.path("key.asc")),
            ("YBOX_PYTHON_INDEX", world.path("simple")),
        ];
        let said = world.ybox_with(&["lock"], &settings);
        assert!(said.ends_with("wrote docker/toy.lock\n"), "{said}");
    });
}

#[test]
fn an_index_that_is_not_the_signed_one_is_refused() {
    in_a_world(|world| {
        let folder = world.debian.suite("trixie").join("main/binary-amd64/by-hash/SHA256");
        let index = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        let mut content = fs::read(&index).unwrap();
        content[20] ^= 1;
        fs::write(&index, content).unwrap();
        let refused = world.ybox(&["lock"]);
        assert!(refused.contains("trixie main/binary-amd64/Packages.xz has the wrong content"));
        assert!(!world.path("project/docker/toy.lock").exists());
    });
}

#[test]
fn an_outdated_or_wrong_suite_is_refused() {
    in_a_world(|world| {
        let past = "Valid-Until: Sat, 28 Nov 2020 00:53:03 UTC\n";
        world.debian.publish("trixie", &[], past);
        insta::assert_snapshot!("expired", world.ybox(&["lock"]));
        world.debian.publish("sid", &[], "");
        fs::copy(world.debian.in_release("sid"), world.debian.in_release("trixie")).unwrap();
        insta::assert_snapshot!("wrong_suite", world.ybox(&["lock"]));
    });
}

#[test]
fn a_wheel_that_was_withdrawn_or_is_not_there_is_refused() {
    in_a_world(|world| {
        world.index("data-yanked=\"is broken\"");
        insta::assert_snapshot!("yanked", world.ybox(&["lock"]));
        world.index("");
        world.write("project/docker/toy.yaml", &RECIPE.replace("\"1.0\"", "\"2.0\""));
        insta::assert_snapshot!("no_version", world.ybox(&["lock"]));
        world.write("project/docker/toy.yaml", &RECIPE.replace("*-any.whl", "*"));
        insta::assert_snapshot!("ambiguous", world.ybox(&["lock"]));
    });
}

/// The recipe of `toy` as one of another variant, with a version of the tool that its makers have
/// in an index of their own.
fn own_version(recipe: &str) -> String {
    let unlocked = "unlocked: set YBOX_PYTHON_EXTRA_INDEX to the makers' index\n";
    recipe.replace("\"1.0\"", "1.0+cu126").replace("toy", "own") + unlocked
}

impl World {
    /// The makers' index, which has that version, and a 1.0 that is not the first index's.
    fn own_index(&self, folder: &str) {
        let file = |version: &str| format!("some_tool-{version}-py3-none-any.whl");
        let anchor = |version: &str, content: &str| {
            let hash = Digest::of(content.as_bytes()).hex();
            let href = file(&version.replace('+', "%2B"));
            self.write(&format!("{folder}/some-tool/{}", file(version)), content);
            format!("<a href=\"{href}#sha256={hash}\">{}</a><br>\n", file(version))
        };
        let page = anchor("1.0+cu126", "a wheel of theirs") + &anchor("1.0", "another wheel");
        self.write(&format!("{folder}/some-tool/index.html"), &page);
    }

    /// With these settings beside the usual ones.
    fn ybox_and(&self, arguments: &[&str], more: &[(&str, PathBuf)]) -> String {
        let settings = [&self.settings()[..], more].concat();
        self.ybox_with(arguments, &settings)
    }
}

#[test]
fn a_version_of_an_extra_index_is_locked_and_fetched_from_there() {
    in_a_world(|world| {
        world.write("project/docker/own.yaml", &own_version(RECIPE));
        world.own_index("own");
        insta::assert_snapshot!("no_extra_index", world.ybox(&["lock", "own"]));

        let extra = [("YBOX_PYTHON_EXTRA_INDEX", world.path("own"))];
        insta::assert_snapshot!("extra_index", world.ybox_and(&["lock", "own"], &extra));
        let lock = fs::read_to_string(world.path("project/docker/own.lock")).unwrap();
        assert!(lock.contains("file: some_tool-1.0+cu126-py3-none-any.whl\n"), "{lock}");
        assert!(lock.contains(&Digest::of(b"a wheel of theirs").to_string()), "{lock}");
        for package in ["libone", "libtwo"] {
            let deb = format!("debian/pool/main/{package}_1.0_amd64.deb");
            world.write(&deb, &format!("{package} 1.0"));
        }
        let fetched = world.ybox_and(&["fetch", "own"], &extra);
        assert!(fetched.starts_with("exit 0\n"), "{fetched}");

        // What the first index has comes from there, whatever others offer.
        world.ybox_and(&["lock", "toy"], &extra);
        assert!(world.lock_file().contains(&Digest::of(WHEEL).to_string()));
    });
}

#[test]
fn extra_indexes_are_those_of_pip_where_ybox_has_none() {
    in_a_world(|world| {
        world.write("project/docker/own.yaml", &own_version(RECIPE));
        world.own_index("a/own");
        let locked = |settings: &[(&str, PathBuf)]| {
            let said = world.ybox_and(&["lock", "own"], settings);
            let written = fs::remove_file(world.path("project/docker/own.lock")).is_ok();
            assert_eq!(said.ends_with("wrote docker/own.lock\n"), written, "{said}");
            written
        };
        let (there, empty) = (world.path("a/own"), world.path("b"));
        let both: PathBuf = format!("{} {}", empty.display(), there.display()).into();
        assert!(locked(&[("PIP_EXTRA_INDEX_URL", both.clone())]));
        assert!(locked(&[("YBOX_PYTHON_EXTRA_INDEX", both)]));
        let before = [("PIP_EXTRA_INDEX_URL", there.clone()), ("YBOX_PYTHON_EXTRA_INDEX", empty)];
        assert!(!locked(&before), "ybox's own setting comes before pip's");
        let list = format!("python_extra_indexes: [{}]\n", there.display());
        world.write("home/.config/ybox/config.yaml", &list);
        assert!(locked(&[]));
    });
}

#[test]
fn a_variant_whose_lock_is_the_user_s_to_make_says_how() {
    in_a_world(|world| {
        world.write("project/docker/own.yaml", &own_version(RECIPE));
        insta::assert_snapshot!("build_unlocked", world.ybox(&["build", "own"]));
        world.ybox(&["lock", "toy"]);
        insta::assert_snapshot!("check_without_it", world.ybox(&["lock", "--check"]));
        assert!(world.ybox(&["lock", "--check", "own"]).starts_with("exit 1\n"));
    });
}

#[test]
fn a_misspelt_key_of_a_recipe_is_told() {
    in_a_world(|world| {
        world.write("project/docker/toy.yaml", &RECIPE.replace("packages:", "package:"));
        insta::assert_snapshot!("misspelt_key", world.ybox(&["lock"]));
    });
}

#[test]
fn the_committed_locks_fit() {
    let home = tempfile::tempdir().unwrap();
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    Command::cargo_bin("ybox")
        .unwrap()
        .args(["lock", "--check", "cpu", "cuda13", "cuda13-slim", "--home"])
        .arg(home.path())
        .arg("--project")
        .arg(project)
        .assert()
        .success();
}
