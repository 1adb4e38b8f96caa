//! Whom to believe: `trust.yaml` says which keys have to have signed the images of which
//! repositories. The first rule whose pattern fits a repository decides; where none fits, the image
//! is refused.

use std::fs;
use std::path::{Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;

use super::decision::{Evidence, Refusal, Trust};
use super::{PublicKey, TrustError};
use crate::settings::yaml;

/// Policies are a few lines.
const LARGEST: u64 = 1 << 20;

/// A policy as read, its keys too.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The file.
    pub(super) path: PathBuf,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub pattern: String,
    matcher: GlobMatcher,
    pub accept: Accept,
}

/// What a rule lets through.
#[derive(Debug, Clone)]
pub(super) enum Accept {
    /// Keys with the names of their files.
    SignedBy(Vec<(String, PublicKey)>),
    BuiltHere,
    Unsigned,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    rules: Vec<RuleFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    repository: String,
    /// Relative to the policy's folder.
    keys: Option<Vec<PathBuf>>,
    accept: Option<AcceptFile>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AcceptFile {
    BuiltHere,
    Unsigned,
}

impl Policy {
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        let failed = || TrustError::io(format!("read the trust policy {}", path.display()));
        let size = fs::metadata(path).map_err(failed())?.len();
        if size > LARGEST {
            return Err(bad(path, format!("it has {size} bytes")));
        }
        let text = fs::read_to_string(path).map_err(failed())?;
        Self::parse(&text, path)
    }

    /// Parses the text of the policy at `path`, and reads the keys that it names.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TrustError> {
        let file: PolicyFile = yaml::parse(text)
            .map_err(|source| TrustError::PolicyContent { path: path.into(), source })?;
        let rules = file.rules.into_iter().enumerate();
        let rule = |(index, rule): (usize, RuleFile)| {
            let failed = |why| bad(path, format!("rule {}, {}: {why}", index + 1, rule.repository));
            let folder = path.parent().unwrap_or(Path::new(""));
            match (&rule.keys, rule.accept) {
                (Some(keys), None) if !keys.is_empty() => signed_by(keys, folder),
                (None, Some(AcceptFile::BuiltHere)) => Ok(Accept::BuiltHere),
                (None, Some(AcceptFile::Unsigned)) => Ok(Accept::Unsigned),
                (Some(_), None) => Err(failed("`keys` is empty: nothing could pass")),
                (Some(_), Some(_)) => Err(failed("it has both `keys` and `accept`")),
                (None, None) => Err(failed(
                    "it says neither `keys: [FILE.pub]` nor `accept: built-here` or `unsigned`",
                )),
            }
            .and_then(|accept| {
                let glob = GlobBuilder::new(&rule.repository).literal_separator(true).build();
                let matcher = glob.map_err(|_| failed("its repository is not a pattern"))?;
                let matcher = matcher.compile_matcher();
                Ok(Rule { pattern: rule.repository.clone(), matcher, accept })
            })
        };
        Ok(Self { path: path.into(), rules: rules.map(rule).collect::<Result<_, _>>()? })
    }

    /// Whether an image of `repository` (without tag and digest) is to be believed.
    pub fn decide(&self, repository: &str, evidence: &Evidence) -> Result<Trust, Refusal> {
        let rule = self.rules.iter().find(|rule| rule.matcher.is_match(repository));
        match rule {
            Some(rule) => rule.decide(evidence),
            None => Err(Refusal::NoRule),
        }
    }
}

fn signed_by(keys: &[PathBuf], folder: &Path) -> Result<Accept, TrustError> {
    let read = |path: &PathBuf| {
        let key = PublicKey::read(&folder.join(path))?;
        Ok((path.display().to_string(), key))
    };
    keys.iter().map(read).collect::<Result<_, _>>().map(Accept::SignedBy)
}

fn bad(path: &Path, why: String) -> TrustError {
    TrustError::Policy { path: path.into(), why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::PrivateKey;

    fn parse(text: &str) -> Result<Policy, String> {
        let dir = tempfile::tempdir().unwrap();
        let key = PrivateKey::generate().unwrap().public().pem();
        fs::write(dir.path().join("team.pub"), key).unwrap();
        let path = dir.path().join("trust.yaml");
        Policy::parse(text, &path).map_err(|e| {
            let source = std::error::Error::source(&e).map(|s| format!(": {s}"));
            let text = format!("{e}{}", source.unwrap_or_default());
            text.replace(&format!("{}/", dir.path().display()), "")
        })
    }

    #[test]
    fn reads_rules_and_keys_beside_it() {
        let policy = parse(
            "rules:\n- repository: r.test/**\n  keys: [team.pub]\n\
             - {repository: ybox/*, accept: built-here}\n- {repository: 'x', accept: unsigned}\n",
        );
        assert_eq!(policy.unwrap().rules.len(), 3);
        assert!(parse("rules: []\n").unwrap().rules.is_empty());
    }

    #[test]
    fn says_what_is_wrong_and_what_was_meant() {
        for (text, said) in [
            ("rule: []", "did you mean `rules`?"),
            ("rules:\n- {repositry: a, accept: unsigned}", "did you mean `repository`?"),
            ("rules:\n- {repository: a, accept: signed}", "unknown variant `signed`"),
            ("rules:\n- {repository: a}", "rule 1, a: it says neither `keys: [FILE.pub]`"),
            ("rules:\n- {repository: a, keys: []}", "rule 1, a: `keys` is empty"),
            ("rules:\n- {repository: a, keys: [team.pub], accept: unsigned}", "has both"),
            ("rules:\n- {repository: a, keys: [other.pub]}", "cannot read the key other.pub"),
            ("rules:\n- {repository: '[a', accept: unsigned}", "is not a pattern"),
            ("rules:\n- {repository: a, repository: b, accept: unsigned}", "duplicate"),
            ("rules: []\nrules: []", "duplicate"),
            ("", "trust.yaml"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
