//! Facts that other programs tell: bubblewrap and NVIDIA's container toolkit. Each is run with a
//! time limit.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use super::facts::{Bubblewrap, Fact};

/// Runs `command` to its end, or kills it after `patience`.
///
/// A process stuck in the kernel can't be killed; it is left behind rather than waited for.
pub(super) async fn output(command: &mut Command, patience: Duration) -> Result<Output, String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    match tokio::time::timeout(patience, running).await {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(format!("{name}: {error}")),
        Err(_) => Err(format!("{name} did not answer within {} s", patience.as_secs_f32())),
    }
}

/// The first file called `name` in `folders`.
pub(super) fn find(name: &str, folders: &[PathBuf]) -> Option<PathBuf> {
    folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

pub async fn bubblewrap(folders: &[PathBuf], patience: Duration) -> Fact<Bubblewrap> {
    let Some(path) = find("bwrap", folders) else {
        return Fact::absent("no `bwrap` on the search path");
    };
    let (version, works) =
        tokio::join!(version(&path, "--version", patience), works(&path, patience));
    Fact::Is(Bubblewrap { path: path.display().to_string(), version, works })
}

/// A container as strict as a real one, with nothing in it to do.
async fn works(path: &Path, patience: Duration) -> Fact<bool> {
    let arguments =
        ["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "/bin/true"];
    match output(Command::new(path).args(arguments), patience).await {
        Ok(output) if output.status.success() => Fact::Is(true),
        Ok(output) => Fact::absent(first_line(&output.stderr)),
        Err(reason) => Fact::unknown(reason),
    }
}

pub async fn toolkit_version(folders: &[PathBuf], patience: Duration) -> Fact<String> {
    for name in ["nvidia-ctk", "nvidia-container-cli"] {
        if let Some(path) = find(name, folders) {
            return version(&path, "--version", patience).await;
        }
    }
    Fact::absent("neither `nvidia-ctk` nor `nvidia-container-cli` on the search path")
}

/// The first word of the first line that starts with a digit.
async fn version(path: &Path, argument: impl AsRef<OsStr>, patience: Duration) -> Fact<String> {
    let line = match output(Command::new(path).arg(argument), patience).await {
        Ok(output) => first_line(&output.stdout),
        Err(reason) => return Fact::unknown(reason),
    };
    let word = line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    match word {
        Some(word) => Fact::Is(word.to_owned()),
        None => Fact::unknown(format!("{} named no version: `{line}`", path.display())),
    }
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or("it said nothing").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by another process: a file that this one holds open for writing while another test
    /// starts a program would be busy when it is run.
    fn script(folder: &Path, name: &str, text: &str) {
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$0\" && chmod 755 \"$0\"";
        let path = folder.join(name);
        let status =
            std::process::Command::new("sh").args(["-c", write]).arg(path).arg(text).status();
        assert!(status.unwrap().success());
    }

    #[tokio::test]
    async fn bubblewrap_that_is_not_allowed_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let text = "case $1 in --version) echo 'bubblewrap 0.8.0';; \
                    *) echo 'bwrap: No permissions to create new namespace' >&2; exit 1;; esac";
        script(folder.path(), "bwrap", text);
        let folders = [folder.path().to_owned()];
        let found = bubblewrap(&folders, Duration::from_secs(20)).await;
        let bubblewrap = found.known().unwrap();
        assert_eq!(bubblewrap.version, Fact::Is("0.8.0".into()));
        assert_eq!(bubblewrap.works, Fact::absent("bwrap: No permissions to create new namespace"));
    }

    #[tokio::test]
    async fn the_toolkit_is_asked_by_either_name() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        let ask = || toolkit_version(&folders, Duration::from_secs(20));
        assert!(matches!(ask().await, Fact::Absent { .. }));
        script(folder.path(), "nvidia-container-cli", "echo 'cli-version: 1.17.4'");
        assert_eq!(ask().await, Fact::Is("1.17.4".into()));
        script(folder.path(), "nvidia-ctk", "echo 'NVIDIA Container Toolkit CLI version 1.18.0'");
        assert_eq!(ask().await, Fact::Is("1.18.0".into()));
        script(folder.path(), "nvidia-ctk", "exec sleep 600");
        let patient = toolkit_version(&folders, Duration::from_millis(300)).await;
        assert!(patient.reason().contains("did not answer within 0.3 s"), "{patient:?}");
    }
}
