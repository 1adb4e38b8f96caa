//! Where engines may answer: the same places for those who run containers and those who look.

use bollard::models::SystemVersion;

/// Addresses of Docker's API, best first, by the environment that `variable` reads. One that the
/// environment names stands alone, as it does for the engine's own client.
pub fn docker(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let below = |name, path: &str| variable(name).map(|folder| format!("{folder}/{path}"));
    let sockets = [
        Some("/var/run/docker.sock".into()),
        below("XDG_RUNTIME_DIR", "docker.sock"),
        below("HOME", ".docker/run/docker.sock"),
    ];
    named_or(variable("DOCKER_HOST"), sockets)
}

/// Addresses of Podman's API, as [`docker`]; the caller's own service is asked before the system's.
pub fn podman(variable: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let own = variable("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/podman/podman.sock"));
    named_or(variable("CONTAINER_HOST"), [own, Some("/run/podman/podman.sock".into())])
}

fn named_or<const N: usize>(named: Option<String>, sockets: [Option<String>; N]) -> Vec<String> {
    match named {
        Some(address) => vec![address],
        None => sockets.into_iter().flatten().map(|path| format!("unix://{path}")).collect(),
    }
}

/// Which of the two answered: Podman serves Docker's API too.
pub fn is_podman(version: &SystemVersion) -> bool {
    version.components.iter().flatten().any(|component| component.name.contains("Podman"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &'static [(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        |name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn without_an_environment_the_system_s_sockets_are_tried() {
        assert_eq!(docker(of(&[])), ["unix:///var/run/docker.sock"]);
        assert_eq!(podman(of(&[])), ["unix:///run/podman/podman.sock"]);
    }

    #[test]
    fn the_environment_adds_the_caller_s_sockets() {
        let variables = &[("XDG_RUNTIME_DIR", "/run/user/5"), ("HOME", "/home/a")];
        assert_eq!(
            docker(of(variables)),
            [
                "unix:///var/run/docker.sock",
                "unix:///run/user/5/docker.sock",
                "unix:///home/a/.docker/run/docker.sock"
            ]
        );
        assert_eq!(
            podman(of(variables)),
            ["unix:///run/user/5/podman/podman.sock", "unix:///run/podman/podman.sock"]
        );
    }

    #[test]
    fn an_address_that_was_said_is_the_only_one() {
        let variables = &[("DOCKER_HOST", "unix:///a.sock"), ("XDG_RUNTIME_DIR", "/run/user/5")];
        assert_eq!(docker(of(variables)), ["unix:///a.sock"]);
        assert_eq!(podman(of(variables)).len(), 2);
    }
}
