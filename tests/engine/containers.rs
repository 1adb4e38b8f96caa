//! Containers seen from inside, in each engine: what they must not be able to do, how they end, how
//! they are stopped. What is asserted is the same for all engines.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::bench::{Bench, PIDS, SHM, host};
use ybox::engine::{Caller, Choice, Ended, Ids, Output, StopRequests};

const NO_CAPABILITIES: &str = "0000000000000000";

fn out(line: &str) -> Output {
    Output::Out(line.into())
}

fn owner(path: &Path) -> Ids {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.gid())
}

fn is_hardened(bench: &Bench) {
    let facts = bench.facts();
    let expect = |name: &str, value: &str| assert_eq!(facts[name], value, "{name}: {facts:#?}");
    expect("interfaces", "lo");
    expect("connect", "ENETUNREACH");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        expect(set, NO_CAPABILITIES);
    }
    expect("NoNewPrivs", "1");
    let details = bench.engine.info().details;
    // Podman's filter of system calls allows them, and so does bubblewrap before 0.8 for a user.
    if bench.engine.info().kind != "podman"
        && details.get("nested_user_namespaces") != Some(&true.into())
    {
        expect("new_user_namespace", "refused");
    }
    assert_ne!(facts["setuid"], "ok");
    for place in ["root", "image", "data"] {
        expect(&format!("write_{place}"), "EROFS");
    }
    for place in ["dev", "sysctl"] {
        assert_ne!(facts[&format!("write_{place}")], "ok", "{place}");
    }
    for place in ["out", "tmp", "shm", "null"] {
        expect(&format!("write_{place}"), "ok");
    }
    // Bubblewrap before 0.7 can't limit them.
    if details.get("tmpfs_limit") != Some(&false.into()) {
        expect("tmp", &format!("tmpfs 1777 {}", 1 << 30));
        expect("shm", &format!("tmpfs 1777 {SHM}"));
    }
}

fn has_its_surroundings(bench: &Bench) {
    let facts = bench.facts();
    let expect = |name: &str, value: &str| assert_eq!(facts[name], value, "{name}: {facts:#?}");
    expect("pid", "1");
    expect("host", "ybox");
    expect("cwd", "/");
    expect("umask", "22");
    expect("stdin", "0");
    expect("IMAGE", "i");
    expect("BOTH", "container");
    expect("CONTAINER", "c");
    expect("HOSTNAME", "ybox");
    expect("HOME", "/");
    expect("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    expect("SECRET", "");
}

/// The user inside is the one asked for and not root, and the files are the caller's afterwards.
fn runs_as(bench: &Bench, inside: Ids, afterwards: Ids) {
    let facts = bench.facts();
    assert_eq!(
        (facts["uid"].clone(), facts["gid"].clone()),
        (inside.0.to_string(), inside.1.to_string())
    );
    assert_ne!(inside.0, 0);
    assert_eq!(owner(&bench.home.path().join("out/new")), afterwards);
    assert_eq!(owner(&bench.home.path().join("out")), afterwards);
}

fn runs_as_the_caller(choice: Choice) {
    let caller = host().caller;
    let Some(bench) = Bench::new(choice) else { return };
    let inside = bench.engine.user();
    match (caller.is_root(), caller.sudo) {
        (true, Some(sudo)) if sudo.0 != 0 => runs_as(&bench, sudo, sudo),
        (true, _) => runs_as(&bench, inside, caller.ids),
        (false, _) => runs_as(&bench, caller.ids, caller.ids),
    }
}

fn under_sudo_runs_as_who_called_it(choice: Choice) {
    if !host().caller.is_root() {
        println!("skipped: only root can act for another user");
        return;
    }
    let alice = (1234, 1235);
    let caller = Caller { ids: (0, 0), sudo: Some(alice) };
    let Some(bench) = Bench::called_by(choice, caller) else { return };
    runs_as(&bench, alice, alice);
}

fn plain_root_is_not_root_inside(choice: Choice) {
    if !host().caller.is_root() {
        println!("skipped: not root");
        return;
    }
    let caller = Caller { ids: (0, 0), sudo: None };
    let Some(bench) = Bench::called_by(choice, caller) else { return };
    runs_as(&bench, (65532, 65532), (0, 0));
}

fn limits_processes(bench: &Bench) {
    let (ended, lines) = bench.run(&["forks", "200"]);
    assert_eq!(ended.code, 0);
    // The probe itself counts.
    assert_eq!(lines, [out(&format!("forks={} EAGAIN", PIDS - 1))]);
}

fn passes_exit_codes_on(bench: &Bench) {
    for code in [0, 1, 42, 255] {
        let (ended, _) = bench.run(&["exit", &code.to_string()]);
        assert_eq!(ended, Ended { code, out_of_memory: false });
    }
    assert_eq!(bench.run(&["crash"]).0.code, 128 + libc::SIGSEGV);
    assert_eq!(bench.run(&["silent", "9"]).0.code, 9);
}

fn hands_lines_over(bench: &Bench) {
    const COUNT: usize = 5000;
    let (_, lines) = bench.run(&["lines", &COUNT.to_string()]);
    let texts = |is_out: bool| {
        let text = |line: &Output| match line {
            Output::Out(text) => is_out.then(|| text.clone()),
            Output::Err(text) => (!is_out).then(|| text.clone()),
        };
        lines.iter().filter_map(text).collect::<Vec<_>>()
    };
    let expected = |stream: &str| (0..COUNT).map(|i| format!("{stream} {i}")).collect::<Vec<_>>();
    assert_eq!(texts(true), [expected("out"), vec!["last".into()]].concat());
    assert_eq!(texts(false), expected("err"));
}

fn bounds_long_lines(bench: &Bench) {
    let (_, lines) = bench.run(&["long", "3000000"]);
    let long = format!("{} [{} bytes left out]", "x".repeat(1 << 20), 3_000_000 - (1 << 20));
    assert!(lines == [out(&long), out("next")], "{} lines", lines.len());
}

fn stops_when_asked(bench: &Bench) {
    let stop = StopRequests::new(0);
    let mut lines = Vec::new();
    let ended = bench.engine.run(&bench.container(&["await"]), &stop, &mut |line| {
        stop.store(1, Ordering::Relaxed);
        lines.push(line);
    });
    assert_eq!(lines, [out("ready"), out("interrupted")]);
    assert_eq!(ended.unwrap(), Ended { code: 3, out_of_memory: false });
}

fn kills_when_asked_twice(bench: &Bench) {
    let stop = StopRequests::new(0);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let ended = bench.engine.run(&bench.container(&["deaf"]), &stop, &mut |_| {
            stop.store(1, Ordering::Relaxed);
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                stop.store(2, Ordering::Relaxed);
            });
        });
        assert_eq!(ended.unwrap(), Ended { code: 137, out_of_memory: false });
    });
    let took = started.elapsed();
    assert!(took > Duration::from_millis(500) && took < Duration::from_secs(10), "{took:?}");
}

/// Nothing of it must run on, or the files would still change after they were hashed.
fn ends_when_the_caller_gives_up(bench: &Bench) {
    let mark = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().to_string();
    let given_up = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let container = bench.container(&["deaf", &mark]);
        let _ = bench.engine.run(&container, &StopRequests::new(0), &mut |_| panic!("given up"));
    }));
    assert!(given_up.is_err());
    assert_eq!(processes_named(&format!("/probe\0deaf\0{mark}\0")), 0);
    if host().caller.is_root() {
        assert_ne!(owner(&bench.home.path().join("out")), bench.engine.user());
    }
}

/// Run by the test below in a process of its own, and killed there.
#[test]
#[ignore = "runs until it is killed"]
fn runs_until_killed() {
    let Some(bench) = Bench::new(Choice::Embedded) else { return };
    let mark = std::env::var("YBOX_TEST_MARK").unwrap();
    let container = bench.container(&["deaf", &mark]);
    let stop = StopRequests::new(0);
    let ended = bench.engine.run(&container, &stop, &mut |_| println!("it runs"));
    panic!("{ended:?}");
}

#[test]
fn the_embedded_runner_leaves_nothing_running_when_ybox_is_killed() {
    use std::io::BufRead;
    use std::process::{Command, Stdio};

    if Bench::new(Choice::Embedded).is_none() {
        return;
    }
    let mark = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().to_string();
    let mut ybox = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "containers::runs_until_killed", "--ignored", "--nocapture"])
        .env("YBOX_TEST_MARK", &mark)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(ybox.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.contains("it runs")));
    let inside = || processes_named(&format!("/probe\0deaf\0{mark}\0"));
    assert_eq!(inside(), 1);
    ybox.kill().unwrap();
    ybox.wait().unwrap();
    let killed = Instant::now();
    while inside() > 0 {
        assert!(killed.elapsed() < Duration::from_secs(10), "the container outlived its caller");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn processes_named(command_line: &str) -> usize {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|e| {
            std::fs::read_to_string(e.path().join("cmdline")).is_ok_and(|line| line == command_line)
        })
        .count()
}

fn refuses_a_mount_that_is_not_there(bench: &Bench) {
    let mut container = bench.container(&["exit", "0"]);
    container.mounts[0].source = bench.home.path().join("nowhere");
    let failure = bench.engine.run(&container, &StopRequests::new(0), &mut |_| ()).unwrap_err();
    assert!(format!("{failure}").contains("nowhere"), "{failure}");
}

/// The embedded runner's tests once more, called by a user without any privilege.
#[test]
fn the_embedded_runner_serves_an_ordinary_user() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;

    if !host().caller.is_root() {
        println!("skipped: the other tests are run by an ordinary user already");
        return;
    }
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o777)).unwrap();
    let tests = dir.path().join("tests");
    std::fs::copy(std::env::current_exe().unwrap(), &tests).unwrap();
    let output = std::process::Command::new(&tests)
        .args(["containers::embedded::", "leaves_nothing_running", "--nocapture"])
        .envs([("TMPDIR", dir.path()), ("HOME", dir.path())])
        .env_remove("SUDO_UID")
        .current_dir(dir.path())
        .uid(12345)
        .gid(12346)
        .output()
        .unwrap();
    let report = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{report}");
    assert!(output.status.success());
    assert!(report.contains("test containers::embedded::runs_as_the_caller ... ok"));
}

macro_rules! in_engine {
    ($($engine:ident: $choice:expr),*) => {
        $(tests_of!($engine, $choice,
            is_hardened,
            has_its_surroundings,
            limits_processes,
            passes_exit_codes_on,
            hands_lines_over,
            bounds_long_lines,
            stops_when_asked,
            kills_when_asked_twice,
            ends_when_the_caller_gives_up,
            refuses_a_mount_that_is_not_there
        );)*
    };
}

macro_rules! tests_of {
    ($engine:ident, $choice:expr, $($test:ident),*) => {
        mod $engine {
            use super::*;

            $(#[test]
            fn $test() {
                if let Some(bench) = Bench::new($choice) {
                    super::$test(&bench);
                }
            })*

            #[test]
            fn runs_as_the_caller() {
                super::runs_as_the_caller($choice);
            }

            #[test]
            fn under_sudo_runs_as_who_called_it() {
                super::under_sudo_runs_as_who_called_it($choice);
            }

            #[test]
            fn plain_root_is_not_root_inside() {
                super::plain_root_is_not_root_inside($choice);
            }
        }
    };
}

in_engine!(docker: Choice::Docker, podman: Choice::Podman, embedded: Choice::Embedded);
