//! Credentials for a registry, from where Docker and Podman keep them: `config.json`, `auth.json`,
//! and the helper programs (`docker-credential-*`) that those files name.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::RegistryError;
use super::place::DOCKER_HUB;

/// Helpers may ask a person for a password.
const HELPER_TIMEOUT: Duration = Duration::from_secs(120);
/// The key of Docker Hub in Docker's file, for historical reasons.
const HUB_KEY: &str = "https://index.docker.io/v1/";
/// What helpers give as the user where the secret is an identity token.
const TOKEN_USER: &str = "<token>";

/// What proves to a registry who asks.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    Password {
        user: String,
        password: String,
    },
    /// An OAuth 2 refresh token.
    Identity(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(****)")
    }
}

/// The part of `config.json` or `auth.json` that is about credentials.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AuthFile {
    auths: BTreeMap<String, Entry>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
    #[serde(rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    #[serde(rename = "identitytoken")]
    identity: String,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entry(****)")
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperAnswer {
    username: String,
    secret: String,
}

/// Credentials for `repository` of `host`: those of the first file that has some.
pub async fn find(
    host: &str,
    repository: &str,
    files: &[PathBuf],
) -> Result<Option<Credentials>, RegistryError> {
    let keys = keys(host, repository);
    for path in files {
        if let Some(file) = read(path)?
            && let Some(found) = in_file(&file, path, &keys).await?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What the files may call a repository, the most exact first.
fn keys(host: &str, repository: &str) -> Vec<String> {
    let full = format!("{host}/{repository}");
    let mut keys: Vec<String> =
        full.match_indices('/').rev().map(|(end, _)| full[..end].to_owned()).collect();
    keys.insert(0, full);
    if host == DOCKER_HUB {
        keys.extend([HUB_KEY.to_owned(), "index.docker.io".to_owned()]);
    }
    keys
}

fn read(path: &Path) -> Result<Option<AuthFile>, RegistryError> {
    let failed = |why: String| RegistryError::CredentialFile { path: path.into(), why };
    match std::fs::read(path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(None),
        Ok(bytes) => {
            // The parser's message could quote a secret: only the place is told.
            serde_json::from_slice(&bytes).map(Some).map_err(|e| {
                failed(format!("it is not valid JSON at line {} column {}", e.line(), e.column()))
            })
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(e) => Err(failed(e.to_string())),
    }
}

async fn in_file(
    file: &AuthFile,
    path: &Path,
    keys: &[String],
) -> Result<Option<Credentials>, RegistryError> {
    for key in keys {
        if let Some(helper) = file.helpers.get(key) {
            return ask(helper, key).await;
        }
        let entry = file.auths.iter().find(|(written, _)| matches_key(written, key));
        if let Some((written, entry)) = entry {
            if let Some(found) = decode(entry, path, written)? {
                return Ok(Some(found));
            }
            // Docker leaves an empty entry where the store has the secret.
            if let Some(store) = &file.store {
                return ask(store, written).await;
            }
        }
    }
    match &file.store {
        // The host, or Docker Hub's own key, which is the last but one.
        Some(store) if keys.iter().any(|key| key == HUB_KEY) => ask(store, HUB_KEY).await,
        Some(store) => ask(store, keys.last().expect("the host is among them")).await,
        None => Ok(None),
    }
}

/// Whether the key `written` in a file means `key`: with or without a scheme and an API version.
fn matches_key(written: &str, key: &str) -> bool {
    if written == key {
        return true;
    }
    let bare = written.trim_start_matches("https://").trim_start_matches("http://");
    let bare = bare.trim_end_matches('/').trim_end_matches("/v1").trim_end_matches("/v2");
    bare == key
}

fn decode(entry: &Entry, path: &Path, key: &str) -> Result<Option<Credentials>, RegistryError> {
    if !entry.identity.is_empty() {
        return Ok(Some(Credentials::Identity(entry.identity.clone())));
    }
    if entry.auth.is_empty() {
        return Ok(None);
    }
    let bad = || RegistryError::CredentialFile {
        path: path.into(),
        why: format!("`auth` of {key} is not base64 of USER:PASSWORD"),
    };
    let text = BASE64_STANDARD.decode(entry.auth.trim()).map_err(|_| bad())?;
    let text = String::from_utf8(text).map_err(|_| bad())?;
    let (user, password) = text.trim_end_matches('\0').split_once(':').ok_or_else(bad)?;
    Ok(Some(Credentials::Password { user: user.into(), password: password.into() }))
}

/// Asks `docker-credential-HELPER` for what it keeps under `key`.
async fn ask(helper: &str, key: &str) -> Result<Option<Credentials>, RegistryError> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: String| RegistryError::Helper { program: program.clone(), why };
    if helper.contains('/') {
        return Err(failed("its name has a `/` in it".into()));
    }
    let answer = tokio::time::timeout(HELPER_TIMEOUT, talk(&program, key)).await;
    let output = answer
        .map_err(|_| failed(format!("no answer in {} s", HELPER_TIMEOUT.as_secs())))?
        .map_err(|e| failed(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        let said = format!("{}{}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
        let has_none = said.contains("credentials not found");
        return if has_none { Ok(None) } else { Err(failed(said)) };
    }
    let answer: HelperAnswer =
        serde_json::from_str(&text).map_err(|_| failed("it does not answer in JSON".into()))?;
    Ok(Some(match answer.username == TOKEN_USER {
        true => Credentials::Identity(answer.secret),
        false => Credentials::Password { user: answer.username, password: answer.secret },
    }))
}

async fn talk(program: &str, key: &str) -> io::Result<std::process::Output> {
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(format!("{key}\n").as_bytes()).await?;
    }
    child.wait_with_output().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str, host: &str) -> Result<Option<Credentials>, RegistryError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.json");
        std::fs::write(&path, content).unwrap();
        let missing = dir.path().join("missing.json");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(find(host, "team/cpu", &[missing, path]))
    }

    fn password(user: &str, password: &str) -> Option<Credentials> {
        Some(Credentials::Password { user: user.into(), password: password.into() })
    }

    #[test]
    fn docker_and_podman_write_keys_in_several_ways() {
        // ann:secret, bob:other
        for key in
            ["r.test:5000", "https://r.test:5000", "https://r.test:5000/v2/", "r.test:5000/team"]
        {
            let file = format!(r#"{{"auths":{{"{key}":{{"auth":"YW5uOnNlY3JldA=="}}}}}}"#);
            assert_eq!(found(&file, "r.test:5000").unwrap(), password("ann", "secret"), "{key}");
            assert_eq!(found(&file, "r.test").unwrap(), None);
        }
        let both = r#"{"auths":{"r.test":{"auth":"YW5uOnNlY3JldA=="},
                                "r.test/team":{"auth":"Ym9iOm90aGVy"}}}"#;
        assert_eq!(found(both, "r.test").unwrap(), password("bob", "other"));
        let hub = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YW5uOnNlY3JldA=="}}}"#;
        assert_eq!(found(hub, DOCKER_HUB).unwrap(), password("ann", "secret"));
        let identity = r#"{"auths":{"r.test":{"auth":"","identitytoken":"refresh"}}}"#;
        let expected = Some(Credentials::Identity("refresh".into()));
        assert_eq!(found(identity, "r.test").unwrap(), expected);
    }

    #[test]
    fn a_bad_file_is_named_and_no_secret_is_shown() {
        for file in [r#"{"auths":{"r.test":{"auth":"hunter2!"}}}"#, r#"{"auths":"hunter2""#] {
            let error = found(file, "r.test").unwrap_err();
            assert!(matches!(error, RegistryError::CredentialFile { .. }));
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let error = found(r#"{"credsStore":"ybox-no-such-helper"}"#, "r.test").unwrap_err();
        assert!(error.to_string().contains("docker-credential-ybox-no-such-helper"), "{error}");
    }
}
