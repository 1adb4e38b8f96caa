//! The `WWW-Authenticate` header: how a registry says what it wants to see (RFC 9110, section 11, and
//! the distribution project's token specification).

use std::collections::BTreeMap;

/// What is to be shown with each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// User name and password.
    Basic,
    /// A token that the service at `realm` gives out.
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// Nothing for a scheme that registries don't use.
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, parameters) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = read_parameters(parameters);
        let service = parameters.remove("service");
        Some(Self::Bearer { realm: parameters.remove("realm")?, service })
    }
}

/// `name=value` or `name="value"`, separated by commas.
fn read_parameters(text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = read_value(after);
        let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
        parameters.insert(name, value);
        rest = after;
    }
    parameters
}

fn read_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut escaped = false;
    for (place, letter) in quoted.char_indices() {
        match letter {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return (value, &quoted[place + 1..]),
            _ => {
                value.push(letter);
                escaped = false;
            }
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_registries_send() {
        let header = r#"Bearer realm="https://auth.test/token?a=b,c",service="registry.test",scope="repository:a/b:pull,push""#;
        let realm = "https://auth.test/token?a=b,c".to_owned();
        let service = Some("registry.test".to_owned());
        assert_eq!(Challenge::parse(header), Some(Challenge::Bearer { realm, service }));
        assert_eq!(Challenge::parse(r#"Basic realm="x""#), Some(Challenge::Basic));
        let plain = Challenge::parse("bearer Realm=http://a.test/t , service=s");
        let (realm, service) = ("http://a.test/t".to_owned(), Some("s".to_owned()));
        assert_eq!(plain, Some(Challenge::Bearer { realm, service }));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=x"), None);
    }

    proptest! {
        #[test]
        fn any_header_is_survived(header in "(Bearer |Basic )?[a-z=\"\\\\, é]{0,60}") {
            let _ = Challenge::parse(&header);
        }
    }
}
