//! What `ybox diff` says of two runs, images, locks and recipes, and its exit statuses.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;
use std::path::Path;

use run_standin::{Mood, Place, StandIn, image, layered_image, settings, tar};
use serde_json::{Value, json};
use ybox::lock::{Lock, Recipe};
use ybox::plan::{self, Tables};
use ybox_spec::config::Task;
use ybox_spec::record::record_hash;

const FIRST: [&str; 2] = ["runs/train/exp", "runs/train/exp2"];

fn diff(place: &Place, [a, b]: [&str; 2]) -> String {
    place.told(&["diff", a, b])
}

fn json(place: &Place, [a, b]: [&str; 2]) -> Value {
    serde_json::from_slice(&place.ybox(&["diff", a, b, "--json"]).stdout).unwrap()
}

/// Compares with what is stored, without what changes with every new setting: digits and widths.
fn assert_told(name: &str, text: &str) {
    let mut settings = settings();
    settings.add_filter(r"-?\d[\d.e-]* \([0-9a-f]{8}\)", "[float]");
    settings.add_filter(r"\b[0-9a-f]{12}\b", "[digits]");
    settings.add_filter(r"\b\d+ B,", "[size],");
    settings.add_filter(r"\b0\.\d{5,}", "[number]");
    settings.add_filter(r" +->", "  ->");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn train(place: &Place, more: &[&str]) {
    let arguments = ["data=data/data.yaml", "epochs=2", "imgsz=320"];
    place.run(Task::Train, &[&arguments[..], more].concat()).unwrap();
}

fn host(model: &str) -> Value {
    let mut host =
        serde_json::to_value(plan::pretend("cpu", &Tables::built_in()).unwrap()).unwrap();
    host["cpu"]["model"] = json!(model);
    host
}

#[test]
fn the_same_run_twice_is_the_same() {
    let place = Place::new();
    let record = place.train().record;
    place.train();
    let text = diff(&place, FIRST);
    assert_told("identical", &text);
    let by_hash = diff(&place, [&record.run_hash.hex()[..10], FIRST[1]]);
    // Both have this hash.
    assert!(by_hash.contains("begins the hashes of 2 runs") && by_hash.contains("exit 2"));
    let value = json(&place, FIRST);
    assert_eq!((&value["same"], &value["kind"]), (&json!(true), &json!("run")));
}

#[test]
fn a_setting_is_named_as_the_cause() {
    let place = Place::new();
    train(&place, &[]);
    train(&place, &["lr0=0.02"]);
    assert_told("setting", &diff(&place, FIRST));
    let value = json(&place, FIRST);
    assert_eq!(value["likely_cause"]["cause"], "config");
    assert_eq!(value["likely_cause"]["items"], json!(["lr0"]));
    assert_eq!(value["first_step"]["step"], 1);
    let bits = value["first_step"]["a"]["loss"]["bits"].as_str().unwrap();
    let loss = f32::from_bits(u32::from_str_radix(bits, 16).unwrap());
    assert_eq!(value["first_step"]["a"]["loss"]["value"].as_f64().unwrap() as f32, loss);
}

#[test]
fn a_data_file_is_named_as_the_cause() {
    let place = Place::new();
    train(&place, &[]);
    fs::write(place.work().join("data/labels/train/1.txt"), "0 0.5 0.5 0.3 0.3\n").unwrap();
    fs::write(place.work().join("data/labels/train/2.txt"), "0 0.5 0.5 0.3 0.3\n").unwrap();
    train(&place, &[]);
    assert_told("data", &diff(&place, FIRST));
}

#[test]
fn hosts_are_a_cause_where_bits_differ_and_no_difference_where_not() {
    let mut place = Place::new();
    place.host = host("AMD EPYC 7B13");
    train(&place, &[]);
    place.host = host("Intel(R) Xeon(R) Platinum 8481C");
    train(&place, &[]);
    assert_told("hosts", &diff(&place, FIRST));
    place.stand_in.drift = Some(2);
    train(&place, &["numerics=fast"]);
    place.host = host("AMD EPYC 7B13");
    place.stand_in.drift = None;
    train(&place, &["numerics=fast"]);
    assert_told("hardware", &diff(&place, ["runs/train/exp3", "runs/train/exp4"]));
}

#[test]
fn what_cannot_be_explained_is_said_to_be_unknown() {
    let mut place = Place::new();
    train(&place, &[]);
    place.stand_in.drift = Some(2);
    train(&place, &[]);
    let value = json(&place, FIRST);
    assert_eq!(value["likely_cause"]["cause"], "unknown");
    assert_eq!(value["first_step"]["step"], 3);
    assert_eq!(value["first_step"]["quantities"], json!(["loss"]));
}

#[test]
fn a_run_without_a_record_is_compared_as_far_as_it_went() {
    let mut place = Place::new();
    train(&place, &[]);
    place.stand_in = StandIn { mood: Mood::Killed(1), ..Default::default() };
    place.run(Task::Train, &["data=data/data.yaml", "epochs=2", "imgsz=320"]).unwrap_err();
    let mut text = diff(&place, FIRST);
    let damaged = place.work().join(FIRST[0]).join("run.json");
    let record = fs::read_to_string(&damaged).unwrap();
    fs::write(&damaged, &record[..record.len() / 2]).unwrap();
    text += &diff(&place, FIRST);
    assert_told("unfinished", &text);
}

#[test]
fn files_that_contradict_their_record_are_pointed_out() {
    let place = Place::new();
    let folder = place.train().folder;
    train(&place, &[]);
    let edit = |name: &str, from: &str, to: &str| {
        let path = folder.join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{name}");
        fs::write(path, text.replacen(from, to, 1)).unwrap();
    };
    edit("run.json", "\"ybox\": \"", "\"ybox\": \"9");
    edit("steps.chain", "\n2 ", "\n3 ");
    edit("data.manifest", "images/train/1.jpg", "images/train/0.jpg");
    let value = json(&place, FIRST);
    let notes: Vec<_> = value["notes"].as_array().unwrap().iter().flat_map(Value::as_str).collect();
    assert!(notes[0].starts_with("A: steps.chain is broken at step 2"), "{notes:?}");
    for name in ["run.json", "data.manifest", "steps.chain"] {
        let note = format!(
            "A: {name} is not what was recorded; nothing was verified here, `ybox verify` does that"
        );
        assert!(notes.contains(&note.as_str()), "{notes:?}");
    }
}

#[test]
fn a_record_of_an_older_form_is_what_was_recorded() {
    let place = Place::new();
    let path = place.train().folder.join("run.json");
    let mut record = run_standin::json_file(&path);
    record["config"].as_object_mut().unwrap().remove("multi_scale").unwrap();
    record["circumstances"]["launch"].as_object_mut().unwrap().remove("plots").unwrap();
    record["record_hash"] = json!(record_hash(record.clone()));
    fs::write(path, record.to_string()).unwrap();
    train(&place, &[]);
    let value = json(&place, FIRST);
    assert_eq!((&value["notes"], &value["same"]), (&json!([]), &json!(true)));
}

/// A project in the working directory with a second variant, whose recipe and lock differ by a
/// little.
fn project(place: &Place) -> [(Recipe, Lock); 2] {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("docker");
    let docker = place.work().join("docker");
    fs::create_dir_all(&docker).unwrap();
    let text = |name: &str| fs::read_to_string(source.join(name)).unwrap();
    let recipe = text("cpu.yaml");
    let other =
        recipe.replace("variant: cpu", "variant: other").replace("LANG: C.UTF-8", "LANG: C");
    fs::write(docker.join("cpu.yaml"), &recipe).unwrap();
    fs::write(docker.join("other.yaml"), other).unwrap();
    fs::write(docker.join("cpu.lock"), text("cpu.lock")).unwrap();
    let read = |name: &str| Recipe::read(&docker.join(name)).unwrap();
    let recipes = [read("cpu.yaml"), read("other.yaml")];
    let lock = Lock::read(&docker.join("cpu.lock")).unwrap().unwrap();
    let mut newer = Lock { recipe: recipes[1].digest(), ..lock.clone() };
    newer.debs[1].version = "2.41-99".into();
    newer.wheels[0].size += 1;
    newer.write(&docker.join("other.lock")).unwrap();
    let [first, second] = recipes;
    [(first, lock), (second, newer)]
}

#[test]
fn locks_and_recipes_are_compared_input_by_input() {
    let place = Place::new();
    project(&place);
    let mut text = diff(&place, ["docker/cpu.lock", "docker/other.lock"]);
    text += &diff(&place, ["docker/cpu.yaml", "docker/other.yaml"]);
    text += &diff(&place, ["docker/cpu.lock", "docker/cpu.lock"]);
    assert_told("locks", &text);
}

#[test]
fn images_are_compared_layer_by_layer_and_file_by_file() {
    let place = Place::new();
    let made_from = project(&place);
    let library = tar(&[("opt/ybox/lib/libtorch_cpu.so", "library")]);
    let trainer = |text| tar(&[("opt/ybox/bin/ytrain", text), ("opt/ybox/bin/note", "a note")]);
    let labels = made_from.map(|(recipe, lock)| {
        json!({"ybox.recipe": recipe.digest(), "ybox.lock": lock.digest(), "ybox.packer": "1"})
    });
    let layers = [library.clone(), trainer("trainer")];
    layered_image(&place.home(), "ybox/one:latest", &layers, &labels[0]);
    let layers = [library, trainer("a newer trainer")];
    layered_image(&place.home(), "ybox/two:latest", &layers, &labels[1]);
    let mut text = diff(&place, ["one", "two"]);
    fs::remove_dir_all(place.work().join("docker")).unwrap();
    text += &diff(&place, ["one", "ybox/two:latest"]);
    text += &diff(&place, ["one", "one"]);
    assert_told("images", &text);
}

#[test]
fn runs_of_two_images_tell_which_files_differ_while_the_images_are_here() {
    let mut place = Place::new();
    train(&place, &[]);
    image(&place.home(), "ybox/cpu:latest", "epochs: 600\nscale: 0.5\n# changed\n");
    place.stand_in.drift = Some(1);
    train(&place, &[]);
    let mut text = diff(&place, FIRST);
    fs::remove_dir_all(place.home().join("store/blobs")).unwrap();
    text += &diff(&place, FIRST);
    assert_told("runs_of_two_images", &text);
}

#[test]
fn a_validation_is_explained_by_what_it_reads() {
    let place = Place::new();
    place.train();
    let weights = "weights=runs/train/exp/weights/best.safetensors";
    place.run(Task::Val, &["data=data/data.yaml", weights]).unwrap();
    fs::write(place.work().join("data/labels/val/3.txt"), "1 0.5 0.5 0.3 0.3\n").unwrap();
    place.run(Task::Val, &["data=data/data.yaml", weights]).unwrap();
    let value = json(&place, ["runs/val/exp", "runs/val/exp2"]);
    assert_eq!(value["likely_cause"]["cause"], "data");
    assert_eq!(value["first_step"], Value::Null);
}

#[test]
fn what_is_no_pair_is_refused() {
    let place = Place::new();
    place.train();
    project(&place);
    fs::write(place.work().join("notes.txt"), "some notes\n").unwrap();
    let pairs = [
        [FIRST[0], "docker/cpu.lock"],
        ["docker/cpu.lock", "docker/cpu.yaml"],
        ["cpu", FIRST[0]],
        ["none", FIRST[0]],
        ["abcdef12", FIRST[0]],
        ["docker", FIRST[0]],
        ["notes.txt", "notes.txt"],
    ];
    assert_told("refusals", &pairs.map(|pair| diff(&place, pair)).concat());
}

#[test]
fn the_page_shows_both_curves_and_needs_nothing_else() {
    let place = Place::new();
    train(&place, &[]);
    train(&place, &["lr0=0.02", "epochs=3"]);
    let output = place.ybox(&["diff", FIRST[0], FIRST[1], "--html", "diff.html"]);
    assert_eq!(output.status.code(), Some(1));
    let page = fs::read_to_string(place.work().join("diff.html")).unwrap();
    for bad in ["<script", "<link", "http:", "https:", "url(", "@import", "src=", "href="] {
        assert!(!page.contains(bad), "{bad}");
    }
    assert!(page.contains(">A mAP50-95</text>") && page.contains(">B mAP50-95</text>"));
    assert!(page.contains("<td>lr0</td><td>0.01</td><td>0.02</td>"));
    let nowhere = place.told(&["diff", FIRST[0], FIRST[1], "--html", "none/diff.html"]);
    assert!(nowhere.contains("error: cannot write none/diff.html") && nowhere.contains("exit 2"));
}
