//! A plan or its refusals, for people and for machines, from the same value.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::{Value, json};

use super::tables::Tables;
use super::{Plan, Refusals, Rule};
use crate::probe::Facts;

/// Value of `schema` in the JSON form.
pub const SCHEMA: &str = "ybox.plan/v1";

/// Columns of text; longer cells are wrapped.
const WIDTH: u16 = 100;

/// The JSON form: the plan's own fields if there is one, the rules, the refusals, and which tables
/// were asked.
pub fn json(facts: &Facts, outcome: &Result<Plan, Refusals>, tables: &Tables) -> Value {
    let (verdict, plan, rules, refusals) = match outcome {
        Ok(plan) => ("planned", json!(plan), &plan.rules, json!([])),
        Err(refused) => ("refused", json!({}), &refused.rules, json!(refused.refusals)),
    };
    let mut value = json!({ "schema": SCHEMA, "verdict": verdict, "pretended": facts.pretended });
    let fields = value.as_object_mut().expect("it was written as an object");
    if let Value::Object(plan) = plan {
        fields.extend(plan);
    }
    fields.insert("rules".into(), json!(rules));
    fields.insert("refusals".into(), refusals);
    fields.insert("tables".into(), json!(tables.editions()));
    value
}

/// A verdict line, the rules, and for each refusal what would satisfy it. Ends with a newline.
pub fn human(facts: &Facts, outcome: &Result<Plan, Refusals>) -> String {
    let pretended = facts.pretended.as_ref().map(|spec| format!(" [pretended: {spec}]"));
    let pretended = pretended.unwrap_or_default();
    match outcome {
        Ok(plan) => format!("{}{pretended}\n\n{}\n", verdict(plan), table(&plan.rules)),
        Err(refused) => {
            let reasons: String = refused
                .refusals
                .iter()
                .map(|r| format!("\n{}: {}\n  do: {}\n", r.code(), r.sentence(), r.remedy()))
                .collect();
            let codes: Vec<_> = refused.refusals.iter().map(|r| r.code().name()).collect();
            let table = table(&refused.rules);
            format!("refused: {}{pretended}\n\n{table}\n{reasons}", codes.join(", "))
        }
    }
}

fn verdict(plan: &Plan) -> String {
    let device = match plan.devices.as_slice() {
        [] => "the CPU".to_owned(),
        [one] => format!("GPU {one}"),
        several => {
            let names: Vec<_> = several.iter().map(ToString::to_string).collect();
            format!("GPUs {}", names.join(", "))
        }
    };
    let doubt = if plan.verified { "" } else { " (partly unverified)" };
    format!(
        "{} on {device}: attention={} dtype={} numerics={}{doubt}",
        plan.variant,
        plan.attention.name(),
        plan.dtype,
        plan.numerics.name()
    )
}

fn table(rules: &[Rule]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH)
        .set_header(["RULE", "OUTCOME", "CODE", "REASON"]);
    for rule in rules {
        let Rule { subject, outcome, code, reason } = rule;
        table.add_row([subject.as_str(), outcome.name(), code.name(), reason]);
    }
    // Without borders there is nothing to keep the first column away from.
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.trim_fmt()
}
