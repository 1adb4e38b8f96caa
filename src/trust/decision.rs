//! The decision whether an image or a run is to be believed: from a rule and what is known of it, no
//! files and no network.

use ybox_spec::Digest;

use super::policy::{Accept, Rule};
use super::{Payload, PublicKey};

/// What is known of an image or a run.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// Manifests whose content is the image's; of a run its own.
    pub manifests: Vec<Digest>,
    pub signatures: Vec<Signed>,
    /// Assembled by `ybox build` on this machine.
    pub built_here: bool,
}

/// A signature of cosign's kind as found: nothing about it is known to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    pub payload: Vec<u8>,
    /// DER.
    pub signature: Vec<u8>,
}

/// Why an image is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Name of the key's file.
    SignedBy(String),
    BuiltHere,
    /// A rule asks for nothing.
    Unsigned,
}

/// Why an image is not believed. The rule's pattern goes with all but the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NoRule,
    NotSigned { rule: String },
    OtherKeys { rule: String, signatures: usize },
    OtherImage { rule: String, key: String, signed: Digest },
    NotBuiltHere { rule: String },
}

impl Refusal {
    /// Stable name of the kind.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRule => "no-rule",
            Self::NotSigned { .. } => "not-signed",
            Self::OtherKeys { .. } => "other-keys",
            Self::OtherImage { .. } => "other-image",
            Self::NotBuiltHere { .. } => "not-built-here",
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoRule => write!(f, "no rule of the trust policy is about this repository"),
            Self::NotSigned { rule } => {
                write!(f, "it is not signed, and the rule for `{rule}` asks for a signature")
            }
            Self::OtherKeys { rule, signatures } => write!(
                f,
                "none of its {signatures} signatures is of a key of the rule for `{rule}`"
            ),
            Self::OtherImage { rule, key, signed } => write!(
                f,
                "what {key} signed is another image, {signed}; the rule for `{rule}` asks for a \
                 signature of this one"
            ),
            Self::NotBuiltHere { rule } => {
                write!(f, "it was not built on this machine, which the rule for `{rule}` asks for")
            }
        }
    }
}

impl Rule {
    pub(super) fn decide(&self, evidence: &Evidence) -> Result<Trust, Refusal> {
        let rule = self.pattern.clone();
        match &self.accept {
            Accept::Unsigned => Ok(Trust::Unsigned),
            Accept::BuiltHere if evidence.built_here => Ok(Trust::BuiltHere),
            Accept::BuiltHere => Err(Refusal::NotBuiltHere { rule }),
            Accept::SignedBy(_) if evidence.signatures.is_empty() => {
                Err(Refusal::NotSigned { rule })
            }
            Accept::SignedBy(keys) => signed(rule, keys, evidence),
        }
    }
}

/// One good signature is enough: others may have signed too.
fn signed(
    rule: String,
    keys: &[(String, PublicKey)],
    evidence: &Evidence,
) -> Result<Trust, Refusal> {
    let mut other = None;
    for Signed { payload, signature } in &evidence.signatures {
        let Some((name, _)) = keys.iter().find(|(_, key)| key.verifies(payload, signature)) else {
            continue;
        };
        let Ok(payload) = Payload::parse(payload) else { continue };
        let signed = payload.manifest();
        if evidence.manifests.contains(&signed) {
            return Ok(Trust::SignedBy(name.clone()));
        }
        other = Some(Refusal::OtherImage { rule: rule.clone(), key: name.clone(), signed });
    }
    let signatures = evidence.signatures.len();
    Err(other.unwrap_or(Refusal::OtherKeys { rule, signatures }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::trust::{Policy, PrivateKey};

    const POLICY: &str = "\
rules:
- {repository: r.test/team/scratch, accept: unsigned}
- {repository: r.test/team/**, keys: [team.pub, other.pub]}
- {repository: ybox/*, accept: built-here}
";

    struct Case {
        policy: Policy,
        team: PrivateKey,
        stranger: PrivateKey,
    }

    fn case() -> Case {
        let dir = tempfile::tempdir().unwrap();
        let [team, other, stranger] = [1, 2, 3].map(|n| PrivateKey::from_scalar(&[n; 32]));
        for (name, key) in [("team.pub", &team), ("other.pub", &other)] {
            fs::write(dir.path().join(name), key.public().pem()).unwrap();
        }
        let policy = Policy::parse(POLICY, &dir.path().join("trust.yaml")).unwrap();
        Case { policy, team, stranger }
    }

    fn sign(key: &PrivateKey, image: Digest) -> Signed {
        let payload = Payload::new("r.test/team/cpu", image).to_bytes();
        Signed { signature: key.sign(&payload), payload }
    }

    #[test]
    fn decides_by_the_first_rule_that_fits() {
        let Case { policy, team, stranger } = case();
        let (image, another) = (Digest::of(b"image"), Digest::of(b"another"));
        let good = sign(&team, image);
        let foreign = sign(&stranger, image);
        let stolen = Signed { payload: foreign.payload.clone(), ..sign(&team, another) };
        let unreadable = Signed { signature: team.sign(b"{}"), payload: b"{}".to_vec() };
        let signed = Ok("signed by team.pub");
        for (repository, signatures, built_here, expected) in [
            ("r.test/team/cpu", vec![good.clone()], false, signed),
            ("r.test/team/a/b", vec![good.clone()], false, signed),
            ("r.test/team/cpu", vec![foreign.clone(), unreadable.clone(), good], false, signed),
            ("r.test/team/cpu", vec![], true, Err("not-signed")),
            ("r.test/team/cpu", vec![foreign], false, Err("other-keys")),
            ("r.test/team/cpu", vec![unreadable], false, Err("other-keys")),
            ("r.test/team/cpu", vec![stolen], false, Err("other-keys")),
            ("r.test/team/cpu", vec![sign(&team, another)], false, Err("other-image")),
            ("r.test/team/scratch", vec![], false, Ok("unsigned")),
            ("r.test/team", vec![], false, Err("no-rule")),
            ("r.test.evil/team/cpu", vec![], false, Err("no-rule")),
            ("ybox/cpu", vec![], true, Ok("built here")),
            ("ybox/cpu", vec![sign(&team, image)], false, Err("not-built-here")),
            ("ybox/a/b", vec![], true, Err("no-rule")),
            ("other/cpu", vec![], true, Err("no-rule")),
        ] {
            let evidence = Evidence { manifests: vec![image], signatures, built_here };
            let decision = policy.decide(repository, &evidence);
            let told = match &decision {
                Ok(Trust::SignedBy(name)) => Ok(format!("signed by {name}")),
                Ok(Trust::BuiltHere) => Ok("built here".into()),
                Ok(Trust::Unsigned) => Ok("unsigned".into()),
                Err(refusal) => Err(refusal.code()),
            };
            assert_eq!(told, expected.map(str::to_owned), "{repository} {evidence:?}");
        }
    }
}
