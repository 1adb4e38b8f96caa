//! Image references: `name[:tag][@sha256:digest]`, as Docker and OCI write them.

use std::fmt;
use std::str::FromStr;

use ybox_spec::Digest;

use super::ImageError;

/// A parsed reference. Without a tag or digest the tag is `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub name: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

impl Reference {
    /// `name:tag`, or `name@digest` where there is no tag.
    pub fn short(&self) -> String {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => format!("{}:{tag}", self.name),
            (None, Some(digest)) => format!("{}@{digest}", self.name),
            (None, None) => self.name.clone(),
        }
    }

    /// The name for the manifest `digest`: where there is no tag, its digest is all that tells it
    /// from others.
    pub fn of(&self, digest: Digest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let bad = || ImageError::BadReference(text.to_owned());
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, digest.is_none().then_some("latest")),
        };
        if !is_name(name) || !tag.is_none_or(is_tag) {
            return Err(bad());
        }
        Ok(Self { name: name.into(), tag: tag.map(Into::into), digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

/// The specification's name, with a port allowed in the first component.
fn is_name(name: &str) -> bool {
    let (first, rest) = name.split_once('/').unwrap_or((name, "rest"));
    let host = match first.split_once(':') {
        Some((host, port)) if name.contains('/') => {
            port.bytes().all(|b| b.is_ascii_digit()) && is_component(host)
        }
        Some(_) => false,
        None => is_component(first),
    };
    name.len() <= 255 && host && rest.split('/').all(is_component)
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    bytes.first().is_some_and(|b| alphanumeric(*b))
        && bytes.last().is_some_and(|b| alphanumeric(*b))
        && bytes.iter().all(|b| alphanumeric(*b) || b"._-".contains(b))
}

fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b".-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_docker_writes() {
        let digest = Digest::of(b"");
        for (text, short) in [
            ("ybox/cpu", "ybox/cpu:latest"),
            ("ybox/cpu:v1.2", "ybox/cpu:v1.2"),
            ("localhost:5000/team/cpu", "localhost:5000/team/cpu:latest"),
            (&format!("ybox/cpu@{digest}"), &format!("ybox/cpu@{digest}")),
            (&format!("ybox/cpu:a@{digest}"), "ybox/cpu:a"),
        ] {
            assert_eq!(text.parse::<Reference>().unwrap().short(), short);
        }
    }

    #[test]
    fn refuses_what_no_engine_takes() {
        for text in ["", "Ybox/cpu", "ybox/cpu:", "ybox//cpu", "a b", "ybox/cpu@sha256:12", "-a"] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
