//! How the outcome of a replay is printed.

use super::diff::differences;
use crate::replay::{Outcome, TOLERANCE, Verdict};

/// The lines, each ending in a line break.
pub fn replay(verdict: &Verdict) -> String {
    let mut text = String::new();
    if let Some(first) = &verdict.first_step {
        text += &format!("first difference at step {}\n", first.step);
        text += &differences(&first.differences());
    }
    if let Some(likely) = &verdict.likely_cause {
        text += &format!("most likely cause: {}\n", likely.sentence);
    }
    text + &sentence(verdict) + "\n"
}

fn sentence(verdict: &Verdict) -> String {
    let Verdict { steps, after, of, .. } = verdict;
    let which = match (after, *steps == *of) {
        (0, true) => format!("all {of} steps"),
        (0, false) => format!("the first {steps} of {of} steps"),
        _ => format!("steps {} to {} of {of}", after + 1, after + steps),
    };
    let results = if verdict.results { " and the results" } else { "" };
    match verdict.outcome {
        Outcome::Identical => format!("IDENTICAL, bit for bit: {which}{results}"),
        Outcome::WithinTolerance => format!(
            "WITHIN TOLERANCE: {which}; other hardware under fast numerics gives other bits, so each \
             loss was compared to {} %",
            TOLERANCE * 100.0
        ),
        Outcome::Differs => format!("DIFFERENT; compared were {which}{results}"),
    }
}
