//! Package URLs: one name for a package whatever the tool.
//! <https://github.com/package-url/purl-spec>

use std::fmt::Write;

use crate::lock::{LockedDeb, LockedWheel};

pub fn deb(deb: &LockedDeb) -> String {
    let (name, version) = (escaped(&deb.name), escaped(&deb.version));
    let distro = deb.suite.split('-').next().unwrap_or(&deb.suite);
    let (arch, distro) = (escaped(&deb.architecture), escaped(distro));
    format!("pkg:deb/debian/{name}@{version}?arch={arch}&distro={distro}")
}

pub fn wheel(wheel: &LockedWheel) -> String {
    let name = wheel.name.to_ascii_lowercase().replace('_', "-");
    let (version, file) = (escaped(&wheel.version), escaped(&wheel.file));
    format!("pkg:pypi/{}@{version}?file_name={file}", escaped(&name))
}

/// Percent-encoded but for letters, digits and `.-_~:`.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            write!(escaped, "%{byte:02X}").expect("writing to a string never fails");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use ybox_spec::Digest;

    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        let package = LockedDeb {
            name: "libstdc++6".into(),
            version: "1:14.2.0-19".into(),
            architecture: "amd64".into(),
            archive: "debian".into(),
            suite: "trixie-security".into(),
            path: "pool/x.deb".into(),
            size: 1,
            sha256: Digest::of(b""),
        };
        let expected = "pkg:deb/debian/libstdc%2B%2B6@1:14.2.0-19?arch=amd64&distro=trixie";
        assert_eq!(deb(&package), expected);
        let package = LockedWheel {
            name: "Nvidia_cufft".into(),
            version: "2.0+cpu".into(),
            file: "x.whl".into(),
            size: 1,
            sha256: Digest::of(b""),
        };
        assert_eq!(wheel(&package), "pkg:pypi/nvidia-cufft@2.0%2Bcpu?file_name=x.whl");
    }
}
