//! `kill -9` at moments that nobody chose: the store holds nothing wrong, and the next try completes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ybox::image::{Store, StoredImage};
use ybox_spec::config::Task;

use super::faults::{check, large, nothing_wrong_is_visible, push};
use super::proxy::{Fault, Proxy};
use super::run_standin::Place;
use super::server::{Registry, home, told, unfinished, ybox};

/// Kills `command` after `moment`; it may have ended before.
fn kill_after(command: &mut Command, moment: Duration) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(moment);
    let _ = child.kill();
    child.wait().unwrap();
}

/// Moments spread over `within`, none twice.
fn moments(count: u32, within: Duration) -> impl Iterator<Item = Duration> {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut state = u64::from(seed.subsec_nanos()) | 1;
    println!("seed {state}");
    (0..count).map(move |i| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let share = (f64::from(i) + (state >> 11) as f64 / (1_u64 << 53) as f64) / f64::from(count);
        within.mul_f64(share)
    })
}

/// A registry that takes its time.
fn slow(port: u16) -> Proxy {
    Proxy::start(port, |_, request| match request.reads_blob() {
        true => Fault::Slow(Duration::from_millis(5)),
        false => Fault::None,
    })
}

fn images(home: &Path) -> Vec<StoredImage> {
    Store::under(home).unwrap().images().unwrap()
}

/// How long the command takes that nobody kills.
fn duration(command: &mut Command) -> Duration {
    let start = Instant::now();
    told(command);
    start.elapsed()
}

#[test]
fn eight_killed_pulls_leave_nothing_wrong() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(3);
    told(&mut push(&project, &registry.place("a/b:v1")));
    let proxy = slow(registry.port);
    let to = home();
    let pull = ["pull", &proxy.place("a/b:v1"), "--insecure"];
    for moment in moments(8, Duration::from_millis(320)) {
        kill_after(&mut ybox(to.path(), &pull), moment);
        nothing_wrong_is_visible(to.path());
    }
    told(&mut ybox(to.path(), &pull));
    check(to.path(), &image);
}

#[test]
fn six_killed_pushes_leave_nothing_wrong() {
    let Some(registry) = Registry::start() else { return };
    let (project, image) = large(3);
    let place = registry.place("a/b:v1");
    for moment in moments(6, Duration::from_millis(250)) {
        kill_after(&mut push(&project, &place), moment);
        nothing_wrong_is_visible(&project.path("home"));
    }
    told(&mut push(&project, &place));
    let to = home();
    told(&mut ybox(to.path(), &["pull", &place, "--insecure"]));
    check(to.path(), &image);
}

#[test]
fn six_killed_builds_and_tidyings_leave_nothing_wrong() {
    let (project, _) = large(2);
    let home = project.path("home");
    let arguments = |verb: &'static [&str]| {
        let mut command = ybox(&home, verb);
        command.arg("--project").arg(project.path(""));
        command
    };
    let build = &["build", "tiny", "--no-load", "--offline", "--trainer", "../trainer"];
    for (turn, moment) in moments(6, Duration::from_millis(150)).enumerate() {
        let preset = format!("model: {turn}\n");
        std::fs::write(project.path("configs/a.yaml"), preset).unwrap();
        kill_after(&mut arguments(build), moment);
        nothing_wrong_is_visible(&home);
        kill_after(&mut arguments(&["gc", "--former", "--yes"]), moment / 4);
        nothing_wrong_is_visible(&home);
    }
    told(&mut arguments(build));
    told(&mut arguments(&["gc", "--former", "--yes"]));
    nothing_wrong_is_visible(&home);
    assert_eq!(images(&home).len(), 1);
}

#[test]
fn eight_killed_imports_leave_nothing_wrong() {
    let (project, image) = large(3);
    let archive = project.path("tiny.tar").display().to_string();
    told(&mut ybox(&project.path("home"), &["export", "ybox/tiny", &archive]));
    let import = ["import", &archive];
    let within = duration(&mut ybox(home().path(), &import));
    let to = home();
    for moment in moments(8, within) {
        kill_after(&mut ybox(to.path(), &import), moment);
        nothing_wrong_is_visible(to.path());
        assert!(images(to.path()).iter().all(|found| found.config == image.config));
    }
    told(&mut ybox(to.path(), &import));
    nothing_wrong_is_visible(to.path());
    let [arrived] = &images(to.path())[..] else { panic!("one image") };
    assert_eq!((&arrived.reference, arrived.config), (&image.reference, image.config));
    let attached = |home: &Path, image| Store::under(home).unwrap().attached(image).unwrap().len();
    assert_eq!(attached(to.path(), arrived), attached(&project.path("home"), &image));
    told(&mut ybox(to.path(), &["gc", "--yes"]));
    assert_eq!(unfinished(to.path()).len(), 0, "what the killed left is gone");
    nothing_wrong_is_visible(to.path());
    assert_eq!(images(to.path()).len(), 1);
}

#[test]
fn eight_killed_imports_of_a_run_leave_nothing_wrong() {
    let place = Place::new();
    place.run(Task::Train, &["data=data/data.yaml", "epochs=2"]).unwrap();
    let archive = place.work().join("run.tar").display().to_string();
    let export = ["export", "runs/train/exp", &archive];
    told(ybox(&place.home(), &export).current_dir(place.work()));
    let import = ["import", &archive];
    let within = duration(&mut ybox(home().path(), &import));
    let to = home();
    let seen = || {
        nothing_wrong_is_visible(to.path());
        let runs = told(&mut ybox(to.path(), &["runs", "--json"]));
        let runs: Vec<serde_json::Value> = serde_json::from_str(&runs).unwrap();
        for run in &runs {
            told(&mut ybox(to.path(), &["verify", run["folder"].as_str().unwrap()]));
        }
        runs.len()
    };
    for moment in moments(8, within) {
        kill_after(&mut ybox(to.path(), &import), moment);
        assert!(seen() <= 1);
    }
    told(&mut ybox(to.path(), &import));
    assert_eq!((seen(), images(to.path()).len()), (1, 1));
    let names = std::fs::read_dir(to.path().join("runs/pulled")).unwrap();
    let hidden = names.filter(|n| n.as_ref().unwrap().file_name().as_encoded_bytes()[0] == b'.');
    assert_eq!(hidden.count(), 1, "only the lock");
}
