//! Trainings by the real command that are killed at any moment and gone on with: weights, results
//! and the chain of steps are those of a training that nobody disturbed, bit for bit.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod command_support;
mod data_support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use command_support::{Data, Run, config};
use ybox_spec::config::TrainConfig;
use ybox_spec::events::{Event, Line, standing};

const RESULTS: [&str; 4] =
    ["results.csv", "steps.chain", "weights/best.safetensors", "weights/last.safetensors"];

/// Steps of one batch and of two, with a batch left over at the end of each epoch.
fn short() -> TrainConfig {
    TrainConfig {
        epochs: 3,
        batch: 2,
        nbs: 4,
        imgsz: 64,
        save_period: 2,
        warmup_epochs: 0.5,
        ema_tau: 20.0,
        mosaic: 0.5,
        ..config()
    }
}

const PICTURES: usize = 14;

fn results(run: &Run) -> Vec<(&'static str, Vec<u8>)> {
    let names = RESULTS.iter().chain(&["weights/epoch2.safetensors"]);
    names.map(|name| (*name, run.bytes(name))).collect()
}

#[track_caller]
fn same(a: &Run, b: &Run) {
    for ((name, a), (_, b)) in results(a).iter().zip(results(b)) {
        assert!(*a == b, "{name} differs");
    }
}

fn checkpoints(run: &Run) -> Vec<PathBuf> {
    let folder = fs::read_dir(run.path("checkpoint")).into_iter().flatten().flatten();
    let mut found: Vec<_> = folder.map(|entry| entry.path()).collect();
    found.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("epoch"));
    found.sort();
    found
}

fn undisturbed(data: &Data) -> Run {
    let run = data.run(&short());
    run.finish(&["--checkpoint-every", "0"]);
    run
}

/// With two checkpoints.
fn stopped_after_nine(data: &Data) -> Run {
    let run = data.run(&short());
    let stop = ["--resume", "--checkpoint-every", "2", "--stop-after-steps", "9"];
    run.train(&stop).output().unwrap();
    run
}

/// Interrupts the training after each number of steps in turn, and then finishes it.
fn in_pieces(data: &Data, pieces: &[&str]) -> Run {
    let run = data.run(&short());
    for steps in pieces {
        let arguments = ["--resume", "--workers", "1", "--stop-after-steps", steps];
        assert_eq!(run.train(&arguments).output().unwrap().status.code(), Some(130));
    }
    run.finish(&["--resume"]);
    run
}

#[test]
fn pieces_make_the_whole_and_are_told() {
    let data = Data::of(PICTURES);
    let whole = undisturbed(&data);
    assert!(!whole.path("checkpoint").exists());
    let pieces = in_pieces(&data, &["1", "4", "5", "9"]);
    same(&whole, &pieces);

    let log = pieces.text("events.jsonl");
    let lines = standing(&log);
    let epochs = lines.iter().filter(|line| matches!(line.event, Event::Epoch(_))).count();
    assert_eq!(epochs, 3, "each stands once");
    let steps = log.lines().filter_map(|line| match serde_json::from_str::<Line>(line) {
        Ok(Line { event: Event::Resumed { step, .. }, .. }) => Some(step),
        _ => None,
    });
    assert_eq!(steps.collect::<Vec<_>>(), [0, 1, 4, 5, 9]);
}

/// The batches of an epoch are of several sizes, and the small one is anywhere among them.
#[test]
fn pieces_make_the_whole_in_rectangles_too() {
    let data = Data::of(PICTURES);
    let config = TrainConfig { rect: true, batch: 3, ..short() };
    let whole = data.run(&config);
    whole.finish(&["--checkpoint-every", "0"]);
    let pieces = data.run(&config);
    for steps in ["1", "5"] {
        let arguments = ["--resume", "--workers", "1", "--stop-after-steps", steps];
        assert_eq!(pieces.train(&arguments).output().unwrap().status.code(), Some(130));
    }
    kill_at(&pieces, Moment::Training(20));
    pieces.finish(&["--resume", "--workers", "3"]);
    same(&whole, &pieces);
    let log = whole.text("events.jsonl");
    assert_eq!(log.matches("\"code\":\"rect-without-mixing\"").count(), 1);
    assert!(log.contains("\"mosaic\":0.0") && !log.contains("\"mosaic\":0.5"), "{log}");
}

/// Gives the training more time at each start, the first time none, until it has had enough.
#[test]
fn spent_times_make_the_whole_too() {
    let data = Data::of(PICTURES);
    let whole = undisturbed(&data);
    let run = data.run(&short());
    let mut starts = (0..14).map(|start| (f64::from(1 << start) - 1.0) * 2e-5);
    let codes = starts.by_ref().map(|hours| {
        let arguments = ["--resume", "--time", &hours.to_string()];
        run.train(&arguments).output().unwrap().status.code()
    });
    let stops = codes.take_while(|code| *code == Some(124)).count();
    assert!(starts.len() > 0, "it ended");
    same(&whole, &run);
    let log = run.text("events.jsonl");
    assert_eq!(log.matches("\"event\":\"out-of-time\"").count(), stops);
    assert!(log.contains("\"event\":\"finished\"") && stops > 0);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_that_of_another_run_is_refused() {
    let data = Data::of(PICTURES);
    let whole = undisturbed(&data);
    let run = stopped_after_nine(&data);
    let kept = checkpoints(&run);
    assert_eq!(kept.len(), 2);

    let bytes = fs::read(&kept[1]).unwrap();
    fs::write(&kept[1], &bytes[..bytes.len() / 2]).unwrap();
    let mut other = short();
    other.lr0 = 0.02;
    let stranger = data.run(&other);
    fs::create_dir(stranger.path("checkpoint")).unwrap();
    let name = kept[0].file_name().unwrap().to_str().unwrap();
    fs::copy(&kept[0], stranger.path("checkpoint").join(name)).unwrap();
    let output = stranger.train(&["--resume"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("a checkpoint of another run"));

    run.finish(&["--resume"]);
    same(&whole, &run);
    let log = run.text("events.jsonl");
    assert!(log.contains("checkpoint-damaged") && log.contains("its digest is sha256:"), "{log}");
    let told = |line: &Line| matches!(&line.event, Event::Note { code, .. } if code == "checkpoint-damaged");
    assert!(standing(&log).iter().any(told), "what the resumption itself said stands");
}

#[test]
fn trouble_with_files_gives_no_checkpoint_up() {
    let data = Data::of(PICTURES);
    let whole = undisturbed(&data);
    let run = stopped_after_nine(&data);
    let (kept, results) = (checkpoints(&run), run.path("results.csv"));
    fs::remove_file(&results).unwrap();
    fs::create_dir(&results).unwrap();
    let output = run.train(&["--resume"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("cannot go on from") && said.contains("results.csv"), "{said}");
    assert_eq!(checkpoints(&run), kept);

    fs::remove_dir(&results).unwrap();
    let (folder, aside) = (run.path("checkpoint"), run.path("aside"));
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "in the way").unwrap();
    let output = run.train(&["--resume"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("cannot go on from") && said.contains("cannot read it"), "{said}");
    assert!(!results.exists(), "nothing was made anew");

    fs::remove_file(&folder).unwrap();
    fs::rename(&aside, &folder).unwrap();
    fs::remove_file(run.path("events.out.tfevents.ybox")).unwrap();
    run.finish(&["--resume"]);
    same(&whole, &run);
}

/// What a killer waits for.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many milliseconds after the first batch.
    Training(u64),
    /// A checkpoint that is half written.
    Writing,
    Validating,
    /// The same time, but the training is asked to stop and may save.
    Asked(u64),
}

fn kill_at(run: &Run, moment: Moment) {
    let arguments = ["--resume", "--checkpoint-every", "2"];
    let mut child = run.train(&arguments).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let phase = match moment {
        Moment::Validating => "\"phase\":\"val\"",
        _ => "\"phase\":\"train\"",
    };
    let mut said = said.skip_while(|line| !line.contains(phase));
    said.next();
    match moment {
        Moment::Training(time) | Moment::Asked(time) => sleep(Duration::from_millis(time)),
        Moment::Writing => wait_for_writing(run, &mut child),
        Moment::Validating => {}
    }
    if let Moment::Asked(_) = moment {
        let ask = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
        assert!(ask.unwrap().success());
        said.for_each(drop);
    } else {
        child.kill().unwrap();
    }
    child.wait().unwrap();
}

fn wait_for_writing(run: &Run, child: &mut Child) {
    let temporary = run.path("checkpoint/.checkpoint.tmp");
    while !temporary.exists() && child.try_wait().unwrap().is_none() {
        sleep(Duration::from_micros(300));
    }
}

/// Moments for so many kills, the same each time.
fn moments(kills: u64) -> impl Iterator<Item = Moment> {
    (0..kills).map(|kill| match kill % 5 {
        1 => Moment::Writing,
        3 => Moment::Validating,
        4 => Moment::Asked(kill * 7919 % 300),
        _ => Moment::Training(kill * 7919 % 400),
    })
}

fn survives(kills: u64) {
    let data = Data::of(PICTURES);
    let whole = undisturbed(&data);
    for (number, moments) in (1..).zip(moments(kills).collect::<Vec<_>>().chunks(5)) {
        let run = data.run(&short());
        moments.iter().for_each(|moment| kill_at(&run, *moment));
        run.finish(&["--resume"]);
        same(&whole, &run);
        println!("training {number}: {moments:?}");
    }
}

#[test]
fn ten_kills_change_nothing() {
    survives(10);
}

/// What `scripts/soak-resume.sh` runs.
#[test]
#[ignore = "takes minutes"]
fn thirty_kills_change_nothing() {
    survives(30);
}
