//! Where two runs happened: the class of hardware, which can decide bits, and what else is known of
//! the machines, which should not.

use serde_json::{Value, json};
use ybox_spec::record::Circumstances;

use super::section::{Difference, Section, Subject, counted};

/// Something about two hosts that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct HostChange {
    pub difference: Difference,
    /// Whether it makes another class of hardware, on which `fast` numerics may have other bits.
    pub hardware: bool,
}

/// Name, and place in the facts of `ybox probe`.
const HARDWARE: [(&str, &str); 5] = [
    ("architecture", "/cpu/architecture"),
    ("vendor", "/cpu/vendor"),
    ("processor", "/cpu/model"),
    ("instruction sets", "/cpu/instruction_sets"),
    ("GPUs", "/gpus"),
];
const SOFTWARE: [(&str, &str); 7] = [
    ("driver", "/driver/version"),
    ("usable cores", "/cpu/usable_cores"),
    ("memory", "/memory/total"),
    ("system", "/system/name"),
    ("kernel", "/system/kernel"),
    ("glibc", "/system/glibc"),
    ("wsl", "/system/wsl"),
];
const LAUNCH: [&str; 8] =
    ["workers", "cache", "checkpointing", "memory", "checkpoint_every", "device", "p2p", "plots"];

/// Compares the facts of two hosts. What one of them does not tell is passed over.
pub fn changes(a: &Value, b: &Value) -> Vec<HostChange> {
    let all = |list: &'static [(&str, &str)], hardware| {
        list.iter().map(move |&(name, place)| (name, place, hardware))
    };
    all(&HARDWARE, true)
        .chain(all(&SOFTWARE, false))
        .filter_map(|(name, place, hardware)| {
            let (a, b) = (known(a, place)?, known(b, place)?);
            Some(HostChange { difference: difference(name, a, b)?, hardware })
        })
        .collect()
}

/// A fact that is known. An absent GPU is a fact too.
fn known(host: &Value, place: &str) -> Option<Value> {
    let fact = host.pointer(place)?;
    if fact.get("unknown").is_some() {
        return None;
    }
    if place == "/gpus" {
        let name = |gpu: &Value| json!([gpu["name"], gpu["capability"]]);
        return Some(fact.as_array().into_iter().flatten().map(name).collect());
    }
    Some(if fact.get("absent").is_some() { json!("none") } else { fact.clone() })
}

fn difference(name: &str, a: Value, b: Value) -> Option<Difference> {
    if a == b {
        return None;
    }
    if let (Value::Array(a), Value::Array(b)) = (&a, &b) {
        return Some(Difference::values(name, Some(beyond(a, b)), Some(beyond(b, a))));
    }
    Some(Difference::values(name, Some(a), Some(b)))
}

/// What only `these` hold, as people would list it.
fn beyond(these: &[Value], those: &[Value]) -> Value {
    let mut left = those.to_vec();
    let mut only = Vec::new();
    for value in these {
        match left.iter().position(|other| other == value) {
            Some(place) => drop(left.remove(place)),
            None => only.push(listed(value)),
        }
    }
    json!(if only.is_empty() { "no other".to_owned() } else { only.join(", ") })
}

fn listed(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(listed).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// Hosts, and how the runs were launched on them.
pub fn section(a: &Circumstances, b: &Circumstances) -> Section {
    let mut differences: Vec<_> =
        changes(&a.host, &b.host).into_iter().map(|change| change.difference).collect();
    differences.extend(difference("ybox", json!(a.ybox), json!(b.ybox)));
    for part in ["kind", "version"] {
        let of = |c: &Circumstances| c.engine[part].clone();
        differences.extend(difference(&format!("engine {part}"), of(a), of(b)));
    }
    for key in LAUNCH {
        // An older ybox did not know every key.
        let both = a.launch.get(key).cloned().zip(b.launch.get(key).cloned());
        differences.extend(both.and_then(|(a, b)| difference(key, a, b)));
    }
    if !differences.is_empty() {
        let summary = counted(differences.len(), "fact");
        return Section::differs(Subject::Host, summary, differences);
    }
    match known(&a.host, "/cpu/model") {
        Some(model) => Section::same(Subject::Host, listed(&model)),
        None if a.host == b.host => Section::same(Subject::Host, ""),
        None => Section::not_compared(Subject::Host, "the records hold no facts that ybox knows"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{self, Tables};

    fn host(hardware: &str) -> Value {
        serde_json::to_value(plan::pretend(hardware, &Tables::built_in()).unwrap()).unwrap()
    }

    #[test]
    fn the_class_of_hardware_is_told_from_the_rest() {
        let mut a = host("T4");
        let mut b = host("A100");
        a["cpu"]["instruction_sets"] = json!(["avx2", "avx512f"]);
        b["cpu"]["instruction_sets"] = json!(["avx2"]);
        (a["system"]["kernel"], b["system"]["kernel"]) = (json!("6.1"), json!("6.12"));
        a["cpu"]["model"] = json!({"unknown": "not read"});
        let found = changes(&a, &b);
        let of = |name: &str| found.iter().find(|c| c.difference.item == name).unwrap();
        let shown = |name: &str| {
            let difference = &of(name).difference;
            [&difference.a, &difference.b].map(|held| held.as_ref().unwrap().to_string())
        };
        assert_eq!(shown("instruction sets"), ["avx512f", "no other"]);
        assert!(shown("GPUs")[0].contains("T4") && of("GPUs").hardware);
        assert_eq!(shown("kernel"), ["6.1", "6.12"]);
        assert!(!of("kernel").hardware);
        assert!(found.iter().all(|c| c.difference.item != "processor"));
        assert_eq!(changes(&a, &a), []);
    }

    #[test]
    fn a_gpu_that_is_absent_is_no_unknown_one() {
        let (mut with, mut without) = (host("T4"), host("cpu"));
        assert!(changes(&with, &without).iter().any(|c| c.difference.item == "GPUs"));
        with["gpus"] = json!({"unknown": "why"});
        without["gpus"] = json!([]);
        assert!(changes(&with, &without).iter().all(|c| c.difference.item != "GPUs"));
    }
}
