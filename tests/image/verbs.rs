//! What a person and a script see of `ybox build` and `ybox images`.

use std::fs;
use std::process::Command;

use super::fixture::Project;

fn outcome(command: &mut Command) -> (Option<i32>, String, String) {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn build_prints_one_reference_and_talks_on_stderr() {
    let project = Project::new();
    let (code, out, err) = outcome(&mut project.ybox(&["build", "tiny", "--no-load"]));
    assert_eq!(code, Some(0), "{err}");
    let image = project.store().find("tiny").unwrap();
    assert_eq!(out, format!("ybox/tiny:latest@{}\n", image.manifest));
    assert_eq!(project.store().find(out.trim()).unwrap(), image);
    for layer in ["base", "libraries", "trainer", "presets", "total"] {
        assert!(err.contains(layer), "{err}");
    }
    let tagged = ["build", "tiny", "--no-load", "--tag", "me/own:v2", "--json"];
    let (code, out, _) = outcome(&mut project.ybox(&tagged));
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(document["reference"], "me/own:v2");
    assert_eq!(document["config"], image.config.to_string());
    assert_eq!(document["layers"][3]["name"], "presets");
    assert_eq!(document["layers"][3]["reused"], true);
}

#[test]
fn images_lists_what_is_there() {
    let project = Project::new();
    let (code, out, err) = outcome(&mut project.ybox(&["images"]));
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert_eq!(err, "no images yet: make one with `ybox build cpu`\n");
    let image = project.build().unwrap().image;
    let (_, out, _) = outcome(&mut project.ybox(&["images"]));
    assert_eq!(out.lines().count(), 2);
    assert!(out.contains("ybox/tiny:latest"), "{out}");
    assert!(out.contains(&image.config.to_string()[..19]), "{out}");
    let (_, out, _) = outcome(&mut project.ybox(&["images", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(list[0]["manifest"], image.manifest.to_string());
    assert!(list[0]["size"].as_u64().unwrap() > 0);
    let config = project.path("home/store/blobs/sha256").join(image.config.hex());
    fs::write(config, "{}").unwrap();
    let (code, out, _) = outcome(&mut project.ybox(&["images"]));
    assert_eq!(code, Some(0));
    assert!(out.contains("damaged"), "{out}");
}

#[test]
fn what_keeps_an_image_from_being_built_is_said_with_what_to_do() {
    let project = Project::new();
    let lock = project.path("docker/tiny.lock");
    let text = fs::read_to_string(&lock).unwrap();
    let build = || outcome(&mut project.ybox(&["build", "tiny", "--no-load"]));

    fs::write(&lock, text.replace("packer: 1", "packer: 99")).unwrap();
    let (code, _, err) = build();
    assert_eq!(code, Some(1));
    assert!(
        err.contains("the lock of `tiny` does not fit: it was made for packer revision 99"),
        "{err}"
    );
    assert!(err.contains("hint: run ybox lock tiny"), "{err}");

    let stale = text.replacen("recipe: sha256:", "recipe: sha256:00", 1);
    let at = stale.find("sha256:00").unwrap() + 7 + 64;
    fs::write(&lock, format!("{}{}", &stale[..at], &stale[at + 2..])).unwrap();
    let (code, _, err) = build();
    assert_eq!(code, Some(1));
    assert!(err.contains("the recipe was changed since"), "{err}");

    fs::remove_file(&lock).unwrap();
    let (code, _, err) = build();
    assert_eq!(code, Some(1));
    assert!(err.contains("the variant `tiny` is not locked"), "{err}");
    fs::write(&lock, &text).unwrap();

    fs::remove_file(project.path("trainer")).unwrap();
    let (code, _, err) = build();
    assert_eq!(code, Some(2));
    assert!(err.contains("there is no trainer at"), "{err}");
    assert!(err.contains("cargo build --release -p ytrain"), "{err}");

    let (code, _, err) = outcome(&mut project.ybox(&["build", "huge"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("there is no variant `huge`: docker/ has tiny"), "{err}");
}
