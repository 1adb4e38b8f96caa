//! Settling what `auto` means on this host, by `plan`'s rules. There is only an image for the CPU
//! yet, so the plan is asked for that.

use ybox_spec::config::Compute;

use crate::plan::{self, Device, Tables, Variant};
use crate::probe::Facts;
use crate::ui::Failure;

/// `asked` with nothing left open, or the plan's refusal.
pub fn settle(facts: &Facts, asked: &Compute) -> Result<Compute, Failure> {
    let request = plan::Request {
        variant: Some(Variant::Cpu),
        device: Device::Cpu,
        attention: asked.attention,
        dtype: None,
        numerics: Some(asked.numerics),
    };
    match plan::plan(facts, &request, &Tables::built_in()) {
        Ok(plan) => Ok(Compute {
            attention: plan.attention,
            numerics: plan.numerics,
            threads: asked.threads,
        }),
        Err(refused) => {
            let remedy = refused.refusals.first().map(|refusal| refusal.remedy());
            let failure = Failure::new(refused.to_string(), 1);
            Err(Failure { hint: remedy, ..failure })
        }
    }
}

/// What to say about GPUs that stay unused.
pub fn unused_gpus(facts: &Facts) -> Option<String> {
    let count = facts.gpus.known().map_or(0, Vec::len);
    (count > 0)
        .then(|| "this machine's GPUs are not used: the image computes on the CPU".to_owned())
}

#[cfg(test)]
mod tests {
    use ybox_spec::config::{AttentionPath, Numerics};

    use super::*;

    fn on(hardware: &str, attention: AttentionPath) -> Result<Compute, Failure> {
        let facts = plan::pretend(hardware, &Tables::built_in()).unwrap();
        settle(&facts, &Compute { attention, ..Compute::default() })
    }

    #[test]
    fn auto_becomes_a_path_of_the_cpu_and_the_rest_stays() {
        for hardware in ["cpu", "T4"] {
            let compute = on(hardware, AttentionPath::Auto).unwrap();
            assert_eq!(compute.attention, AttentionPath::Flash);
            assert_eq!((compute.numerics, compute.threads), (Numerics::Portable, 2));
        }
        assert_eq!(on("cpu", AttentionPath::Safe).unwrap().attention, AttentionPath::Safe);
    }

    #[test]
    fn a_path_that_only_gpus_have_is_refused_with_what_to_do() {
        let failure = on("cpu", AttentionPath::Efficient).unwrap_err();
        assert_eq!(failure.exit, 1);
        assert!(failure.hint.is_some(), "{failure}");
    }

    #[test]
    fn gpus_are_not_passed_over_in_silence() {
        let facts = |hardware| plan::pretend(hardware, &Tables::built_in()).unwrap();
        assert!(unused_gpus(&facts("T4")).is_some());
        assert_eq!(unused_gpus(&facts("cpu")), None);
    }
}
