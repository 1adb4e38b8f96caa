//! `ybox report` on runs of every task and state: the page holds what the folder says, needs
//! nothing else, and leaves the record as it is.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

mod run_standin;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::Command as Checked;
use run_standin::{Mood, Place, StandIn};
use ybox::report;
use ybox_spec::config::Task;
use ybox_spec::pictures;

const WEIGHTS: &str = "weights=runs/train/exp/weights/best.safetensors";

/// Of the trainer; the stand-in's has fewer columns.
const RESULTS: &str = "\
epoch,train/box_loss,train/cls_loss,train/dfl_loss,\
metrics/precision(B),metrics/recall(B),metrics/mAP50(B),metrics/mAP50-95(B),\
val/box_loss,val/cls_loss,val/dfl_loss,lr/pg0,lr/pg1,lr/pg2
1,5.1,4.2,4.1,0,0.1,0,0,5.2,4.2,4.1,0.001,0.001,0.001
2,5.0,4.0,4.0,0.5,0.2,0.1,0.05,5.1,4.1,4.0,0.002,0.002,0.002
";

fn page(folder: &Path) -> String {
    let path = report::write(folder, "runs/train/exp").unwrap();
    assert_eq!(path, folder.join("report.html"));
    fs::read_to_string(path).unwrap()
}

/// A small picture, as a trainer would have drawn it.
fn draw(folder: &Path, name: &str) {
    image::RgbImage::from_pixel(40, 30, image::Rgb([200, 30, 30])).save(folder.join(name)).unwrap();
}

/// No script, and nothing that is loaded from elsewhere or leads there.
fn assert_self_contained(page: &str) {
    for bad in ["<script", "<link", "http:", "https:", "url(", "@import", "srcset", "href="] {
        assert!(!page.contains(bad), "{bad}");
    }
    let sources = page.matches("src=\"").count();
    assert_eq!(sources, page.matches("src=\"data:image/").count());
}

#[test]
fn a_training_has_curves_classes_samples_settings_and_hashes() {
    let place = Place::new();
    let finished = place.train();
    draw(&finished.folder, pictures::TRAIN_BATCHES[0]);
    draw(&finished.folder, pictures::PR_CURVE);
    fs::write(finished.folder.join("results.csv"), RESULTS).unwrap();
    let mut events = fs::read_to_string(finished.folder.join("events.jsonl")).unwrap();
    for (epoch, mosaic) in [(1, 1.0), (2, 0.0)] {
        let values = serde_json::json!({"mosaic": mosaic, "scale": 0.5});
        let event = serde_json::json!({"event": "augmentation", "epoch": epoch, "values": values});
        events += &format!("{event}\n");
    }
    fs::write(finished.folder.join("events.jsonl"), events).unwrap();
    let page = page(&finished.folder);
    assert_self_contained(&page);
    // Those of results.csv, and one of the augmentation that changes.
    assert_eq!(page.matches("<svg").count(), 7);
    assert!(page.contains(">mosaic</text>") && !page.contains(">scale</text>"));
    assert_eq!(page.matches("<img").count(), 2);
    for name in run_standin::NAMES {
        assert!(page.contains(&format!("<td>{name}</td>")), "{name}");
    }
    assert!(page.contains("320 (default 640)") && page.contains("class=\"state completed\""));
    let record = &finished.record;
    for digest in [record.run_hash, record.input_hash, record.result_hash, record.inputs.data] {
        assert!(page.contains(&digest.hex()));
    }
}

#[test]
fn reports_are_the_same_again_and_no_part_of_the_record() {
    let place = Place::new();
    let finished = place.train();
    let first = page(&finished.folder);
    assert_eq!(page(&finished.folder), first);
    assert!(place.verify(&finished.folder).passes());
    // Whoever changes the page changes no run, and who runs again there starts without it.
    fs::write(finished.folder.join("report.html"), "changed").unwrap();
    assert!(place.verify(&finished.folder).passes());
    let again = ["data=data/data.yaml", "epochs=2", "imgsz=320", "exist_ok=True"];
    let second = place.run(Task::Train, &again).unwrap();
    assert_eq!(second.folder, finished.folder);
    assert!(!second.folder.join("report.html").exists());
}

#[test]
fn a_report_made_during_a_run_is_not_recorded() {
    let place = Place::new();
    let finished = place.train();
    fs::remove_file(finished.folder.join("run.json")).unwrap();
    let unrecorded = page(&finished.folder);
    assert!(unrecorded.contains("class=\"state unfinished\"") && unrecorded.contains("no record"));
    let sealed = ybox::record::Sealed {
        status: finished.record.status,
        inputs: finished.record.inputs.clone(),
        config: finished.record.config.clone(),
        circumstances: finished.record.circumstances.clone(),
    };
    let record = ybox::record::seal(&finished.folder, sealed).unwrap();
    assert!(record.files.iter().all(|file| file.path != "report.html"));
}

#[test]
fn interrupted_and_broken_runs_have_a_report_of_what_is_there() {
    let mut place = Place::new();
    place.stand_in = StandIn { mood: Mood::Stopped(2), ..Default::default() };
    let stopped = place.run(Task::Train, &["data=data/data.yaml", "epochs=3"]).unwrap();
    let text = page(&stopped.folder);
    assert!(text.contains("class=\"state interrupted\"") && text.contains("of 3</dd>"));

    place.stand_in = StandIn { mood: Mood::OutOfTime(2), ..Default::default() };
    let spent = place.run(Task::Train, &["data=data/data.yaml", "epochs=3", "time=1"]).unwrap();
    let text = page(&spent.folder);
    assert!(text.contains("class=\"state out-of-time\"") && text.contains("time was spent"));

    place.stand_in = StandIn { mood: Mood::Fails, ..Default::default() };
    place.run(Task::Train, &["data=data/data.yaml", "name=bad"]).unwrap_err();
    let failed = place.work().join("runs/train/bad");
    assert!(page(&failed).contains("class=\"state unfinished\""));
    for name in ["events.jsonl", "results.csv", "data.manifest"] {
        let _ = fs::remove_file(failed.join(name));
    }
    assert_self_contained(&page(&failed));

    let error = report::write(&place.work(), "work").unwrap_err();
    assert!(error.to_string().ends_with("is no run folder"), "{error}");
}

#[test]
fn validations_and_predictions_have_one_too() {
    let place = Place::new();
    place.train();
    let val = place.run(Task::Val, &["data=data/data.yaml", WEIGHTS]).unwrap();
    assert!(page(&val.folder).contains("<dt>mAP50-95</dt>"));
    let predict = place.run(Task::Predict, &["source=data/images/train", WEIGHTS]).unwrap();
    let text = page(&predict.folder);
    assert!(text.contains("<dt>pictures</dt><dd>2</dd>"), "{text}");
}

#[test]
fn a_link_to_elsewhere_is_not_shown() {
    let place = Place::new();
    let folder = place.train().folder;
    let secret = place.work().join("secret.jpg");
    fs::write(&secret, "not for others").unwrap();
    std::os::unix::fs::symlink(&secret, folder.join(pictures::LABELS)).unwrap();
    assert!(!page(&folder).contains("<img"));
}

#[test]
fn the_verb_takes_a_folder_or_a_hash_and_prints_where_the_report_is() {
    let place = Place::new();
    let finished = place.train();
    for name in ["runs/train/exp", &finished.record.run_hash.hex()[..10]] {
        Checked::cargo_bin("ybox")
            .unwrap()
            .current_dir(place.work())
            .args(["report", name])
            .assert()
            .success()
            .stdout("runs/train/exp/report.html\n");
    }
    let other = Checked::cargo_bin("ybox")
        .unwrap()
        .current_dir(place.work())
        .args(["report", "runs"])
        .assert()
        .code(1);
    let said = String::from_utf8_lossy(&other.get_output().stderr).into_owned();
    assert!(said.contains("/runs is no run folder\n"), "{said}");
}

/// Chromium, if there is one.
fn chromium() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    std::env::split_paths(&paths).map(|p| p.join("chromium")).find(|p| p.is_file())
}

#[test]
fn chromium_shows_the_page_in_light_and_dark() {
    let Some(chromium) = chromium() else {
        eprintln!("skipped: chromium is not installed");
        return;
    };
    let place = Place::new();
    let folder = place.train().folder;
    draw(&folder, pictures::TRAIN_BATCHES[0]);
    page(&folder);
    for (scheme, bright) in [("1", true), ("0", false)] {
        let profile = tempfile::tempdir().unwrap();
        let shot = profile.path().join("shot.png");
        let output = Command::new(&chromium)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"])
            .args(["--no-first-run", "--disable-background-networking", "--hide-scrollbars"])
            .args(["--disable-component-update", "--disable-sync", "--window-size=1200,2400"])
            .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--screenshot={}", shot.display()))
            .arg(format!("file://{}", folder.join("report.html").display()))
            .output()
            .unwrap();
        assert!(shot.exists(), "{}", String::from_utf8_lossy(&output.stderr));
        let picture = image::open(&shot).unwrap().into_rgb8();
        let corner = picture.get_pixel(2, 2).0;
        assert_eq!(corner[0] > 128, bright, "{corner:?}");
        // The first line's colour, and the picture that is in the page.
        let line = if bright { [0x00, 0x72, 0xb2] } else { [0x5d, 0xb3, 0xe6] };
        let near = |rgb: [u8; 3], tolerance: u8| {
            let is_near =
                |p: &image::Rgb<u8>| p.0.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= tolerance);
            picture.pixels().filter(|p| is_near(p)).count()
        };
        assert!(near(line, 2) > 100, "{}", near(line, 2));
        assert!(near([200, 30, 30], 8) > 1000, "{}", near([200, 30, 30], 8));
    }
}
