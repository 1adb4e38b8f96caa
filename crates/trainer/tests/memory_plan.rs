//! `checkpointing=auto` by the real command: it plans with what it is given, trains with the policy
//! that fits, and the weights are those of any other policy.

// clippy.toml allows it in #[test] functions; here it is also in what they share.
#![allow(clippy::unwrap_used)]

mod command_support;
mod data_support;

use command_support::{Data, config};
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
