//! What a person and a script read of `ybox plan` and `ybox probe`: exit code, stdout and stderr.

// A helper of a test may fail like the test itself.
#![allow(clippy::unwrap_used)]

use assert_cmd::Command;

fn ybox(arguments: &[&str]) -> (i32, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::cargo_bin("ybox").unwrap();
    let output = command
        .args(arguments)
        .env_remove("YBOX_PRETEND")
        .env("YBOX_HOME", home.path())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn page(arguments: &[&str]) -> String {
    let (code, out, err) = ybox(arguments);
    format!("exit: {code}\n--- stdout\n{out}--- stderr\n{err}")
}

fn planned(hardware: &str) -> String {
    page(&["plan", "--pretend", hardware])
}

#[test]
fn plans_as_people_read_them() {
    for (name, hardware) in [
        ("t4", "T4"),
        ("v100", "V100,driver=580.65.06"),
        ("v100_driver_too_new", "V100,driver=595.71.05"),
        ("a100", "A100"),
        ("h100", "H100,driver=535.129.03"),
        ("rtx_5090", "RTX 5090,driver=580.82.07"),
        ("mixed", "gpu=A100+T4,driver=580.82.07"),
        ("mixed_no_common_stack", "RTX 5090+V100"),
        ("no_gpu", "cpu"),
        ("old_cpu", "cpu,isa=sse4_2"),
        ("old_driver", "T4,driver=470.256.02"),
        ("no_driver", "T4,driver=none"),
        ("arm", "GH200"),
    ] {
        insta::assert_snapshot!(name, planned(hardware));
    }
}

#[test]
fn memory_of_a_training_is_predicted() {
    let page = |batch: &str, hardware| {
        let model = ["--model", "yolov12n", "--batch", batch, "--imgsz", "640"];
        page(&[&["plan", "--pretend", hardware], &model[..]].concat())
    };
    insta::assert_snapshot!("memory_t4", page("256", "T4"));
    insta::assert_snapshot!("memory_too_large", page("1024", "T4"));
    insta::assert_snapshot!("memory_cpu", page("16", "cpu"));
}

#[test]
fn wishes_that_can_t_be_met() {
    insta::assert_snapshot!(
        "flash_on_t4",
        page(&["plan", "--pretend", "T4", "attention=flash", "numerics=portable"])
    );
    insta::assert_snapshot!("no_such_device", page(&["plan", "--pretend", "2xA100", "device=2"]));
    insta::assert_snapshot!(
        "portable_fp16",
        page(&["plan", "--pretend", "cpu", "dtype=fp16", "numerics=portable"])
    );
    insta::assert_snapshot!("cpu_with_a_gpu", page(&["plan", "--pretend", "A100", "variant=cpu"]));
}

#[test]
fn a_short_format_on_a_cpu() {
    insta::assert_snapshot!("cpu_bf16", page(&["plan", "--pretend", "cpu", "dtype=bf16"]));
}

#[test]
fn mistakes_are_named() {
    insta::assert_snapshot!("unknown_gpu", planned("RTX 4099"));
    insta::assert_snapshot!("driver_branch", planned("T4,driver=580"));
    insta::assert_snapshot!("unknown_wish", page(&["plan", "--pretend", "T4", "atention=flash"]));
    insta::assert_snapshot!("missing_file", planned("missing.json"));
}

#[test]
fn probe_shows_pretended_facts_as_such() {
    insta::assert_snapshot!(
        "probe_pretended",
        page(&["probe", "--pretend", "gpu=2xA100,driver=580.82.07"])
    );
}

#[test]
fn the_json_form_says_the_same() {
    let (code, out, _) = ybox(&["plan", "--json", "--pretend", "gpu=A100+T4,driver=580.82.07"]);
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0);
    assert_eq!(plan["schema"], "ybox.plan/v1");
    assert_eq!(plan["verdict"], "planned");
    assert_eq!(plan["pretended"], "gpu=A100+T4,driver=580.82.07");
    assert_eq!((&plan["variant"], &plan["attention"]), (&"cuda13".into(), &"efficient".into()));
    assert_eq!(plan["devices"], serde_json::json!([0, 1]));
    assert_eq!(plan["refusals"], serde_json::json!([]));
    assert_eq!(plan["tables"].as_array().unwrap().len(), 5);

    let (code, out, _) = ybox(&["plan", "--json", "--pretend", "V100,driver=470.256.02"]);
    let plan: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &plan["verdict"]), (1, &"refused".into()));
    assert_eq!(plan["refusals"][0]["code"], "driver-too-old");
    assert_eq!(
        plan["refusals"][0]["remedy"],
        "install driver 525.60.13 or newer; meanwhile, device=cpu works"
    );
    assert_eq!(plan.get("variant"), None);
}

#[test]
fn facts_of_one_machine_can_be_planned_on_another() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("facts.json");
    let (_, facts, _) = ybox(&["probe", "--json", "--pretend", "L4,driver=535.129.03"]);
    std::fs::write(&file, facts).unwrap();
    let file = file.to_str().unwrap();
    let (code, out, _) = ybox(&["plan", "--pretend", file]);
    assert_eq!(code, 0);
    let verdict =
        format!("cuda126 on GPU 0: attention=flash dtype=bf16 numerics=fast [pretended: {file}]");
    assert_eq!(out.lines().next(), Some(verdict.as_str()));

    std::fs::write(file, "{\"schema\": \"ybox.facts/v1\"}").unwrap();
    let (code, _, err) = ybox(&["plan", "--pretend", file]);
    assert_eq!(code, 2);
    assert!(err.contains("holds no facts") && err.contains("missing field"), "{err}");
}
