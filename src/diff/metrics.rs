//! The final numbers of two runs: the last row of `results.csv` and its best mAP, or what
//! `metrics.json` says.

use serde_json::{Map, Value, json};
use ybox_spec::results::Table;

use super::section::{Section, Subject, counted};
use super::values;

const EPOCH: &str = "epoch";
const MAP: &str = "metrics/mAP50-95(B)";

/// Losses and metrics of the last epoch; learning rates are settings, not results.
fn is_metric(column: &str) -> bool {
    column == EPOCH || column.starts_with("metrics/") || column.ends_with("_loss")
}

/// Names and numbers of a run that ended, or of the epochs done. Empty where there are none.
pub fn of(results: &Table, metrics: Option<&Value>) -> Map<String, Value> {
    let mut all = Map::new();
    for name in results.names().filter(|name| is_metric(name)) {
        let last = results.column(name).and_then(<[f64]>::last).copied();
        let shown = if name == EPOCH { "epochs" } else { name.trim_end_matches("(B)") };
        all.insert(shown.to_owned(), last.map_or(Value::Null, number));
    }
    if let Some(maps) = results.column(MAP) {
        let best = maps.iter().copied().filter(|map| map.is_finite()).reduce(f64::max);
        all.insert("highest metrics/mAP50-95".into(), best.map_or(Value::Null, number));
    }
    if let Some(Value::Object(metrics)) = metrics {
        all.extend(metrics.clone());
    }
    all
}

/// A whole number without a point.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => json!(value as i64),
        false => json!(value),
    }
}

pub fn section(a: &Map<String, Value>, b: &Map<String, Value>) -> Section {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Section::same(Subject::Metrics, "none"),
        (true, false) => return Section::not_compared(Subject::Metrics, "A has none"),
        (false, true) => return Section::not_compared(Subject::Metrics, "B has none"),
        (false, false) => {}
    }
    let differences = values::changes(&Value::Object(a.clone()), &Value::Object(b.clone()));
    match differences.len() {
        0 => Section::same(Subject::Metrics, counted(a.len(), "number")),
        count => Section::differs(Subject::Metrics, counted(count, "number"), differences),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_row_and_the_best_map_count_and_learning_rates_do_not() {
        let a = Table::parse(
            "epoch,val/box_loss,metrics/mAP50-95(B),lr/pg0\n1,2.5,0.4,0.1\n2,2.25,0.3,0.1\n",
        );
        let b = Table::parse("epoch,val/box_loss,metrics/mAP50-95(B),lr/pg0\n1,2.5,0.3,0.2\n");
        let numbers = of(&a, None);
        assert_eq!(
            Value::Object(numbers.clone()).to_string(),
            concat!(
                r#"{"epochs":2,"val/box_loss":2.25,"metrics/mAP50-95":0.3,"#,
                r#""highest metrics/mAP50-95":0.4}"#
            )
        );
        let section = section(&numbers, &of(&b, None));
        let items: Vec<_> = section.differences.iter().map(|d| d.item.as_str()).collect();
        assert_eq!(items, ["epochs", "val/box_loss", "highest metrics/mAP50-95"]);
    }

    #[test]
    fn classes_of_a_validation_are_told_by_name() {
        let metrics = |map: f64| json!({"map50": 0.5, "classes": [{"name": "RBC", "map50": map}]});
        let empty = Table::default();
        let of = |map| of(&empty, Some(&metrics(map)));
        assert_eq!(section(&of(0.5), &of(0.25)).differences[0].item, "classes.RBC.map50");
        assert_eq!(section(&of(0.5), &Map::new()).summary, "B has none");
    }
}
