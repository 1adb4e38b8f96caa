//! `ybox run` from its arguments to the sealed run folder, with a stand-in for the trainer.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;
use std::path::Path;

use run_standin::{Mood, Place, Shared, image, json_file, safetensors, settings};
use ybox::record::verify::Check;
use ybox::run::Conversion;
use ybox::ui::{Failure, RunView};
use ybox_spec::config::{AttentionPath, Config, Task};
use ybox_spec::record::Status;
use ybox_spec::weights::WeightsInfo;

const TRAIN: [&str; 3] = ["data=data/data.yaml", "epochs=2", "imgsz=320"];
const WEIGHTS: &str = "weights=runs/train/exp/weights/best.safetensors";

fn refused(result: Result<ybox::run::Finished, Failure>) -> Failure {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(failure) => failure,
    }
}

#[test]
fn a_training_is_recorded_and_verifies() {
    let place = Place::new();
    let (result, talk) = place.run_talking(Task::Train, &TRAIN);
    let finished = result.unwrap();
    assert_eq!(finished.folder, place.work().join("runs/train/exp"));
    settings().bind(|| insta::assert_snapshot!("talk_of_a_training", talk));

    let Config::Train(config) = &finished.record.config else { panic!() };
    assert_eq!(config.names, run_standin::NAMES);
    // From the preset in the image, and from the command line.
    assert_eq!((config.scale, config.epochs), (0.5, 2));
    assert_eq!(config.compute.attention, AttentionPath::Flash);

    let record = &finished.record;
    let paths: Vec<_> = record.outputs.artifacts.iter().map(|a| a.path.as_str()).collect();
    assert_eq!(
        paths,
        ["results.csv", "steps.chain", "weights/best.safetensors", "weights/last.safetensors"]
    );
    let files: Vec<_> = record.files.iter().map(|a| a.path.as_str()).collect();
    assert_eq!(
        files,
        ["checkpoint/epoch", "config.yaml", "data.manifest", "events.jsonl", "start.json"]
    );
    assert_eq!(record.outputs.steps.unwrap().count, 4);

    let report = place.verify(&finished.folder);
    assert!(report.passes(), "{report:?}");
    assert_eq!(report.items(Check::is_skipped), [""; 0]);
}

#[test]
fn the_same_run_again_has_the_same_hashes_in_a_folder_of_its_own() {
    let place = Place::new();
    let first = place.train();
    let mut again = TRAIN.to_vec();
    again.extend(["workers=7", "plots=False", "name=other"]);
    let second = place.run(Task::Train, &again).unwrap();
    assert_eq!(second.folder, place.work().join("runs/train/other"));
    assert_eq!(second.record.run_hash, first.record.run_hash);

    again.extend(["seed=1"]);
    let third = place.run(Task::Train, &again).unwrap();
    assert_eq!(third.folder, place.work().join("runs/train/other2"));
    assert_ne!(third.record.input_hash, first.record.input_hash);

    again.push("exist_ok=True");
    let fourth = place.run(Task::Train, &again).unwrap();
    assert_eq!(fourth.folder, second.folder);
    assert_eq!(fourth.record.run_hash, third.record.run_hash);
    assert!(place.verify(&fourth.folder).passes());
}

#[test]
fn the_container_gets_the_contract_and_nothing_else() {
    let place = Place::new();
    place.train();
    place.run(Task::Val, &["data=data/data.yaml", WEIGHTS, "workers=3"]).unwrap();
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert_eq!(
        container.arguments.join(" "),
        "val --config /out/config.yaml --manifest /out/data.manifest --data /data --out /out \
         --workers 3 --cache auto --weights /weights/initial.safetensors"
    );
    let mounts: Vec<_> = container.mounts.iter().map(|m| (m.target.as_str(), m.writable)).collect();
    assert_eq!(mounts, [("/data", false), ("/out", true), ("/weights/initial.safetensors", false)]);
    assert!(container.environment.is_empty());
    place.run(Task::Val, &["data=data/data.yaml", WEIGHTS, "plots=False"]).unwrap();
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert_eq!(container.arguments.last().unwrap(), "--no-plots");
}

#[test]
fn a_coco_set_is_trained_on_as_it_is() {
    let place = Place::new();
    let root = place.work().join("data");
    for (file, pictures) in [("train.json", vec!["2.jpg"]), ("val.json", vec!["3.jpg"])] {
        let images: Vec<_> = (0..)
            .zip(pictures)
            .map(|(id, name)| serde_json::json!({"id": id, "file_name": name}))
            .collect();
        let categories = serde_json::json!([{"id": 7, "name": "b"}, {"id": 2, "name": "a"}]);
        let text = serde_json::json!(
            {"images": images, "annotations": [], "categories": categories}
        );
        fs::write(root.join(file), text.to_string()).unwrap();
    }
    let yaml = "train: images/train\nval: images/val\n\
                annotations: {train: train.json, val: val.json}\n";
    fs::write(root.join("coco.yaml"), yaml).unwrap();
    let run = place.run(Task::Train, &["data=data/coco.yaml", "epochs=1"]).unwrap();
    let Config::Train(config) = &run.record.config else { panic!() };
    assert_eq!(config.names, ["a", "b"]);
    let manifest = fs::read_to_string(run.folder.join("data.manifest")).unwrap();
    let files: Vec<_> = manifest.lines().map(|l| l.splitn(3, ' ').nth(2).unwrap()).collect();
    let expected =
        ["train images/train/2.jpg", "train train.json", "val images/val/3.jpg", "val val.json"];
    assert_eq!(files, expected);
}

#[test]
fn weights_are_validated_and_predicted_with() {
    let place = Place::new();
    let trained = place.train();
    let best = trained.folder.join("weights/best.safetensors");
    let val = place.run(Task::Val, &["data=data/data.yaml", WEIGHTS]).unwrap();
    let Config::Val(config) = &val.record.config else { panic!() };
    // Both from the weights.
    assert_eq!((config.model.as_str(), config.imgsz), ("yolov12n", 320));
    assert_eq!(val.record.outputs.artifacts[0].path, "metrics.json");
    assert_eq!(val.record.inputs.weights, Some(ybox_spec::Digest::of_file(&best).unwrap().0));

    // `model=` is the same.
    let model = WEIGHTS.replace("weights=", "model=");
    let (result, talk) =
        place.run_talking(Task::Predict, &[&model, "source=data/images/train", "save_txt=True"]);
    let predict = result.unwrap();
    let paths: Vec<_> = predict.record.outputs.artifacts.iter().map(|a| a.path.as_str()).collect();
    assert_eq!(paths, ["1.jpg", "2.jpg", "labels/1.txt", "labels/2.txt"]);
    settings().bind(|| insta::assert_snapshot!("talk_of_a_prediction", talk));

    for finished in [&val, &predict] {
        assert!(place.verify(&finished.folder).passes());
    }
    fs::write(&best, "other").unwrap();
    assert_eq!(place.verify(&val.folder).items(Check::is_bad), ["initial weights"]);
    fs::remove_file(&best).unwrap();
    assert_eq!(place.verify(&val.folder).items(Check::is_skipped), ["initial weights"]);
}

#[test]
fn weights_are_exported_without_data() {
    let place = Place::new();
    place.train();
    let (result, talk) = place.run_talking(Task::Export, &[WEIGHTS, "nms=True", "max_det=20"]);
    let exported = result.unwrap();
    let Config::Export(config) = &exported.record.config else { panic!() };
    assert_eq!((config.model.as_str(), config.imgsz, config.suppress), ("yolov12n", 320, true));
    let paths: Vec<_> = exported.record.outputs.artifacts.iter().map(|a| &a.path).collect();
    assert_eq!(paths, ["model.onnx"]);
    settings().bind(|| insta::assert_snapshot!("talk_of_an_export", talk));
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    let mounts: Vec<_> = container.mounts.iter().map(|m| m.target.as_str()).collect();
    assert_eq!(mounts, ["/out", "/weights/initial.safetensors"]);
    assert!(place.verify(&exported.folder).passes());
    let again = place.run(Task::Export, &[WEIGHTS, "nms=True", "max_det=20"]).unwrap();
    assert_eq!(again.record.run_hash, exported.record.run_hash);
    let plain = place.run(Task::Export, &[WEIGHTS]).unwrap();
    assert_ne!(plain.record.input_hash, exported.record.input_hash);
}

#[test]
fn weights_are_converted_in_a_container() {
    let place = Place::new();
    let image = ybox::run::find_image(&place.store(), None).unwrap();
    let mut said = Vec::new();
    let mut convert = |input: &str, output: &str| {
        let [input, output] = [input, output].map(|file| place.work().join(file));
        let conversion = Conversion { input, output, options: vec!["--model=yolov12n".into()] };
        let say = &mut |line: &str| said.push(line.to_owned());
        ybox::run::convert(&conversion, image.clone(), &place.stand_in, say)
    };
    fs::write(place.work().join("a.pt"), "weights").unwrap();
    fs::write(place.work().join("empty.pt"), "").unwrap();
    convert("a.pt", "a.safetensors").unwrap();
    assert_eq!(fs::read(place.work().join("a.safetensors")).unwrap(), b"weights");
    let container = place.stand_in.container.lock().unwrap().clone().unwrap();
    assert_eq!(
        container.arguments.join(" "),
        "convert /weights/input.pt /out/weights.safetensors --model=yolov12n"
    );
    let writable: Vec<_> = container.mounts.iter().map(|mount| mount.writable).collect();
    assert_eq!(writable, [false, true]);
    let mut told = String::new();
    for (input, output) in
        [("empty.pt", "b.safetensors"), ("none.pt", "b.safetensors"), ("a.pt", "b.onnx")]
    {
        let failure = convert(input, output).unwrap_err();
        told += &format!("$ {input} {output}\nexit {}\n{failure}\n", failure.exit);
    }
    assert_eq!(said, ["yolov12n, 3 classes"]);
    settings().bind(|| insta::assert_snapshot!("refused_conversions", told));
    let left = fs::read_dir(place.work()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".convert")));
}

#[test]
fn training_starts_from_weights() {
    let place = Place::new();
    let scratch = place.train();
    let mut arguments = TRAIN.to_vec();
    arguments.push(WEIGHTS);
    let tuned = place.run(Task::Train, &arguments).unwrap();
    assert_ne!(tuned.record.input_hash, scratch.record.input_hash);
    assert_ne!(tuned.record.result_hash, scratch.record.result_hash);
    assert!(place.verify(&tuned.folder).passes());
}

#[test]
fn a_training_may_use_some_pictures_and_one_class() {
    let place = Place::new();
    let arguments = ["data=data/data.yaml", "epochs=1", "fraction=0.5", "single_cls=True"];
    let finished = place.run(Task::Train, &arguments).unwrap();
    let Config::Train(config) = &finished.record.config else { panic!() };
    assert_eq!(config.names, ["item"]);
    let manifest = fs::read_to_string(finished.folder.join("data.manifest")).unwrap();
    let paths: Vec<_> = manifest.lines().map(|l| l.rsplit(' ').next().unwrap()).collect();
    assert_eq!(paths, ["images/train/2.jpg", "images/val/3.jpg", "labels/val/3.txt"]);
    assert!(place.verify(&finished.folder).passes());
    // Weights of one class are no start for three.
    let failure = refused(place.run(Task::Train, &[&TRAIN[..], &[WEIGHTS]].concat()));
    assert!(failure.what.contains("has weights for 1 classes, the data set has 3"), "{failure}");
    let val = [WEIGHTS, "data=data/data.yaml", "single_cls=True"];
    let Config::Val(config) = place.run(Task::Val, &val).unwrap().record.config else { panic!() };
    assert_eq!((config.names, config.single_cls), (vec!["item".to_owned()], true));
    let failure = refused(place.run(Task::Val, &val[..2]));
    assert!(failure.what.starts_with("class 0 is `WBC` in"), "{failure}");
    let predict = [WEIGHTS, "source=data/images/train", "classes=[1]"];
    let failure = refused(place.run(Task::Predict, &predict));
    let expected = "classes: 1 is not below the number of classes of the weights, 1";
    assert_eq!(failure.what, expected);
}

#[test]
fn stopping_once_saves_and_records() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Stopped(1);
    let finished = place.run(Task::Train, &TRAIN).unwrap();
    assert_eq!(finished.record.status, Status::Interrupted);
    assert_eq!(finished.record.outputs.steps.unwrap().count, 2);
    assert!(place.verify(&finished.folder).passes());
}

#[test]
fn stopping_twice_kills_and_leaves_no_record() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Killed(1);
    let failure = refused(place.run(Task::Train, &TRAIN));
    assert_eq!(failure.exit, 130);
    assert!(failure.what.contains("runs/train/exp has no record"), "{failure}");
    assert!(place.work().join("runs/train/exp/events.jsonl").exists());
    assert!(!place.work().join("runs/train/exp/run.json").exists());
}

#[test]
fn a_failure_of_the_trainer_is_told_in_its_own_words() {
    let mut told = String::new();
    for mood in [Mood::Fails, Mood::Crashes, Mood::OutOfMemory, Mood::Forgets] {
        let mut place = Place::new();
        place.stand_in.mood = mood;
        let failure = refused(place.run(Task::Train, &TRAIN));
        told += &format!("{mood:?}, exit {}\n{failure}\n", failure.exit);
        assert!(!place.work().join("runs/train/exp/run.json").exists());
    }
    settings().bind(|| insta::assert_snapshot!("failures_of_the_trainer", told));
}

#[test]
fn notes_are_shown_with_their_place_up_to_ten() {
    let mut place = Place::new();
    place.stand_in.mood = Mood::Notes(13);
    let (result, talk) = place.run_talking(Task::Train, &TRAIN);
    result.unwrap();
    assert_eq!(talk.matches("note: labels/train/1.txt:").count(), 10);
    assert!(talk.contains("note: and 3 more, see runs/train/exp/events.jsonl\n"), "{talk}");
}

#[test]
fn a_stream_has_the_trainers_lines_unchanged() {
    let place = Place::new();
    let stream = Shared::default();
    let mut view = RunView::streaming(Box::new(stream.clone()));
    let finished = place.run_in_view(Task::Train, &TRAIN, &mut view).unwrap();
    let said = stream.text();
    assert!(said.lines().all(|l| l.starts_with('{')));
    assert_eq!(said.lines().filter(|l| l.contains(r#""event":"progress""#)).count(), 2);
    let lasting: String = said
        .lines()
        .filter(|l| !l.contains(r#""event":"progress""#))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(lasting, fs::read_to_string(finished.folder.join("events.jsonl")).unwrap());
}

#[test]
fn what_cannot_run_is_refused_before_a_folder_is_made() {
    let place = Place::new();
    fs::write(place.work().join("data/list.txt"), "images/train/1.jpg\nimages/train/9.jpg\n")
        .unwrap();
    let yaml = "train: list.txt\nval: images/val\nnames: [WBC, RBC, Platelets]\n";
    fs::write(place.work().join("data/missing.yaml"), yaml).unwrap();
    let info = WeightsInfo {
        model: "yolov12s".into(),
        names: vec!["WBC".into(), "RBC".into()],
        imgsz: 320,
        epoch: 3,
    };
    fs::write(place.work().join("s.safetensors"), safetensors(&info, b"x")).unwrap();
    fs::write(place.work().join("n.pt"), "PK\x03\x04 and more").unwrap();
    let data = "data=data/data.yaml";
    let mut told = String::new();
    for (task, arguments) in [
        (Task::Train, vec!["epochs=3"]),
        (Task::Train, vec!["data=nowhere.yaml"]),
        (Task::Train, vec!["data=data/missing.yaml"]),
        (Task::Train, vec![data, "model=n.pt"]),
        (Task::Train, vec![data, "model=yolov12q"]),
        (Task::Train, vec![data, "model=yolov12x"]),
        (Task::Train, vec![data, "weights=s.safetensors"]),
        (Task::Train, vec![data, "model=yolov12s", "weights=s.safetensors"]),
        (Task::Train, vec![data, "device=0"]),
        (Task::Train, vec![data, "imgsz=333"]),
        (Task::Train, vec![data, "cutmix=0.1"]),
        (Task::Train, vec![data, "classes=[0, 3]"]),
        (Task::Val, vec![data]),
        (Task::Val, vec![data, "model=yolov12n"]),
        (Task::Val, vec![data, "weights=n.pt"]),
        (Task::Val, vec![data, "weights=s.safetensors"]),
        (Task::Val, vec![data, "weights=s.safetensors", "model=n.pt"]),
        (Task::Predict, vec!["model=s.safetensors"]),
        (Task::Export, vec!["nms=True"]),
        (Task::Export, vec!["weights=s.safetensors", "format=engine"]),
        (Task::Predict, vec!["model=s.safetensors", "source=nothing/*.jpg"]),
    ] {
        let failure = refused(place.run(task, &arguments));
        let command = format!("run {} {}", task.name(), arguments.join(" "));
        told += &format!("$ {command}\nexit {}\n{failure}\n", failure.exit);
    }
    assert!(!place.work().join("runs").exists());
    settings().bind(|| insta::assert_snapshot!("refusals", told));
}

#[test]
fn a_config_of_a_run_starts_the_same_run() {
    let place = Place::new();
    let first = place.run(Task::Train, &["data=data/data.yaml", "epochs=2", "lr0=0.0123"]).unwrap();
    let cfg = "cfg=runs/train/exp/config.yaml";
    let second = place.run(Task::Train, &["data=data/data.yaml", cfg]).unwrap();
    assert_eq!(second.record.run_hash, first.record.run_hash);
    let failure = refused(place.run(Task::Val, &["data=data/data.yaml", cfg]));
    assert!(failure.what.ends_with("config.yaml is of a train run, not of val"), "{failure}");
}

#[test]
fn the_preset_is_the_images() {
    let place = Place::new();
    let before = place.train();
    image(&place.home(), "ybox/cpu:latest", "scale: 0.9\n");
    let after = place.train();
    let Config::Train(config) = &after.record.config else { panic!() };
    assert_eq!(config.scale, 0.9);
    assert_ne!(after.record.inputs.image, before.record.inputs.image);
    // The image of the first run has lost its name, but is still there.
    assert!(place.verify(&before.folder).passes());
}

#[test]
fn every_digit_of_a_setting_is_kept() {
    let place = Place::new();
    for lr0 in ["0.1234567890123456789", "1e-7", "0.30000000000000004", "4.35e-10", "1"] {
        let setting = format!("lr0={lr0}");
        let finished =
            place.run(Task::Train, &["data=data/data.yaml", "epochs=1", &setting]).unwrap();
        let Config::Train(config) = &finished.record.config else { panic!() };
        assert_eq!(config.lr0, lr0.parse::<f64>().unwrap());
        let record = json_file(&finished.folder.join("run.json"));
        assert_eq!(record["config"]["lr0"].as_f64().unwrap(), config.lr0);
        assert!(place.verify(&finished.folder).passes());
    }
}

#[test]
fn a_reused_folder_with_pictures_of_nobody_is_refused() {
    let place = Place::new();
    place.train();
    let arguments = [WEIGHTS, "source=data/images", "source=data/images/val", "exist_ok=True"];
    place.run(Task::Predict, &arguments).unwrap();
    let folder = place.work().join("runs/predict/exp");
    assert!(folder.join("3.jpg").exists());
    place.run(Task::Predict, &arguments).unwrap();
    fs::write(folder.join("mine.png"), "x").unwrap();
    let failure = refused(place.run(Task::Predict, &arguments));
    assert!(failure.what.contains("mine.png, which no recorded run made"), "{failure}");
    assert!(Path::new(&folder).join("mine.png").exists());
}
