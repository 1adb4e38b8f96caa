//! `checkpointing=auto`, `batch=auto` and `cache=` by the real command: plans follow from what they are
//! given, and the weights are those of any other policy and any other cache.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod command_support;
mod data_support;

use std::process::Command;

use command_support::{Data, config};
use tempfile::TempDir;
use ybox_spec::config::Checkpointing;
use ybox_spec::events::{Event, read_log};
use ybox_spec::memory::MemoryPlan;

/// The plan, and the weights that came of it.
fn trained(arguments: &[&str]) -> (Option<MemoryPlan>, Vec<u8>) {
    let data = Data::of(4);
    let run = data.run(&config());
    run.finish(arguments);
    let plan =
        read_log(&run.text("events.jsonl")).unwrap().0.into_iter().find_map(|line| {
            match line.event {
                Event::MemoryPlan(plan) => Some(plan),
                _ => None,
            }
        });
    (plan, run.bytes("weights/last.safetensors"))
}

#[test]
fn auto_takes_what_fits_and_trains_to_the_same_bits() {
    let (none, weights) = trained(&["--checkpointing", "none"]);
    assert_eq!(none, None);
    let (plan, tight) = trained(&["--checkpointing", "auto", "--memory", "1MiB"]);
    let plan = plan.unwrap();
    assert_eq!(plan.policies.len(), Checkpointing::ALL.len());
    let peak = |policy| plan.policies.iter().find(|p| p.policy == policy).unwrap().peak;
    assert!(peak(Checkpointing::LayerHead) < peak(Checkpointing::None), "{plan:?}");
    assert!(!plan.fits());
    let least = plan.policies.iter().min_by_key(|planned| planned.peak).unwrap();
    assert_eq!(plan.chosen, least.policy);
    assert!(tight == weights, "neither planning nor the policy changes the weights");
}

/// What `ytrain batch` says last, and whether that was a success.
fn batch(arguments: &[&str]) -> (bool, Event) {
    let run = Data::of(4).run(&config());
    let output = Command::new(env!("CARGO_BIN_EXE_ytrain"))
        .args(["batch", "--checkpointing", "none", "--cache", "auto", "--val", "4", "--config"])
        .arg(run.path("config.yaml"))
        .arg("--out")
        .arg(run.path(""))
        .args(arguments)
        .output()
        .unwrap();
    let (mut lines, _) = read_log(&run.text("events.jsonl")).unwrap();
    (output.status.success(), lines.pop().unwrap().event)
}

#[test]
fn the_largest_batch_that_fits_is_found() {
    let (done, said) = batch(&["--share", "0.6", "--train", "9", "--memory", "64GiB"]);
    let Event::BatchPlan(plan) = said else { panic!("{said:?}") };
    assert!(done && plan.batch == 9 && plan.share == 0.6, "{plan:?}");
    let beside = 13 * 96 * 96 * 3;
    let most = (plan.free as f64 * 0.6) as u64;
    assert!(plan.available <= most && plan.available >= most - beside, "{plan:?}");
    assert!(plan.per_picture > 1 << 20 && plan.fixed > 1 << 20, "{plan:?}");

    let (done, said) = batch(&["--share", "0.6", "--train", "9", "--memory", "1MiB"]);
    let Event::Failed { code, message, hint } = said else { panic!("{said:?}") };
    assert!(!done && code == "out-of-memory", "{message}");
    assert!(message.contains("a batch of 1 needs"), "{message}");
    assert!(hint.unwrap().contains("checkpointing=layer+head"));
}

/// The weights that came of a `cache`, and what was said about it.
fn trained_with(cache: &[&str]) -> (Vec<u8>, Vec<String>) {
    let data = Data::of(4);
    let run = data.run(&config());
    run.finish(cache);
    let (lines, _) = read_log(&run.text("events.jsonl")).unwrap();
    let notes = lines.into_iter().filter_map(|line| match line.event {
        Event::Note { code, message, .. } if code == "picture-cache" => Some(message),
        _ => None,
    });
    (run.bytes("weights/last.safetensors"), notes.collect())
}

#[test]
fn the_weights_do_not_depend_on_where_pictures_are_kept_and_it_is_said_how_many() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().to_str().unwrap();
    let disk = |bytes| {
        let arguments = ["--cache", "disk", "--cache-dir", place, "--cache-bytes", bytes];
        arguments.map(str::to_owned).to_vec()
    };
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let (plain, none) = trained_with(&["--cache", "off"]);
    assert_eq!(none, [""; 0]);
    for (arguments, train, val) in [
        (
            words("--cache ram --memory 1MiB"),
            "cache=ram: 0 of 4 pictures of train are kept, in 0 MiB; all would take ",
            "cache=ram: 0 of 4 pictures of val are kept, in 0 MiB; all would take ",
        ),
        (
            words("--cache ram"),
            "cache=ram: all pictures of train are kept, in ",
            "cache=ram: all pictures of val are kept, in ",
        ),
        (
            disk("30000"),
            "cache=disk: of 4 pictures of train, 0 were kept already, 1 were added (0 MiB); 3 are not",
            "cache=disk: of 4 pictures of val, 1 were kept already, 0 were added (0 MiB); 3 are not",
        ),
        // Both splits are of the same pictures.
        (
            disk("1000000"),
            "cache=disk: of 4 pictures of train, 1 were kept already, 3 were added",
            "cache=disk: of 4 pictures of val, 4 were kept already, 0 were added",
        ),
    ] {
        let (weights, notes) =
            trained_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(weights == plain, "{arguments:?}");
        let [of_train, of_val] = &notes[..] else { panic!("{notes:?}") };
        assert!(of_train.starts_with(train) && of_val.starts_with(val), "{notes:?}");
    }
    let data = Data::of(4);
    let output = data.run(&config()).train(&["--cache", "disk"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("cache=disk needs a folder"));
}
