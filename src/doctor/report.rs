//! Checks as people and as machines read them.

use serde_json::{Value, json};

use super::{Check, Outcome};

/// Value of `schema` in the JSON form.
pub const SCHEMA: &str = "ybox.doctor/v1";

/// The JSON form: whether all is well, and every check.
pub fn json(checks: &[Check]) -> Value {
    let well = !checks.iter().any(Check::is_ill);
    json!({ "schema": SCHEMA, "well": well, "checks": checks })
}

/// A line for each check, with two more where something is wrong, and a last one with the verdict.
pub fn human(checks: &[Check]) -> String {
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0);
    let lines: String = checks.iter().map(|check| lines(check, width)).collect();
    lines + &verdict(checks) + "\n"
}

fn lines(check: &Check, width: usize) -> String {
    let name = check.name;
    match &check.outcome {
        Outcome::Well { found } => format!("ok   {name:<width$}  {found}\n"),
        Outcome::Skipped { reason } => format!("--   {name:<width$}  {reason}\n"),
        Outcome::Ill { found, wrong, mend } => {
            let indent = " ".repeat(5 + width + 2);
            format!("BAD  {name:<width$}  {found}\n{indent}{wrong}\n{indent}do: {mend}\n")
        }
    }
}

fn verdict(checks: &[Check]) -> String {
    let ill: Vec<_> = checks.iter().filter(|check| check.is_ill()).map(|c| c.name).collect();
    match ill.len() {
        0 => "all is well".into(),
        count => format!("{count} of {} checks found trouble: {}", checks.len(), ill.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks() -> Vec<Check> {
        vec![
            Check::well("driver", "580.82.07, 1 of the GPUs fit cuda13"),
            Check::ill("toolkit", "nothing", "there is no CDI specification", "install it"),
            Check::skipped("data", "not asked for: --data FILE"),
        ]
    }

    #[test]
    fn trouble_is_said_with_what_to_do() {
        let expected = "\
ok   driver   580.82.07, 1 of the GPUs fit cuda13
BAD  toolkit  nothing
              there is no CDI specification
              do: install it
--   data     not asked for: --data FILE
1 of 3 checks found trouble: toolkit
";
        assert_eq!(human(&checks()), expected);
        assert!(human(&checks()[..1]).ends_with("all is well\n"));
    }

    #[test]
    fn machines_read_the_same() {
        let value = json(&checks());
        assert_eq!(value["well"], false);
        assert_eq!(value["checks"][1]["state"], "ill");
        assert_eq!(value["checks"][1]["mend"], "install it");
        assert_eq!(value["checks"][0]["found"], "580.82.07, 1 of the GPUs fit cuda13");
    }
}
