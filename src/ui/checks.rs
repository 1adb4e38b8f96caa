//! How a verification is printed: one line for each check, and a last one with the verdict.

use crate::record::verify::{Check, Outcome, Report};

/// The lines of a report, each ending in a line break.
pub fn checks(report: &Report) -> String {
    let width = report.checks.iter().map(|c| c.item.chars().count()).max().unwrap_or(0);
    let lines: String = report.checks.iter().map(|check| line(check, width) + "\n").collect();
    lines + &verdict(report) + "\n"
}

fn line(check: &Check, width: usize) -> String {
    let item = &check.item;
    match &check.outcome {
        Outcome::Ok { detail } => format!("ok   {item:<width$}  {detail}"),
        Outcome::Bad(mismatch) => format!("BAD  {item}: {mismatch}"),
        Outcome::NotChecked(gap) => format!("--   {item:<width$}  not checked: {gap}"),
    }
}

fn verdict(report: &Report) -> String {
    let (bad, skipped) = (report.items(Check::is_bad), report.items(Check::is_skipped));
    let unchecked = match skipped.len() {
        0 => String::new(),
        _ => format!("; not checked: {}", skipped.join(", ")),
    };
    let made = report.checks.len() - skipped.len();
    match bad.len() {
        0 => format!("verified: {made} checks, all match{unchecked}"),
        n => format!("MISMATCH in {n} of {made} checks: {}{unchecked}", bad.join(", ")),
    }
}
