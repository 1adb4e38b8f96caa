//! Class names as a YAML file gives them.

use serde_yaml::Value;

use super::Document;

/// Names as a list or as a map from index to name, checked against `nc` where that is given.
pub(super) fn class_names(document: &Document) -> Result<Vec<String>, String> {
    let names = match &document.names {
        Some(Value::Sequence(list)) => list.iter().map(class_name).collect::<Result<_, _>>()?,
        Some(Value::Mapping(map)) => names_by_index(map.iter())?,
        Some(_) => return Err("`names` is neither a list nor a map".into()),
        None => {
            let nc = document.nc.ok_or("it has neither `names` nor `nc`")?;
            (0..nc).map(|i| i.to_string()).collect()
        }
    };
    match document.nc {
        Some(nc) if nc != names.len() => {
            Err(format!("`nc` is {nc}, but there are {} names", names.len()))
        }
        _ if names.is_empty() => Err("it has no classes".into()),
        _ => Ok(names),
    }
}

fn names_by_index<'a>(
    entries: impl Iterator<Item = (&'a Value, &'a Value)>,
) -> Result<Vec<String>, String> {
    let mut pairs = Vec::new();
    for (key, value) in entries {
        let index =
            key.as_u64().ok_or_else(|| format!("class index {key:?} is not a whole number"))?;
        pairs.push((index, class_name(value)?));
    }
    pairs.sort();
    for (expected, (index, _)) in pairs.iter().enumerate() {
        if *index != expected as u64 {
            return Err(format!(
                "class indices must run from 0 without a gap; {expected} is missing"
            ));
        }
    }
    Ok(pairs.into_iter().map(|(_, name)| name).collect())
}

fn class_name(value: &Value) -> Result<String, String> {
    match value {
        Value::String(s) => Ok(s.clone()),
        Value::Number(n) => Ok(n.to_string()),
        Value::Bool(b) => Ok(b.to_string()),
        _ => Err(format!("class name {value:?} is not text")),
    }
}
