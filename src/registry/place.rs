//! Where something is kept: `HOST/REPOSITORY[:TAG][@DIGEST]`. The host has to be written: `ybox/cpu`
//! is an image of the local store, never one of a registry that somebody else runs.

use std::fmt;
use std::str::FromStr;

use ybox_spec::Digest;

use super::RegistryError;
use crate::image::Reference;

pub const DOCKER_HUB: &str = "docker.io";

/// A repository of a registry, and what is meant in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host and port, as written.
    pub host: String,
    pub repository: String,
    /// Only if it was written.
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// Which manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    Tag(String),
    Digest(Digest),
}

impl Place {
    /// What is to be fetched: what the digest says, else what the tag says, else `latest`.
    pub fn version(&self) -> Version {
        match self.digest {
            Some(digest) => Version::Digest(digest),
            None => Version::Tag(self.tag_or_latest().to_owned()),
        }
    }

    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or("latest")
    }

    /// `HOST/REPOSITORY`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The name that the local store gives to what lies there.
    pub fn local(&self) -> Reference {
        let tag = match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag.clone()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".into()),
        };
        Reference { name: self.name(), tag, digest: self.digest }
    }
}

impl FromStr for Place {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self, RegistryError> {
        let reference: Reference = text.parse()?;
        let no_host = || RegistryError::NoHost { reference: text.to_owned() };
        let (host, repository) = reference.name.split_once('/').ok_or_else(no_host)?;
        if !(host.contains(['.', ':']) || host == "localhost") {
            return Err(no_host());
        }
        let before_digest = text.split('@').next().unwrap_or_default();
        let tag = reference.tag.filter(|tag| before_digest.ends_with(&format!(":{tag}")));
        Ok(Self {
            host: host.to_owned(),
            repository: full_repository(host, repository),
            tag,
            digest: reference.digest,
        })
    }
}

/// Docker Hub's own images lie in `library/`, which nobody writes.
fn full_repository(host: &str, repository: &str) -> String {
    match host == DOCKER_HUB && !repository.contains('/') {
        true => format!("library/{repository}"),
        false => repository.to_owned(),
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_apart() {
        let digest = Digest::of(b"");
        let place: Place = format!("localhost:5000/team/cpu:v1@{digest}").parse().unwrap();
        assert_eq!(
            (place.host.as_str(), place.repository.as_str()),
            ("localhost:5000", "team/cpu")
        );
        assert_eq!((place.tag.as_deref(), place.digest), (Some("v1"), Some(digest)));
        assert_eq!(place.version(), Version::Digest(digest));
        let place: Place = "registry.test/cpu".parse().unwrap();
        assert_eq!(
            (place.tag.as_deref(), place.local().short().as_str()),
            (None, "registry.test/cpu:latest")
        );
        let place: Place = "docker.io/debian:12".parse().unwrap();
        assert_eq!(place.repository, "library/debian");
    }

    #[test]
    fn a_name_without_a_host_is_of_no_registry() {
        for text in ["cpu", "ybox/cpu", "ybox/cpu:latest"] {
            let error = text.parse::<Place>().unwrap_err();
            assert!(matches!(error, RegistryError::NoHost { .. }), "{error}");
        }
    }
}
