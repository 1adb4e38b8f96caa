//! Probing a real machine, whichever it is, and drivers that hang, crash or talk nonsense.

// A helper of a test may fail like the test itself.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use ybox::probe::{Answer, Fact, Facts, Questioner, Surroundings, probe, table};

fn itself() -> Questioner {
    Questioner {
        program: env!("CARGO_BIN_EXE_ybox").into(),
        arguments: ["--home", "/nonexistent", "probe", "--driver-only"].map(Into::into).to_vec(),
        libraries: None,
    }
}

/// A stand-in for ybox as it asks the driver.
fn shell(text: &str) -> Questioner {
    Questioner {
        program: "/bin/sh".into(),
        arguments: ["-c", text].map(Into::into).to_vec(),
        libraries: None,
    }
}

fn learn(questioner: Questioner, patience: Duration) -> Facts {
    let mut surroundings = Surroundings::of_host(questioner, |name| std::env::var_os(name));
    surroundings.patience = patience;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(probe(&surroundings))
}

#[test]
fn this_machine_can_be_probed_with_or_without_a_driver() {
    let facts = learn(itself(), Duration::from_secs(60));
    assert!(facts.cpu.logical_cores.known().is_some_and(|cores| *cores >= 1), "{facts:?}");
    assert!(facts.cpu.usable_cores.known().is_some_and(|cores| *cores >= 1), "{facts:?}");
    assert!(facts.memory.total.known().is_some_and(|bytes| *bytes > 1 << 20), "{facts:?}");
    assert!(facts.system.kernel.known().is_some(), "{facts:?}");
    // Whatever there is, it was asked and it answered.
    let gpus = facts.gpus.known().expect("the driver, or its absence, is known");
    if matches!(facts.driver, Fact::Absent { .. }) {
        assert!(gpus.is_empty());
    }
    assert!(table(&facts).contains("NVIDIA driver"));
}

#[test]
fn the_facts_read_back_from_their_json() {
    let facts = learn(itself(), Duration::from_secs(60));
    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<Facts>(&json).unwrap(), facts);
}

#[test]
fn the_driver_is_asked_in_a_process_that_prints_one_document() {
    let output = assert_cmd::Command::cargo_bin("ybox")
        .unwrap()
        .args(["--home", "/nonexistent", "probe", "--driver-only"])
        .output()
        .unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    serde_json::from_slice::<Answer>(&output.stdout).unwrap();
}

#[test]
fn a_hung_driver_is_left_behind() {
    let started = Instant::now();
    let facts = learn(shell("exec sleep 600"), Duration::from_secs(2));
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(facts.gpus.reason().contains("did not answer within 2 s"), "{:?}", facts.gpus);
}

#[test]
fn a_driver_that_crashes_or_talks_nonsense_leaves_its_facts_unknown() {
    for (text, reason) in [
        ("kill -SEGV $$", "signal"),
        ("echo '{}'", "can't be read"),
        ("echo Bus error; exit 3", "exit status: 3"),
    ] {
        let facts = learn(shell(text), Duration::from_secs(60));
        assert!(matches!(facts.gpus, Fact::Unknown { .. }), "{text}: {:?}", facts.gpus);
        assert!(facts.gpus.reason().contains(reason), "{text}: {:?}", facts.gpus);
    }
}

#[test]
fn a_program_that_isn_t_there_leaves_the_gpus_unknown() {
    let nowhere = Questioner { program: "/nonexistent/ybox".into(), ..itself() };
    assert!(matches!(learn(nowhere, Duration::from_secs(60)).gpus, Fact::Unknown { .. }));
}

#[test]
fn the_answer_becomes_gpus_and_driver() {
    let answer = r#"{"cuda": {"absent": "no libcuda"}, "nvml": {"driver": "535.129.03", "cuda": "12.2",
        "devices": [{"index": 0, "name": "Tesla T4", "uuid": "GPU-0", "capability": "7.5",
                     "memory": 16106127360, "pci": "0000:01:00.0"}]}}"#;
    let facts = learn(shell(&format!("echo '{answer}'")), Duration::from_secs(60));
    let gpu = &facts.gpus.known().unwrap()[0];
    assert_eq!(gpu.capability.known().unwrap().to_string(), "7.5");
    let driver = facts.driver.known().unwrap();
    assert_eq!(driver.version.known().unwrap().to_string(), "535.129.03");
    assert!(
        table(&facts)
            .contains("Tesla T4, compute capability 7.5, 15.0 GiB, GPU-0, at 0000:01:00.0")
    );
}

#[test]
fn the_library_folder_reaches_the_process_that_asks() {
    let text = "test \"$LD_LIBRARY_PATH\" = /stand-in && test \"$CUDA_DEVICE_ORDER\" = PCI_BUS_ID || exit 9\n\
                echo '{\"cuda\": {\"absent\": \"a\"}, \"nvml\": {\"absent\": \"b\"}}'";
    let questioner = Questioner { libraries: Some("/stand-in".into()), ..shell(text) };
    assert!(learn(questioner, Duration::from_secs(60)).gpus.reason().is_empty());
}
