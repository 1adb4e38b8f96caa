//! Signatures of runs: made and judged by ybox and by cosign, through a registry and across an air gap.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use ybox_spec::config::Task;

use super::carry_run::with_json;
use super::cosign::{cosign, output, run, ybox};
use super::run_standin::Place;
use super::server::{Registry, have};
use super::signing::COSIGN;

/// A machine with keys `team` and `stranger` and a run `runs/train/exp`, and a registry that has its
/// image, signed by `team`.
struct Scene {
    place: Place,
    registry: Registry,
}

/// Another machine, which has nothing yet.
struct Elsewhere {
    dir: tempfile::TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        let registry = Registry::start()?;
        let place = Place::new();
        place.run(Task::Train, &["data=data/data.yaml", "epochs=2"]).unwrap();
        let scene = Self { place, registry };
        for name in ["team", "stranger"] {
            output(scene.here(&["key", "new", name]));
        }
        let image = scene.registry.place("images/cpu:v1");
        let push = ["push", &image, "--image", "ybox/cpu", "--insecure", "--sign", "team.key"];
        output(scene.here(&push));
        Some(scene)
    }

    fn here(&self, arguments: &[&str]) -> Output {
        let home = self.place.home();
        ybox(&self.place.work(), &[arguments, &["--home", home.to_str().unwrap()]].concat())
    }

    fn name(&self) -> String {
        self.registry.place("team/runs:exp")
    }

    fn folder(&self) -> PathBuf {
        self.place.work().join("runs/train/exp")
    }

    /// Pushes the run; its reference with the digest.
    fn push(&self, place: &str, key: Option<&str>) -> String {
        let mut arguments = vec!["push", "--run", "runs/train/exp", place, "--insecure"];
        arguments.extend(key.iter().flat_map(|key| ["--sign", *key]));
        output(self.here(&arguments)).trim_end().to_owned()
    }

    /// A policy that asks for a signature of `key` where runs are, and of `team` where the image is.
    fn policy(&self, key: &str) -> String {
        let (work, port) = (self.place.work(), self.registry.port);
        let rule = |repository: &str, key: &str| {
            let key = work.join(format!("{key}.pub"));
            format!("- {{repository: '{repository}', keys: [{}]}}\n", key.display())
        };
        let rules = [("team/*", key), ("images/*", "team")]
            .map(|(of, key)| rule(&format!("127.0.0.1:{port}/{of}"), key));
        let path = work.join(format!("{key}.yaml"));
        fs::write(&path, format!("rules:\n{}", rules.concat())).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn verified_by(&self, cosign: &Path, key: &str, place: &str) -> bool {
        let arguments = [&["verify", "--key", key], &COSIGN[..], &[place]].concat();
        run(cosign, &self.place.work(), &arguments).status.success()
    }
}

impl Elsewhere {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn ybox(&self, arguments: &[&str]) -> Output {
        ybox(self.dir.path(), arguments)
    }

    fn pull(&self, place: &str, policy: &[&str]) -> Output {
        self.ybox(&[&["pull", "--run", place, "--insecure"], policy].concat())
    }

    /// Sees that a command was refused, and that nothing is to be seen of what it was about.
    fn refused(&self, output: &Output, said: &str) {
        let error = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{said}: {error}");
        assert!(!self.dir.path().join("runs").exists());
        assert_eq!(super::cosign::output(self.ybox(&["images", "--json"])), "[]\n");
    }
}

/// The line about signatures, of a verification that ends with `status`.
fn verdict(output: &Output, status: i32) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    text.lines().find(|line| line.contains("signatures")).unwrap_or_default().to_owned()
}

/// Exchanges the files of the run for others that its record allows.
fn change_report(scene: &Scene) {
    fs::write(scene.folder().join("report.html"), "another").unwrap();
}

#[test]
fn cosign_verifies_a_run_that_ybox_signed_and_no_other() {
    let (Some(cosign), Some(scene)) = (cosign(), Scene::new()) else { return };
    let name = scene.name();
    scene.push(&name, None);
    assert!(!scene.verified_by(&cosign, "team.pub", &name));
    let signed = scene.push(&name, Some("team.key"));
    assert_eq!(scene.push(&name, Some("team.key")), signed);
    for place in [&name, &signed] {
        assert!(scene.verified_by(&cosign, "team.pub", place));
        assert!(!scene.verified_by(&cosign, "stranger.pub", place));
    }
    change_report(&scene);
    let changed = scene.push(&name, None);
    assert!(!scene.verified_by(&cosign, "team.pub", &name));
    assert!(scene.verified_by(&cosign, "team.pub", &signed));
    // What whoever may push can do: the one's signature under the other's tag.
    if !have("skopeo") {
        return;
    }
    let of = |pinned: &str| {
        let tag = pinned.rsplit_once(':').unwrap().1;
        format!("docker://{}", scene.registry.place(&format!("team/runs:sha256-{tag}.sig")))
    };
    let flags = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
    let [from, to] = [&signed, &changed].map(|pinned| of(pinned));
    let copy = [&flags[..], &[&from, &to]].concat();
    output(run(Path::new("skopeo"), &scene.place.work(), &copy));
    assert!(!scene.verified_by(&cosign, "team.pub", &name));
    let elsewhere = Elsewhere::new();
    let pulled = elsewhere.pull(&name, &["--trust", &scene.policy("team")]);
    elsewhere.refused(&pulled, "is not trusted: other-image: what ");
}

#[test]
fn ybox_accepts_a_run_that_cosign_signed() {
    let (Some(cosign), Some(scene)) = (cosign(), Scene::new()) else { return };
    let pinned = scene.push(&scene.name(), None);
    let (policy, elsewhere) = (scene.policy("team"), Elsewhere::new());
    let trust = ["--trust", policy.as_str()];
    let sign = |key: &str| {
        let flags = ["sign", "--yes", "--tlog-upload=false", "--allow-insecure-registry", "--key"];
        output(run(&cosign, &scene.place.work(), &[&flags[..], &[key, &pinned]].concat()));
    };
    sign("stranger.key");
    elsewhere.refused(&elsewhere.pull(&pinned, &trust), "other-keys: none of its 1 signatures");
    sign("team.key");
    let folder = output(elsewhere.pull(&pinned, &trust));
    let verify = elsewhere.ybox(&[&["verify", folder.trim_end()], &trust[..]].concat());
    assert!(verdict(&verify, 0).contains("signed by "), "{verify:?}");
    // Both tools' signatures stay beside each other.
    assert_eq!(scene.push(&scene.name(), Some("team.key")), pinned);
    for key in ["team.pub", "stranger.pub"] {
        assert!(scene.verified_by(&cosign, key, &pinned));
    }
}

#[test]
fn a_run_that_the_policy_refuses_is_neither_pulled_nor_replayed() {
    let Some(scene) = Scene::new() else { return };
    let (name, policy) = (scene.name(), scene.policy("team"));
    scene.push(&name, None);
    let elsewhere = Elsewhere::new();
    let both = |policy: &str, said: &str| {
        let trust = ["--trust", policy];
        elsewhere.refused(&elsewhere.pull(&name, &trust), said);
        let replay = [&["replay", &name, "--insecure"], &trust[..]].concat();
        elsewhere.refused(&elsewhere.ybox(&replay), said);
    };
    let repository = name.trim_end_matches(":exp");
    both(&policy, &format!("the run of {repository} is not trusted: not-signed: it is not signed"));
    scene.push(&name, Some("stranger.key"));
    both(&policy, "is not trusted: other-keys: none of its 1 signatures");
    let nothing = scene.place.work().join("nothing.yaml");
    fs::write(&nothing, "rules: []\n").unwrap();
    both(nothing.to_str().unwrap(), "is not trusted: no-rule: no rule of the trust policy");
    scene.push(&name, Some("team.key"));
    let trust = ["--trust", policy.as_str()];
    let pulled = elsewhere.pull(&name, &trust);
    assert!(!String::from_utf8_lossy(&pulled.stderr).contains("no trust policy"));
    output(pulled);
    let open = Elsewhere::new().pull(&name, &[]);
    let said = String::from_utf8_lossy(&open.stderr).into_owned();
    assert!(said.contains("there is no trust policy: no signature was checked"), "{said}");
    output(open);
}

#[test]
fn a_pulled_run_says_who_signed_it() {
    let Some(scene) = Scene::new() else { return };
    let name = scene.name();
    scene.push(&name, Some("team.key"));
    let elsewhere = Elsewhere::new();
    let folder = output(elsewhere.pull(&name, &[])).trim_end().to_owned();
    let verify = |more: &[&str]| elsewhere.ybox(&[&["verify", &folder], more].concat());
    let policies = ["team", "stranger"].map(|key| scene.policy(key));
    let [team, stranger] = policies.each_ref().map(|policy| ["--trust", policy.as_str()]);
    let said = verdict(&verify(&[]), 0);
    assert!(said.starts_with("--   signatures"), "{said}");
    assert!(said.contains("not checked: there is no trust policy"), "{said}");
    let key = scene.place.work().join("team.pub");
    let repository = name.trim_end_matches(":exp");
    let said = verdict(&verify(&team), 0);
    assert!(said.ends_with(&format!("signed by {}, for {repository}", key.display())), "{said}");
    let said = verdict(&verify(&stranger), 1);
    assert!(said.starts_with("BAD  signatures: other-keys: none of its 1 signatures"), "{said}");
    // Where it was signed, it is known too.
    assert!(
        verdict(&scene.here(&["verify", "runs/train/exp", team[0], team[1]]), 0).contains("ok")
    );
    // A report that was made again is no part of the record.
    let there = elsewhere.dir.path().join(&folder);
    fs::write(there.join("report.html"), "another").unwrap();
    verdict(&verify(&team), 0);
    let file = there.join("signatures.json");
    let kept = fs::read_to_string(&file).unwrap();
    for (from, to, said) in [
        ("docker-reference", "docker-references", "other-keys"),
        ("run.json", "run.jso2", "it has no record"),
        ("ybox.run-signatures/v1", "ybox.run-signatures/v2", "its form is"),
        (r#""repository":"#, r#""repository":"a","repository":"#, "not what ybox can read"),
        ("application/vnd.ybox.run.v1", "application/vnd.ybox.run.v2", "something else"),
    ] {
        fs::write(&file, kept.replacen(from, to, 1)).unwrap();
        let line = verdict(&verify(&team), 1);
        assert!(line.starts_with("BAD  signatures: ") && line.contains(said), "{said}: {line}");
    }
    // The signature of one run beside another.
    scene.place.run(Task::Train, &["data=data/data.yaml", "epochs=3"]).unwrap();
    fs::write(scene.folder().with_file_name("exp2").join("signatures.json"), &kept).unwrap();
    let other = scene.here(&["verify", "runs/train/exp2", team[0], team[1]]);
    let line = verdict(&other, 1);
    assert!(line.starts_with("BAD  signatures: expected sha256:"), "{line}");
}

#[test]
fn the_signatures_of_a_run_go_along_on_every_hop() {
    let Some(scene) = Scene::new() else { return };
    let policies = ["team", "stranger"].map(|key| scene.policy(key));
    let [team, stranger] = policies.each_ref().map(|policy| ["--trust", policy.as_str()]);
    output(scene.here(&["export", "runs/train/exp", "unsigned.tar"]));
    scene.push(&scene.name(), Some("team.key"));
    output(scene.here(&["export", "runs/train/exp", "hop0.tar"]));
    let file = |name: &str| scene.place.work().join(name).to_str().unwrap().to_owned();
    for hop in 0..2 {
        let there = Elsewhere::new();
        let from = file(&format!("hop{hop}.tar"));
        let import = |policy: &[&str]| there.ybox(&[&["import", &from], policy].concat());
        there.refused(&import(&stranger), "the run of 127.0.0.1:");
        there.refused(&import(&stranger), "is not trusted: other-keys");
        let folder = output(import(&team)).trim_end().to_owned();
        let verify = there.ybox(&["verify", &folder, team[0], team[1]]);
        assert!(verdict(&verify, 0).contains("signed by"), "{verify:?}");
        output(there.ybox(&["export", &folder, &file(&format!("hop{}.tar", hop + 1))]));
    }
    let bytes = |name: &str| fs::read(file(name)).unwrap();
    assert!(bytes("hop1.tar") == bytes("hop2.tar"), "nothing is added on the way");
    // The image is signed, the run is not.
    let unsigned = Elsewhere::new();
    let import = unsigned.ybox(&["import", &file("unsigned.tar"), team[0], team[1]]);
    let said = format!("the run of {} is not", scene.registry.place("images/cpu"));
    unsigned.refused(&import, &format!("{said} trusted: not-signed: it is not signed"));
}

#[test]
fn a_pulled_run_is_pushed_on_with_its_signatures() {
    let (Some(cosign), Some(scene)) = (cosign(), Scene::new()) else { return };
    scene.push(&scene.name(), Some("team.key"));
    let elsewhere = Elsewhere::new();
    let folder = output(elsewhere.pull(&scene.name(), &[])).trim_end().to_owned();
    let on = scene.registry.place("team/on:exp");
    output(elsewhere.ybox(&["push", "--run", &folder, &on, "--insecure"]));
    assert!(scene.verified_by(&cosign, "team.pub", &on));
    output(Elsewhere::new().pull(&on, &["--trust", &scene.policy("team")]));
}

#[test]
fn signatures_of_other_files_are_left_behind_and_refused() {
    let Some(scene) = Scene::new() else { return };
    let trust = ["--trust", &scene.policy("team")];
    scene.push(&scene.name(), Some("team.key"));
    output(scene.here(&["export", "runs/train/exp", "signed.tar"]));
    let archive = fs::read(scene.place.work().join("signed.tar")).unwrap();
    let elsewhere = Elsewhere::new();
    let import = |archive: &[u8]| {
        fs::write(elsewhere.dir.path().join("x.tar"), archive).unwrap();
        elsewhere.ybox(&["import", "x.tar", trust[0], trust[1]])
    };
    let at = |list: &Value, path: &str| {
        list["run"].as_array().unwrap().iter().position(|file| file["path"] == path).unwrap()
    };
    let other_report = with_json(&archive, "ybox.json", |list| {
        let (report, results) = (at(list, "report.html"), at(list, "results.csv"));
        for key in ["sha256", "size"] {
            list["run"][report][key] = list["run"][results][key].clone();
        }
    });
    elsewhere.refused(&import(&other_report), "other files than those that were signed");
    let twice = with_json(&archive, "ybox.json", |list| {
        let signatures = list["run"][at(list, "signatures.json")].clone();
        list["run"].as_array_mut().unwrap().push(signatures);
    });
    elsewhere.refused(&import(&twice), "other files than those that were signed");
    let damaged = with_json(&archive, "ybox.json", |list| {
        let (signatures, results) = (at(list, "signatures.json"), at(list, "results.csv"));
        list["run"][signatures]["sha256"] = list["run"][results]["sha256"].clone();
    });
    elsewhere.refused(&import(&damaged), "signatures.json is not what ybox can read");
    output(import(&archive));
    change_report(&scene);
    let export = scene.here(&["export", "runs/train/exp", "changed.tar"]);
    let said = String::from_utf8_lossy(&export.stderr).into_owned();
    assert!(said.contains("its signatures stay here"), "{said}");
    let carried =
        super::carry_run::members(&fs::read(scene.place.work().join("changed.tar")).unwrap());
    let list = &carried.iter().find(|(path, _)| path == "ybox.json").unwrap().1;
    assert!(!String::from_utf8_lossy(list).contains("signatures.json"));
}
