//! A training that really runs out of memory says so, and what would need less.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod command_support;
mod data_support;

use std::process::Command;

use command_support::{Data, config};
use serde_json::Value;
use ybox_spec::config::{AttentionPath, Compute, TrainConfig};

const IMGSZ: u32 = 2048;

/// What a training says last that has an address space of `bytes`: enough to start, not for one
/// picture of that size.
fn last_words(bytes: u64, checkpointing: &str) -> Value {
    let data = Data::of(1);
    let run = data.run(&TrainConfig {
        imgsz: IMGSZ,
        batch: 2,
        compute: Compute { attention: AttentionPath::Flash, ..Compute::default() },
        ..config()
    });
    let train = run.train(&["--workers", "1", "--checkpointing", checkpointing]);
    let output = Command::new("prlimit")
        .arg(format!("--as={bytes}"))
        .arg(train.get_program())
        .args(train.get_args())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}{errors}");
    assert_eq!(errors, "", "libtorch's own words are not wanted");
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["code"]), (&"failed".into(), &"out-of-memory".into()));
    last
}

#[test]
fn a_failed_allocation_is_an_error_with_advice() {
    let last = last_words(2 << 30, "none");
    let message = last["message"].as_str().unwrap();
    println!("{message}");
    let tried = "out of memory in training yolov12n with batch=2, imgsz=2048, checkpointing=none: ";
    assert!(message.starts_with(tried), "{message}");
    assert!(message.contains(" more were needed, and "), "{message}");
    assert!(message.ends_with(" of 2.0 GiB were in use"), "{message}");
    assert_eq!(
        last["hint"],
        "any of these needs less: checkpointing=layer+head (more time, the same bits), batch=1, \
         imgsz=1440"
    );
}

#[test]
fn where_nothing_can_be_measured_auto_says_that_memory_ran_out() {
    let last = last_words(5 << 28, "auto");
    let message = last["message"].as_str().unwrap();
    let expected = "out of memory: not even a small batch could be measured under \
                    checkpointing=layer+head: out of memory in training yolov12n with batch=2, ";
    assert!(message.starts_with(expected), "{message}");
    assert_eq!(last["hint"], "any of these needs less: batch=1, imgsz=1440");
}
