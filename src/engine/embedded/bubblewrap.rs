//! Finding bubblewrap, and whether it works here.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::namespace::UserNamespace;
use crate::engine::{Caller, EngineError};

const INSTALL: &str = "install it: `apt-get install bubblewrap`";
const UPDATE: &str = "use bubblewrap 0.5 or later, Docker or Podman";
/// Options without which a container can't be run as it should be.
const NEEDED: [&str; 4] = ["--clearenv", "--perms", "--json-status-fd", "--as-pid-1"];
const ALLOW: &str = "allow user namespaces: `sysctl user.max_user_namespaces=15000`, on Debian \
                     before 11 `sysctl kernel.unprivileged_userns_clone=1`, on Ubuntu from 23.10 \
                     on `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; or use Docker or \
                     Podman";

/// An installed bubblewrap.
#[derive(Debug, Clone)]
pub struct Bubblewrap {
    pub program: PathBuf,
    pub version: String,
    pub features: Features,
}

/// Options that not every version has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// `--size`: a limit for a tmpfs (0.7).
    pub size: bool,
    /// `--disable-userns`: no further user namespaces inside (0.8).
    pub disable_userns: bool,
}

impl Features {
    fn new(help: &str) -> Self {
        Self { size: mentions(help, "--size"), disable_userns: mentions(help, "--disable-userns") }
    }
}

fn mentions(help: &str, option: &str) -> bool {
    help.split_whitespace().any(|word| word == option)
}

impl Bubblewrap {
    pub fn find(path: &[PathBuf]) -> Result<Self, EngineError> {
        let program = path.iter().map(|dir| dir.join("bwrap")).find(|p| p.is_file());
        let program = program.ok_or_else(|| refused("bwrap is not installed", INSTALL))?;
        let version = answer(&program, "--version")?;
        let version = version.split_whitespace().last().unwrap_or("unknown").to_owned();
        let help = answer(&program, "--help")?;
        if let Some(missing) = NEEDED.iter().find(|option| !mentions(&help, option)) {
            return Err(refused(format!("version {version} has no {missing}"), UPDATE));
        }
        let features = Features::new(&help);
        Ok(Self { program, version, features })
    }

    /// Runs bubblewrap itself in namespaces like a container's.
    pub fn try_out(&self, caller: &Caller) -> Result<(), EngineError> {
        let namespace = UserNamespace::for_caller(caller, caller.ids)
            .map_err(|e| refused(format!("no user namespace can be made: {e}"), ALLOW))?;
        let mut command = Command::new(&self.program);
        match &namespace {
            Some(namespace) => namespace.hand_to(&mut command),
            None => drop(command.arg("--unshare-user")),
        }
        command
            .args(["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"])
            .args(["--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "--"])
            .arg(&self.program)
            .arg("--version")
            .stdin(Stdio::null());
        let output = command.output().map_err(EngineError::io("start bwrap"))?;
        match output.status.success() {
            true => Ok(()),
            false => Err(refused(first_line(&output.stderr), ALLOW)),
        }
    }
}

fn answer(program: &Path, option: &str) -> Result<String, EngineError> {
    let output = Command::new(program)
        .arg(option)
        .stdin(Stdio::null())
        .output()
        .map_err(EngineError::io(format!("start {}", program.display())))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn refused(reason: impl Into<String>, hint: &str) -> EngineError {
    EngineError::Bubblewrap { reason: reason.into(), hint: hint.into() }
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).lines().next().unwrap_or("it failed silently").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_the_help() {
        let help = "    --tmpfs DEST    Mount new tmpfs on DEST\n    --size BYTES  Set size\n";
        assert_eq!(Features::new(help), Features { size: true, disable_userns: false });
    }

    #[test]
    fn a_missing_program_is_refused_with_the_package_to_install() {
        let dir = tempfile::tempdir().unwrap();
        match Bubblewrap::find(&[dir.path().into()]) {
            Err(EngineError::Bubblewrap { reason, hint }) => {
                assert!(reason.contains("not installed") && hint.contains("apt-get install"));
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_bubblewrap_that_fails_is_refused_with_its_own_words() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("bwrap");
        let script = format!(
            "#!/bin/sh\n[ $# = 1 ] && echo {} && exit 0\necho No permissions >&2\nexit 1\n",
            NEEDED.join(" ")
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let found = Bubblewrap::find(&[dir.path().into()]).unwrap();
        match found.try_out(&Caller::current(None)) {
            Err(EngineError::Bubblewrap { reason, hint }) => {
                assert_eq!(reason, "No permissions");
                assert!(hint.contains("sysctl"));
            }
            other => panic!("{other:?}"),
        }
    }
}
