//! From package names to exact Debian packages: the signed indexes of the recipe's suites, the
//! highest version of each package, and a check that nothing they depend on is left out.

mod depends;
#[cfg(fuzzing)]
pub mod fuzzing;
mod packages;
mod release;
mod signature;
mod version;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::time::SystemTime;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;

pub use depends::Unmet;
use packages::Stanza;
pub use release::ReleaseError;
use release::{Release, ReleaseFile};
pub use signature::SignatureError;

use super::{Base, LockedDeb};
use crate::fetch::{DebSource, FetchError, Fetcher, Item};

/// The component that everything the images need is in.
const COMPONENT: &str = "main";
/// An InRelease file is about 0.2 MB.
const RELEASE_LIMIT: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum DebError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the mirror of `{archive}` has no suite `{suite}`")]
    NoSuite { archive: String, suite: String },
    #[error("the suite `{suite}` cannot be trusted: its signature was not confirmed")]
    Signature { suite: String, source: SignatureError },
    #[error("the Release file of the suite `{suite}` is not to be used")]
    Release { suite: String, source: ReleaseError },
    #[error("cannot read {path}, an index of the suite `{suite}`")]
    Index { suite: String, path: PathBuf, source: io::Error },
    #[error("no package {name} for {architecture} in {}", suites.join(", "))]
    NoPackage { name: String, architecture: String, suites: Vec<String> },
    #[error("the index entry of {0} lacks its size, hash or file")]
    Incomplete(String),
    #[error("the packages are not complete: {}", sentences(.0))]
    Unmet(Vec<Unmet>),
}

fn sentences(unmet: &[Unmet]) -> String {
    let sentence = |u: &Unmet| match &u.has {
        Some(has) => format!("{} depends on {}, but {has} is locked", u.package, u.dependency),
        None => format!("{} depends on {}", u.package, u.dependency),
    };
    unmet.iter().map(sentence).collect::<Vec<_>>().join("; ")
}

/// A stanza and the suite it is from.
struct Candidate {
    suite: String,
    stanza: Stanza,
}

/// Exact packages, sorted by name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    pub debs: Vec<LockedDeb>,
    /// Those kept that the archive no longer has: what they depend on is not known.
    pub unchecked: Vec<String>,
}

/// Exact packages for all of `base`. Those in `kept` stay as they are.
pub async fn resolve(
    fetcher: &Fetcher,
    base: &Base,
    kept: &[LockedDeb],
    now: SystemTime,
) -> Result<Resolved, DebError> {
    let mut candidates = Vec::new();
    for suite in &base.suites {
        candidates.extend(suite_candidates(fetcher, base, suite, now).await?);
    }
    choose(base, &candidates, kept)
}

/// The archive that a suite is in: Debian's security suites have their own.
pub fn archive_of(base: &Base, suite: &str) -> String {
    if suite.ends_with("-security") {
        format!("{}-security", base.archive)
    } else {
        base.archive.clone()
    }
}

async fn suite_candidates(
    fetcher: &Fetcher,
    base: &Base,
    suite: &str,
    now: SystemTime,
) -> Result<Vec<Candidate>, DebError> {
    let archive = archive_of(base, suite);
    let source = fetcher.sources().deb(&archive).map_err(FetchError::from)?;
    let release = verified_release(fetcher, &archive, &source, suite).await?;
    let checked =
        release.check(suite, now).and_then(|()| release.packages(COMPONENT, &base.architecture));
    let index = checked.map_err(|source| DebError::Release { suite: suite.into(), source })?;
    let path = index_file(fetcher, &source, suite, &release, index).await?;
    let compressed = index.path.rsplit('.').next().unwrap_or_default();
    let stanzas = decompressed(&path, compressed)
        .and_then(|reader| packages::read(reader, &base.packages))
        .map_err(|source| DebError::Index { suite: suite.into(), path, source })?;
    Ok(stanzas.into_iter().map(|stanza| Candidate { suite: suite.into(), stanza }).collect())
}

async fn verified_release(
    fetcher: &Fetcher,
    archive: &str,
    source: &DebSource,
    suite: &str,
) -> Result<Release, DebError> {
    let no_suite = || DebError::NoSuite { archive: archive.into(), suite: suite.into() };
    let keyring = fetcher.sources().keyring(archive, source).map_err(FetchError::from)?;
    let url = source.url.join(&format!("dists/{suite}/InRelease")).map_err(|_| no_suite())?;
    let signed = match fetcher.read(&url, RELEASE_LIMIT).await {
        Err(FetchError::Missing { .. }) => return Err(no_suite()),
        signed => signed?,
    };
    let text = signature::verified(&signed, &keyring, fetcher.sources().verifiers())
        .map_err(|source| DebError::Signature { suite: suite.into(), source })?;
    Ok(Release::parse(&text))
}

/// The index in the cache. By its hash where the archive has that: the plain name may already hold
/// the next version.
async fn index_file(
    fetcher: &Fetcher,
    source: &DebSource,
    suite: &str,
    release: &Release,
    index: &ReleaseFile,
) -> Result<PathBuf, DebError> {
    let path = if release.by_hash { index.by_hash() } else { index.path.clone() };
    let url = source.url.join(&format!("dists/{suite}/{path}")).map_err(|_| {
        let source = io::Error::from(io::ErrorKind::InvalidInput);
        DebError::Index { suite: suite.into(), path: path.into(), source }
    })?;
    let name = format!("{suite} {}", index.path);
    let item = Item { name, size: index.size, digest: index.sha256 };
    Ok(fetcher.file(&item, &url).await?)
}

fn decompressed(path: &PathBuf, suffix: &str) -> io::Result<Box<dyn BufRead>> {
    let file = BufReader::new(File::open(path)?);
    Ok(match suffix {
        "xz" => Box::new(BufReader::new(XzDecoder::new_multi_decoder(file))),
        _ => Box::new(BufReader::new(MultiGzDecoder::new(file))),
    })
}

fn choose(base: &Base, candidates: &[Candidate], kept: &[LockedDeb]) -> Result<Resolved, DebError> {
    let mut resolved = Resolved::default();
    let mut stanzas = Vec::new();
    for name in &base.packages {
        if let Some(pin) = kept.iter().find(|pin| pin.name == *name) {
            let stanza = candidates.iter().map(|c| &c.stanza).find(|stanza| is_pin(stanza, pin));
            if stanza.is_none() {
                resolved.unchecked.push(format!("{} {}", pin.name, pin.version));
            }
            stanzas.push(stanza.cloned().unwrap_or_else(|| bare_stanza(pin)));
            resolved.debs.push(pin.clone());
        } else {
            let candidate = highest(base, candidates, name)?;
            resolved.debs.push(lock(base, candidate)?);
            stanzas.push(candidate.stanza.clone());
        }
    }
    resolved.debs.sort_by(|a, b| a.name.cmp(&b.name));
    resolved.debs.dedup_by(|a, b| a.name == b.name);
    match depends::unmet(&stanzas) {
        unmet if unmet.is_empty() => Ok(resolved),
        unmet => Err(DebError::Unmet(unmet)),
    }
}

fn is_pin(stanza: &Stanza, pin: &LockedDeb) -> bool {
    stanza.name == pin.name && stanza.version == pin.version
}

/// What a lock knows of a package that the archive no longer has.
fn bare_stanza(pin: &LockedDeb) -> Stanza {
    Stanza { name: pin.name.clone(), version: pin.version.clone(), ..Stanza::default() }
}

/// The highest version of a package; of equal ones that of the suite named first.
fn highest<'a>(
    base: &Base,
    candidates: &'a [Candidate],
    name: &str,
) -> Result<&'a Candidate, DebError> {
    let fits = |stanza: &Stanza| {
        stanza.name == name
            && (stanza.architecture == base.architecture || stanza.architecture == "all")
    };
    candidates
        .iter()
        .rev()
        .filter(|candidate| fits(&candidate.stanza))
        .max_by(|a, b| version::compare(&a.stanza.version, &b.stanza.version))
        .ok_or_else(|| DebError::NoPackage {
            name: name.into(),
            architecture: base.architecture.clone(),
            suites: base.suites.clone(),
        })
}

fn lock(base: &Base, candidate: &Candidate) -> Result<LockedDeb, DebError> {
    let Candidate { suite, stanza } = candidate;
    let incomplete = || DebError::Incomplete(stanza.name.clone());
    let sha256 = stanza.sha256.ok_or_else(incomplete)?;
    if stanza.size == 0 || !is_pool_path(&stanza.path) {
        return Err(incomplete());
    }
    Ok(LockedDeb {
        name: stanza.name.clone(),
        version: stanza.version.clone(),
        architecture: stanza.architecture.clone(),
        archive: archive_of(base, suite),
        suite: suite.clone(),
        path: stanza.path.clone(),
        size: stanza.size,
        sha256,
    })
}

/// Below the archive's root, and nowhere else.
fn is_pool_path(path: &str) -> bool {
    !path.contains(':') && path.split('/').all(|part| !part.is_empty() && part != "..")
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;

    use super::*;

    fn base(packages: &[&str]) -> Base {
        Base {
            archive: "debian".into(),
            suites: vec!["trixie".into(), "trixie-security".into()],
            architecture: "amd64".into(),
            packages: packages.iter().map(|p| (*p).into()).collect(),
            exclude: vec![],
        }
    }

    fn candidate(suite: &str, name: &str, version: &str, depends: &str) -> Candidate {
        let stanza = Stanza {
            name: name.into(),
            version: version.into(),
            architecture: "amd64".into(),
            depends: depends.into(),
            path: format!("pool/main/{name}_{version}_amd64.deb"),
            size: 1,
            sha256: Some(Digest::of(version.as_bytes())),
            ..Stanza::default()
        };
        Candidate { suite: suite.into(), stanza }
    }

    #[test]
    fn the_highest_version_wins_and_then_the_first_suite() {
        let candidates = [
            candidate("trixie", "a", "1.9", ""),
            candidate("trixie", "b", "1", ""),
            candidate("trixie-security", "a", "1.10", ""),
            candidate("trixie-security", "b", "1", ""),
        ];
        let locked = choose(&base(&["b", "a"]), &candidates, &[]).unwrap().debs;
        let seen: Vec<_> =
            locked.iter().map(|d| (&d.name[..], &d.version[..], &d.archive[..])).collect();
        assert_eq!(seen, [("a", "1.10", "debian-security"), ("b", "1", "debian")]);
    }

    #[test]
    fn a_kept_pin_stays_and_its_age_may_be_refused() {
        let old = [candidate("trixie", "a", "1", ""), candidate("trixie", "b", "1", "a (= 1)")];
        let new = [candidate("trixie", "a", "2", ""), candidate("trixie", "b", "2", "a (= 2)")];
        let base = base(&["a", "b"]);
        let locked = choose(&base, &old, &[]).unwrap().debs;
        let kept = choose(&base, &new, &locked).unwrap();
        assert_eq!((kept.debs, kept.unchecked), (locked.clone(), vec!["a 1".into(), "b 1".into()]));
        let error = choose(&base, &new, &locked[..1]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the packages are not complete: b 2 depends on a (= 2), but 1 is locked"
        );
    }

    #[test]
    fn what_is_not_in_the_archive_is_told() {
        let error = choose(&base(&["nowhere"]), &[], &[]).unwrap_err();
        assert_eq!(error.to_string(), "no package nowhere for amd64 in trixie, trixie-security");
    }

    #[test]
    fn paths_stay_below_the_archive() {
        assert!(is_pool_path("pool/main/g/glibc/libc6_1%3a2_amd64.deb"));
        for bad in ["/etc/passwd", "../x", "pool//x", "http://elsewhere/x", ""] {
            assert!(!is_pool_path(bad), "{bad}");
        }
    }
}
