//! Signing and verifying through a real registry, with cosign on the other side.

use std::fs;
use std::path::Path;
use std::process::Output;

use ybox::image::SPDX;
use ybox_spec::Digest;

use super::cosign::{cosign, output, run, ybox};
use super::fixture::Project;
use super::server::Registry;

/// A machine with keys `team` and `stranger`, an image `ybox/tiny`, and a registry.
pub struct Scene {
    project: Project,
    pub registry: Registry,
}

/// What cosign has to be told: there is no log, and the registry has no TLS.
pub const COSIGN: [&str; 3] =
    ["--insecure-ignore-tlog=true", "--allow-insecure-registry", "--offline=true"];

impl Scene {
    pub fn new() -> Option<Self> {
        let registry = Registry::start()?;
        let project = Project::new();
        project.build().unwrap();
        for name in ["team", "stranger"] {
            output(ybox(&project.path("."), &["key", "new", name]));
        }
        Some(Self { project, registry })
    }

    pub fn folder(&self) -> std::path::PathBuf {
        self.project.path(".")
    }

    pub fn push(&self, place: &str, key: Option<&str>) {
        let mut arguments = vec!["push", place, "--image", "ybox/tiny", "--insecure"];
        arguments.extend(key.iter().flat_map(|key| ["--sign", *key]));
        output(ybox(&self.folder(), &arguments));
    }

    pub fn policy(&self, rules: &str) {
        fs::create_dir_all(self.project.path("config/ybox")).unwrap();
        let keys = self.folder();
        let rules = rules.replace("KEYS", keys.to_str().unwrap());
        let rules = rules.replace("HOST", &format!("127.0.0.1:{}", self.registry.port));
        fs::write(self.project.path("config/ybox/trust.yaml"), rules).unwrap();
    }

    /// Pulls into an empty store.
    fn pull(&self, place: &str) -> Output {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().to_str().unwrap();
        ybox(&self.folder(), &["pull", place, "--insecure", "--home", home])
    }

    fn verified_by(&self, cosign: &Path, verb: &[&str], key: &str, place: &str) -> bool {
        let arguments = [&verb[..1], &["--key", key], &verb[1..], &COSIGN, &[place]].concat();
        run(cosign, &self.folder(), &arguments).status.success()
    }
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn cosign_verifies_what_ybox_signed_and_nothing_else() {
    let (Some(cosign), Some(scene)) = (cosign(), Scene::new()) else { return };
    let place = scene.registry.place("team/tiny:v1");
    scene.push(&place, None);
    let verified = |verb: &[&str], key| scene.verified_by(&cosign, verb, key, &place);
    assert!(!verified(&["verify"], "team.pub"));
    scene.push(&place, Some("team.key"));
    assert!(verified(&["verify"], "team.pub"));
    assert!(!verified(&["verify"], "stranger.pub"));
    for kind in ["slsaprovenance1", "spdxjson"] {
        assert!(verified(&["verify-attestation", "--type", kind], "team.pub"), "{kind}");
        assert!(!verified(&["verify-attestation", "--type", kind], "stranger.pub"), "{kind}");
    }
    // Another image under the same tag is not what was signed.
    fs::write(scene.project.path("configs/a.yaml"), "model: z\n").unwrap();
    scene.project.build().unwrap();
    scene.push(&place, None);
    assert!(!verified(&["verify"], "team.pub"));
}

#[test]
fn a_signature_that_was_carried_over_to_another_image_convinces_nobody() {
    let (Some(cosign), Some(scene)) = (cosign(), Scene::new()) else { return };
    let signed = scene.registry.place("team/tiny:signed");
    scene.push(&signed, Some("team.key"));
    let store = scene.project.store();
    let good = store.find("ybox/tiny").unwrap().manifest;
    fs::write(scene.project.path("configs/a.yaml"), "model: evil\n").unwrap();
    let evil = scene.project.build().unwrap().image.manifest;
    let place = scene.registry.place("team/tiny:evil");
    scene.push(&place, None);
    // What whoever may push can do: the one's signature under the other's tag.
    let copy = |from: &str, to: &str| {
        let of =
            |tag: &str| format!("docker://{}", scene.registry.place(&format!("team/tiny:{tag}")));
        let skopeo = Path::new("skopeo");
        let flags = ["copy", "--src-tls-verify=false", "--dest-tls-verify=false"];
        let places = [of(from), of(to)];
        let arguments: Vec<&str> =
            flags.into_iter().chain(places.iter().map(String::as_str)).collect();
        run(skopeo, &scene.folder(), &arguments).status.success()
    };
    if !super::server::have("skopeo") {
        return;
    }
    let tag = |digest: ybox_spec::Digest| format!("sha256-{}.sig", digest.hex());
    assert!(copy(&tag(good), &tag(evil)));
    assert!(!scene.verified_by(&cosign, &["verify"], "team.pub", &place));
    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/team.pub]}\n");
    let said = refusal(&scene.pull(&place));
    assert!(
        said.contains(
            &format!("what KEYS/team.pub signed is another image, {good}")
                .replace("KEYS", scene.folder().to_str().unwrap())
        ),
        "{said}"
    );
    output(scene.pull(&signed));
}

#[test]
fn ybox_accepts_what_cosign_signed() {
    let (Some(cosign), Some(scene)) = (cosign(), Scene::new()) else { return };
    let place = scene.registry.place("team/tiny:v1");
    scene.push(&place, None);
    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/team.pub]}\n");
    let said = refusal(&scene.pull(&place));
    assert!(said.contains("it is not signed"), "{said}");
    let sign = |key: &str| {
        let flags = ["sign", "--yes", "--tlog-upload=false", "--allow-insecure-registry", "--key"];
        let arguments = [&flags[..], &[key, place.as_str()]].concat();
        output(run(&cosign, &scene.folder(), &arguments));
    };
    sign("stranger.key");
    let said = refusal(&scene.pull(&place));
    assert!(said.contains("none of its 1 signatures is of a key of the rule"), "{said}");
    sign("team.key");
    let pulled = output(scene.pull(&place));
    assert!(pulled.starts_with(&place), "{pulled}");
    // Both tools' signatures stay beside each other.
    scene.push(&place, Some("team.key"));
    assert!(scene.verified_by(&cosign, &["verify"], "team.pub", &place));
    assert!(scene.verified_by(&cosign, &["verify"], "stranger.pub", &place));
}

#[test]
fn nothing_that_the_policy_refuses_is_pulled_or_run() {
    let Some(scene) = Scene::new() else { return };
    let signed = scene.registry.place("team/tiny:v1");
    scene.push(&signed, Some("team.key"));
    let open = scene.registry.place("open/tiny:v1");
    scene.push(&open, None);
    output(scene.pull(&open));
    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/team.pub]}\n");
    output(scene.pull(&signed));
    let said = refusal(&scene.pull(&open));
    assert!(said.contains("no rule of the trust policy is about this repository"), "{said}");

    // Signed here, so that its own policy admits it; `ybox/tiny` has no rule.
    let run = |image: &str| {
        let output = ybox(
            &scene.folder(),
            &["weights", "convert", "x.pt", "x.safetensors", "--image", image],
        );
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(
        run("ybox/tiny").contains("ybox/tiny is not trusted: no-rule: no rule of the trust policy")
    );
    assert!(!run(&signed).contains("not trusted"));
    scene.policy("rules:\n- {repository: ybox/*, accept: built-here}\n");
    assert!(!run("ybox/tiny").contains("not trusted"));
    scene.policy("rules: [\n");
    assert!(run("ybox/tiny").contains("trust.yaml is not valid"));
}

#[test]
fn what_was_built_here_may_come_back_and_only_signatures_are_read_to_decide() {
    let Some(scene) = Scene::new() else { return };
    let place = scene.registry.place("team/tiny:v1");
    scene.push(&place, Some("team.key"));
    scene.policy("rules:\n- {repository: HOST/team/*, accept: built-here}\n");
    output(ybox(&scene.folder(), &["pull", &place, "--insecure"]));
    let said = refusal(&scene.pull(&place));
    assert!(said.contains("is not trusted: not-built-here: it was not built"), "{said}");

    scene.policy("rules:\n- {repository: HOST/team/*, keys: [KEYS/team.pub]}\n");
    let store = scene.project.store();
    let image = store.find(&place).unwrap();
    let bill = store.attached_document(&image, SPDX).unwrap().unwrap();
    fs::write(store.blob(&Digest::of(&bill)), "other").unwrap();
    let convert = ["weights", "convert", "x.pt", "x.safetensors", "--image", &place];
    let said = String::from_utf8(ybox(&scene.folder(), &convert).stderr).unwrap();
    assert!(said.contains("x.pt"), "{said}");
    for word in ["not trusted", "damaged"] {
        assert!(!said.contains(word), "{said}");
    }
}

#[test]
fn documents_come_with_the_image() {
    let Some(scene) = Scene::new() else { return };
    let place = scene.registry.place("team/tiny:v1");
    scene.push(&place, Some("team.key"));
    scene.push(&place, Some("team.key"));
    let home = tempfile::tempdir().unwrap();
    let home = home.path().to_str().unwrap();
    output(ybox(&scene.folder(), &["pull", &place, "--insecure", "--home", home]));
    for verb in ["sbom", "provenance"] {
        let here = output(ybox(&scene.folder(), &[verb, "ybox/tiny"]));
        assert_eq!(output(ybox(&scene.folder(), &[verb, &place, "--home", home])), here);
    }
}
