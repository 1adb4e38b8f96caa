//! Reading YAML that people write: errors name the place, and the key that was probably meant.

use serde::de::DeserializeOwned;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", nearest.as_ref().map(|n| format!(": did you mean `{n}`?")).unwrap_or_default())]
pub struct YamlError {
    message: String,
    nearest: Option<String>,
}

/// Parses `text`. Line endings don't matter.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, YamlError> {
    serde_yaml::from_str(&text.replace("\r\n", "\n")).map_err(|e| {
        let message = e.to_string();
        YamlError { nearest: nearest_key(&message), message }
    })
}

/// The valid key most like the one that serde refused, which it names in
/// ``unknown field `KEY`, expected one of `A`, `B` ``.
fn nearest_key(message: &str) -> Option<String> {
    let mut quoted = message.split_once("unknown field ")?.1.split('`').skip(1).step_by(2);
    let key = quoted.next()?;
    quoted
        .map(|name| (strsim::jaro_winkler(key, name), name))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Tool {
        handle: String,
        weight: u32,
    }

    #[test]
    fn names_the_key_that_was_meant() {
        let error = parse::<Tool>("handle: oak\nwieght: 3\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown field `wieght`, expected `handle` or `weight` at line 2 column 1: \
             did you mean `weight`?"
        );
        let error = parse::<Tool>("handle: oak\nxyz: 3\n").unwrap_err();
        assert_eq!(error.nearest, None);
    }

    #[test]
    fn line_endings_do_not_matter() {
        let text = "handle: |\n  oak\n  ash\nweight: 3\n";
        assert_eq!(
            parse::<Tool>(text).unwrap(),
            parse::<Tool>(&text.replace('\n', "\r\n")).unwrap()
        );
    }
}
