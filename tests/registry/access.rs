//! Who may ask: TLS unless told otherwise, passwords from Docker's file and from helpers, tokens.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::fixture::Project;
use super::proxy::{Fault, Proxy};
use super::server::{Registry, have, home, refused, told, ybox};

/// bcrypt of `secret`.
const PASSWORDS: &str = "ann:$2b$04$Sn6A9WR.ZL5zznFHfYaIL.SZFKeBs6UtW2w7m3kUFqcVP3fQLDCFe\n";
const BASIC: &str = "auth: {htpasswd: {realm: x, path: DIR/passwords}}\n";
/// base64 of `ann:secret`.
const ANN: &str = "YW5uOnNlY3JldA==";

#[test]
fn passwords_come_from_docker_s_file_and_from_helpers() {
    let files: [(&str, &[u8]); 1] = [("passwords", PASSWORDS.as_bytes())];
    let Some(registry) = Registry::with_files(BASIC, &files) else { return };
    let project = Project::new();
    project.build().unwrap();
    let from = project.path("home");
    let place = registry.place("team/tiny:v1");
    let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
    let (code, said) = refused(&mut ybox(&from, &push));
    assert_eq!(code, 1);
    assert!(said.contains("refuses whoever shows no credentials"), "{said}");
    assert!(said.contains(&format!("docker login 127.0.0.1:{}", registry.port)), "{said}");

    let docker = home();
    let write = |content: String| fs::write(docker.path().join("config.json"), content).unwrap();
    let host = format!("127.0.0.1:{}", registry.port);
    write(format!(r#"{{"auths": {{"{host}": {{"auth": "{ANN}"}}}}}}"#));
    told(ybox(&from, &push).env("DOCKER_CONFIG", docker.path()));
    // As `podman login` writes it.
    let podman = docker.path().join("auth.json");
    fs::copy(docker.path().join("config.json"), &podman).unwrap();
    told(ybox(&from, &push).env("REGISTRY_AUTH_FILE", &podman));

    let helper = docker.path().join("docker-credential-test");
    let script = "#!/bin/sh\nread host\necho \"{\\\"ServerURL\\\": \\\"$host\\\", \
                  \\\"Username\\\": \\\"ann\\\", \\\"Secret\\\": \\\"secret\\\"}\"\n";
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", docker.path().display(), std::env::var("PATH").unwrap());
    for settings in [
        format!(r#"{{"credHelpers": {{"{host}": "test"}}}}"#),
        r#"{"credsStore": "test"}"#.to_owned(),
    ] {
        write(settings);
        told(ybox(&from, &push).env("DOCKER_CONFIG", docker.path()).env("PATH", &path));
    }
    write(format!(r#"{{"auths": {{"{host}": {{"auth": "YW5uOndyb25n"}}}}}}"#));
    let (_, said) = refused(ybox(&from, &push).env("DOCKER_CONFIG", docker.path()));
    assert!(said.contains("refuses the credentials that it was shown"), "{said}");
}

#[test]
fn tokens_are_fetched_with_the_password_for_the_scope_that_is_needed() {
    let Some(registry) = Registry::start() else { return };
    let proxy = Proxy::with_tokens(registry.port, ANN, |_, _| Fault::None);
    let project = Project::new();
    project.build().unwrap();
    let from = project.path("home");
    let docker = home();
    let host = format!("127.0.0.1:{}", proxy.port);
    let config = format!(r#"{{"auths": {{"{host}": {{"auth": "{ANN}"}}}}}}"#);
    fs::write(docker.path().join("config.json"), config).unwrap();
    let place = format!("{host}/team/tiny:v1");
    let push = ["push", &place, "--insecure", "--image", "ybox/tiny"];
    assert_eq!(refused(&mut ybox(&from, &push)).0, 1);
    told(ybox(&from, &push).env("DOCKER_CONFIG", docker.path()));
    let asked = proxy.requests();
    let tokens: Vec<_> = asked.iter().filter(|r| r.path.starts_with("/token?")).collect();
    let scope = "scope=repository%3Ateam%2Ftiny%3Apull%2Cpush";
    assert!(tokens.iter().any(|r| r.path.contains(scope)), "{tokens:?}");
    // One for reading and one for writing, however many requests there were at once.
    let shown = tokens.iter().filter(|r| r.authorization.starts_with("Basic ")).count();
    assert!(shown <= 2, "{shown}");
}

#[test]
fn without_tls_only_when_asked() {
    let Some(registry) = Registry::start() else { return };
    let to = home();
    let (code, said) = refused(&mut ybox(to.path(), &["pull", &registry.place("a")]));
    assert_eq!(code, 2);
    assert!(said.contains("over TLS") && said.contains("--insecure"), "{said}");
}

#[test]
fn certificates_are_checked() {
    if !have("openssl") || !have("docker-registry") {
        return;
    }
    let dir = home();
    let (key, certificate) = (dir.path().join("key.pem"), dir.path().join("cert.pem"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=ybox test"]);
    openssl.args([
        "-addext",
        "subjectAltName=DNS:localhost",
        "-addext",
        "basicConstraints=CA:FALSE",
    ]);
    told(openssl.arg("-keyout").arg(&key).arg("-out").arg(&certificate));
    let tls = "  tls: {certificate: DIR/cert.pem, key: DIR/key.pem}\n";
    let files =
        [("cert.pem", fs::read(&certificate).unwrap()), ("key.pem", fs::read(&key).unwrap())];
    let files: Vec<(&str, &[u8])> = files.iter().map(|(n, b)| (*n, b.as_slice())).collect();
    let registry = Registry::with_files(tls, &files).unwrap();
    let project = Project::new();
    project.build().unwrap();
    let from = project.path("home");
    let place = format!("localhost:{}/team/tiny:v1", registry.port);
    let push = ["push", &place, "--image", "ybox/tiny"];
    let (_, said) = refused(&mut ybox(&from, &push));
    assert!(said.contains("--certificates"), "{said}");
    let trusted = [&push[..], &["--certificates", certificate.to_str().unwrap()]].concat();
    told(&mut ybox(&from, &trusted));
    let insecure = [&push[..], &["--insecure"]].concat();
    told(&mut ybox(&from, &insecure));
}
