//! `checkpointing=auto` by the real command: it plans with what it is given, trains with the policy
//! that fits, and the weights are those of any other policy.

// clippy.toml allows it in #[test]
fn auto_takes_what_fits_and_trains_to_the_same_bits() {
    let (none, weights) = trained(&["--checkpointing", "none"]);
    assert_eq!(none, None);
    let (plan, tight) = trained(&["--checkpointing", "auto", "--memory", "1MiB"]);
    let plan = plan.unwrap();
    assert_eq!(plan.policies.len(), Checkpointing::ALL.len());
    let peak = |policy| plan.policies.iter().find(|p| p.policy == policy).unwrap().peak;
    assert!(peak(Checkpointing::LayerHead) < peak(Checkpointing::None), "{plan:?}");
    assert!(!plan.fits());
    assert_eq!(plan.chosen, Checkpointing::LayerHead);
    assert!(tight == weights, "neither planning nor the policy changes the weights");
}
