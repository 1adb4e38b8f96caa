//! `ybox key`, and that cosign uses its keys and it uses cosign's.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::cosign::{PASSPHRASE, cosign, output, run, ybox};

#[test]
fn a_new_key_is_sealed_and_its_owners_only() {
    let dir = tempfile::tempdir().unwrap();
    let printed = output(ybox(dir.path(), &["key", "new", "team"]));
    assert_eq!(printed, "team.pub\n");
    let private = fs::read_to_string(dir.path().join("team.key")).unwrap();
    assert!(private.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"), "{private}");
    let mode = fs::metadata(dir.path().join("team.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = fs::read_to_string(dir.path().join("team.pub")).unwrap();
    assert_eq!(output(ybox(dir.path(), &["key", "public", "team.key"])), public);
}

#[test]
fn refusals_say_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    output(ybox(dir.path(), &["key", "new", "team"]));
    fs::write(dir.path().join("wrong"), "wrong horse\n").unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    let refused = |arguments: &[&str]| {
        let output = ybox(dir.path(), arguments);
        let code = output.status.code().unwrap();
        format!("{arguments:?}: {code}\n{}", String::from_utf8(output.stderr).unwrap())
    };
    insta::assert_snapshot!(
        [
            refused(&["key", "new", "team"]),
            refused(&["key", "new", "other", "--passphrase-file", "empty"]),
            refused(&["key", "public", "team.key", "--passphrase-file", "wrong"]),
            refused(&["key", "public", "team.pub"]),
            refused(&["key", "public", "none.key"]),
        ]
        .join("\n")
    );
}

#[test]
fn cosign_signs_with_our_key_and_verifies_with_its_public_half() {
    let Some(cosign) = cosign() else { return };
    let dir = tempfile::tempdir().unwrap();
    output(ybox(dir.path(), &["key", "new", "team"]));
    fs::write(dir.path().join("blob"), "content").unwrap();
    let sign =
        ["sign-blob", "--yes", "--tlog-upload=false", "--key", "team.key", "--output-signature"];
    output(run(&cosign, dir.path(), &[&sign[..], &["blob.sig", "blob"]].concat()));
    let verify = [
        "verify-blob",
        "--key",
        "team.pub",
        "--signature",
        "blob.sig",
        "--insecure-ignore-tlog=true",
        "blob",
    ];
    output(run(&cosign, dir.path(), &verify));
    fs::write(dir.path().join("blob"), "c0ntent").unwrap();
    assert!(!run(&cosign, dir.path(), &verify).status.success());
}

#[test]
fn a_key_of_cosign_opens_with_its_passphrase() {
    let Some(cosign) = cosign() else { return };
    let dir = tempfile::tempdir().unwrap();
    output(run(&cosign, dir.path(), &["generate-key-pair"]));
    let public = fs::read_to_string(dir.path().join("cosign.pub")).unwrap();
    fs::write(dir.path().join("p"), PASSPHRASE).unwrap();
    let printed =
        output(ybox(dir.path(), &["key", "public", "cosign.key", "--passphrase-file", "p"]));
    assert_eq!(printed, public);
}
