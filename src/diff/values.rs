//! Two trees of plain values, key by key. A key inside another is written with a dot.

use serde_json::{Map, Value};

use super::section::Difference;

/// The leaves that differ, in the order of `a`, then those that only `b` has. Lists whose entries
/// have names are compared by them, others of one length by place, and any other as a whole.
pub fn changes(a: &Value, b: &Value) -> Vec<Difference> {
    changes_at("", Some(a), Some(b))
}

/// The same of what two sides hold at a key.
pub fn changes_at(key: &str, a: Option<&Value>, b: Option<&Value>) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(key, a, b, &mut found);
    found
}

fn collect(at: &str, a: Option<&Value>, b: Option<&Value>, found: &mut Vec<Difference>) {
    if a == b {
        return;
    }
    if let (Some(fields), Some(others)) = (a.and_then(fields), b.and_then(fields)) {
        let only_there = others.keys().filter(|key| !fields.contains_key(*key));
        for key in fields.keys().chain(only_there) {
            let inner = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
            collect(&inner, fields.get(key), others.get(key), found);
        }
    } else if let Some((entries, others)) = of_one_length(a, b) {
        for (i, (entry, other)) in entries.iter().zip(others).enumerate() {
            collect(&format!("{at}[{i}]"), Some(entry), Some(other), found);
        }
    } else {
        found.push(Difference::values(at, a.cloned(), b.cloned()));
    }
}

fn of_one_length<'a>(
    a: Option<&'a Value>,
    b: Option<&'a Value>,
) -> Option<(&'a [Value], &'a [Value])> {
    let (a, b) = (a?.as_array()?, b?.as_array()?);
    (a.len() == b.len()).then_some((a, b))
}

/// The parts that a value is compared by.
fn fields(value: &Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields.clone()),
        Value::Array(entries) if !entries.is_empty() => by_name(entries),
        _ => None,
    }
}

fn by_name(entries: &[Value]) -> Option<Map<String, Value>> {
    let mut named = Map::new();
    for entry in entries {
        named.insert(entry.get("name")?.as_str()?.to_owned(), entry.clone());
    }
    (named.len() == entries.len()).then_some(named)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn leaves_are_told_by_their_path_and_lists_by_names() {
        let a = json!({"base": {"suites": ["x"]}, "wheels": [{"name": "t", "version": 1}], "v": 1});
        let b = json!({
            "base": {"suites": ["x", "y"]},
            "wheels": [{"name": "u"}, {"name": "t", "version": 2}],
            "v": 1,
        });
        let items: Vec<_> = changes(&a, &b).into_iter().map(|d| d.item).collect();
        assert_eq!(items, ["base.suites", "wheels.t.version", "wheels.u"]);
        assert_eq!(changes(&a, &a), []);
        let items = |a, b| -> Vec<_> { changes(&a, &b).into_iter().map(|d| d.item).collect() };
        assert_eq!(items(json!({"names": ["a", "b"]}), json!({"names": ["a", "c"]})), ["names[1]"]);
    }
}
