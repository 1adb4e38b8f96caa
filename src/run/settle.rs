//! Settling what `auto` means on this host, by `plan`'s rules. There is only an image for the CPU
//! yet, so the plan is asked for that.

use ybox_spec::amp::Amp;
use ybox_spec::config::{Compute, Numerics};

use crate::plan::{self, Device, Dtype, Tables, Variant};
use crate::probe::Facts;
use crate::ui::Failure;

/// `asked` and `amp` with nothing left open, or the plan's refusal.
pub fn settle(facts: &Facts, asked: &Compute, amp: Amp) -> Result<(Compute, Amp), Failure> {
    let request = plan::Request {
        variant: Some(Variant::Cpu),
        device: Device::Cpu,
        attention: asked.attention,
        dtype: None,
        numerics: Some(asked.numerics),
    };
    match plan::plan(facts, &request, &Tables::built_in()) {
        Ok(plan) => {
            let (attention, numerics) = (plan.attention, plan.numerics);
            let compute = Compute { attention, numerics, threads: asked.threads };
            let amp = settle_amp(amp, plan.dtype, numerics)?;
            Ok((compute, amp))
        }
        Err(refused) => {
            let remedy = refused.refusals.first().map(|refusal| refusal.remedy());
            let failure = Failure::new(refused.to_string(), 1);
            Err(Failure { hint: remedy, ..failure })
        }
    }
}

/// `auto` takes bf16 where the device's own number format is that.
fn settle_amp(asked: Amp, device: Dtype, numerics: Numerics) -> Result<Amp, Failure> {
    let amp = match (asked, device) {
        (Amp::Auto, Dtype::Bf16) => Amp::Bf16,
        (Amp::Auto, Dtype::Fp16 | Dtype::Fp32) => Amp::Off,
        (asked, _) => asked,
    };
    if amp != Amp::Off && numerics == Numerics::Portable {
        let why = format!(
            "portable numerics promise the same bits on any x86-64 CPU; amp={} computes by what the \
             CPU at hand has",
            amp.name()
        );
        return Err(Failure::new(why, 1).hint("use numerics=fast, or amp=off"));
    }
    Ok(amp)
}

/// What to say about GPUs that stay unused.
pub fn unused_gpus(facts: &Facts) -> Option<String> {
    let count = facts.gpus.known().map_or(0, Vec::len);
    (count > 0)
        .then(|| "this machine's GPUs are not used: the image computes on the CPU".to_owned())
}

#[cfg(test)]
mod tests {
    use ybox_spec::config::AttentionPath;

    use super::*;

    fn on(hardware: &str, attention: AttentionPath) -> Result<Compute, Failure> {
        let facts = plan::pretend(hardware, &Tables::built_in()).unwrap();
        let compute = Compute { attention, ..Compute::default() };
        settle(&facts, &compute, Amp::Auto).map(|(compute, _)| compute)
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
    fn mixed_precision_follows_the_number_format_of_the_device() {
        let settled = |amp, device| settle_amp(amp, device, Numerics::Fast).unwrap();
        for (device, expected) in
            [(Dtype::Fp32, Amp::Off), (Dtype::Fp16, Amp::Off), (Dtype::Bf16, Amp::Bf16)]
        {
            assert_eq!(settled(Amp::Auto, device), expected, "{device}");
            assert_eq!(settled(Amp::Off, device), Amp::Off);
            assert_eq!(settled(Amp::Bf16, device), Amp::Bf16);
            assert_eq!(settled(Amp::Fp16, device), Amp::Fp16);
        }
    }

    #[test]
    fn mixed_precision_is_refused_where_the_bits_must_hold_on_any_cpu() {
        for amp in [Amp::Bf16, Amp::Fp16] {
            let settled = |numerics| settle_amp(amp, Dtype::Fp32, numerics);
            assert!(settled(Numerics::Fast).is_ok());
            let failure = settled(Numerics::Portable).unwrap_err();
            assert!(failure.to_string().contains(amp.name()), "{failure}");
            assert_eq!(failure.hint.as_deref(), Some("use numerics=fast, or amp=off"));
        }
        let auto = settle_amp(Amp::Auto, Dtype::Fp32, Numerics::Portable);
        assert_eq!(auto.unwrap(), Amp::Off);
    }

    #[test]
    fn gpus_are_not_passed_over_in_silence() {
        let facts = |hardware| plan::pretend(hardware, &Tables::built_in()).unwrap();
        assert!(unused_gpus(&facts("T4")).is_some());
        assert_eq!(unused_gpus(&facts("cpu")), None);
    }
}
