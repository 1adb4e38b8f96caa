//! What must not matter: clock, time zone, locale, user, home, host name, umask, and the times of
//! the files. Under each of them the same build and the same run give the same hashes.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

#[path = "image/fixture.rs"]
#[allow(dead_code, reason = "the tests of images use the rest")]
mod fixture;
mod run_standin;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use fixture::Project;
use run_standin::Place;
use serde_json::{Value, json};

/// Where the run under other circumstances writes what it found.
const ANSWER: &str = "YBOX_TEST_ANSWER";

/// Builds and trains, and says what came of it and what the circumstances were.
#[test]
#[ignore = "run by the other test, under other circumstances"]
fn one_build_and_run() {
    let answer = std::env::var_os(ANSWER).expect("set by the other test");
    let project = Project::new();
    let output = project.ybox(&["build", "tiny", "--no-load", "--json"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let built: Value = serde_json::from_slice(&output.stdout).unwrap();
    let place = Place::new();
    let label = fs::File::options().write(true).open(place.work().join("data/labels/val/3.txt"));
    label.unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(another_time())).unwrap();
    let record = place.train().record;
    let text = json!({
        "hashes": {
            "image": [&built["manifest"], &built["config"]],
            "layers": built["layers"].as_array().unwrap().iter().map(|l| &l["digest"]).collect::<Vec<_>>(),
            "input": record.input_hash,
            "result": record.result_hash,
            "run": record.run_hash,
        },
        "circumstances": {
            "started": record.circumstances.started,
            "host": fs::read_to_string("/proc/sys/kernel/hostname").unwrap(),
            "user": rustix::process::getuid().as_raw(),
        },
    });
    fs::write(answer, text.to_string()).unwrap();
}

/// Another time at each run.
fn another_time() -> u64 {
    u64::from(std::process::id()) * 1000
}

/// The answer of [`one_build_and_run`] when `change` has been made to how it is started.
fn under(change: impl FnOnce(Command) -> Command) -> Option<Value> {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let answer = dir.path().join("answer");
    let command = Command::new(std::env::current_exe().unwrap());
    let output = change(command)
        .args(["--ignored", "--exact", "one_build_and_run"])
        .env(ANSWER, &answer)
        .output()
        .ok()?;
    let text = fs::read(&answer).ok();
    if text.is_none() {
        println!("{}", String::from_utf8_lossy(&output.stdout));
        println!("{}", String::from_utf8_lossy(&output.stderr));
    }
    text.map(|text| serde_json::from_slice(&text).unwrap())
}

/// `command` as the argument of another program.
fn inside(program: &str, arguments: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(program);
    outer.args(arguments).arg(command.get_program());
    outer
}

/// Compiles a library that shifts every clock of a process by so many seconds.
fn shifted_clock(dir: &Path, seconds: i64) -> Option<PathBuf> {
    let source = dir.join("clock.c");
    let library = dir.join("clock.so");
    let code = "
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <time.h>
        #include <sys/time.h>
        int clock_gettime(clockid_t clock, struct timespec *at) {
            static int (*real)(clockid_t, struct timespec *);
            if (!real) real = dlsym(RTLD_NEXT, \"clock_gettime\");
            int result = real(clock, at);
            if (clock == CLOCK_REALTIME) at->tv_sec += SHIFT;
            return result;
        }
        time_t time(time_t *at) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (at) *at = now.tv_sec;
            return now.tv_sec;
        }
        int gettimeofday(struct timeval *at, void *zone) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            at->tv_sec = now.tv_sec;
            at->tv_usec = now.tv_nsec / 1000;
            return 0;
        }";
    fs::write(&source, code).unwrap();
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", &format!("-DSHIFT=({seconds}L)"), "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    compiled.is_ok_and(|status| status.success()).then_some(library)
}

#[test]
fn no_hash_depends_on_when_where_and_by_whom() {
    let plain = under(|command| command).unwrap();
    let same = |what: &str, found: Option<Value>| {
        let found = found?;
        assert_eq!(found["hashes"], plain["hashes"], "{what}");
        Some(found["circumstances"].clone())
    };
    let here = &plain["circumstances"];

    let variables = [
        [("TZ", "Pacific/Kiritimati"), ("LC_ALL", "tr_TR.UTF-8"), ("LANG", "tr_TR.UTF-8")],
        [("TZ", "America/St_Johns"), ("LC_ALL", "C"), ("LANG", "")],
        [("USER", "somebody"), ("LOGNAME", "somebody"), ("HOME", "/nonexistent")],
        [("SOURCE_DATE_EPOCH", "1"), ("HOSTNAME", "elsewhere"), ("XDG_DATA_HOME", "/nonexistent")],
    ];
    for variables in variables {
        same(
            &format!("{variables:?}"),
            under(|mut command| {
                command.envs(variables);
                command
            }),
        )
        .unwrap();
    }

    for mask in ["0077", "0000"] {
        let script = format!("umask {mask}; exec \"$0\" \"$@\"");
        same(mask, under(|command| inside("sh", &["-c", &script], &command))).unwrap();
    }

    let hostname =
        ["--map-root-user", "--uts", "sh", "-c", "hostname elsewhere && exec \"$0\" \"$@\""];
    match same("host name", under(|command| inside("unshare", &hostname, &command))) {
        Some(there) => assert_eq!(there["host"], "elsewhere\n"),
        None => println!("skipped: no other host name can be had here"),
    }

    let other = under(|mut command| {
        command.uid(12_345).gid(12_345).env("HOME", "/nonexistent");
        command
    });
    match same("user", other) {
        Some(there) => assert_eq!(there["user"], 12_345),
        None => println!("skipped: this user can't act as another"),
    }

    for seconds in [400 * 86_400, -20 * 365 * 86_400] {
        let dir = tempfile::tempdir().unwrap();
        let Some(library) = shifted_clock(dir.path(), seconds) else {
            println!("skipped: there is no C compiler to shift the clock with");
            continue;
        };
        let there = same(
            "clock",
            under(|mut command| {
                command.env("LD_PRELOAD", &library);
                command
            }),
        );
        let year = |of: &Value| of["started"].as_str().unwrap()[..4].parse::<i64>().unwrap();
        let moved = year(&there.unwrap()) - year(here);
        assert!(if seconds > 0 { (1..=2).contains(&moved) } else { moved <= -19 }, "{moved}");
    }
}
