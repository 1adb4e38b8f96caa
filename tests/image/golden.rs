//! The bytes of an image are pinned. A change here is a new packer revision, or a mistake.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};
use std::{fs, path::Path};

use super::fixture::{Compression, Project, deb, ordinary_members, ordinary_wheel};

const CONFIG: &str = "sha256:3f492d85f13562b1e6fc30da9f185731a10ed2297af719693839a4bbc29a817b";
const MANIFEST: &str = "sha256:bf6b303440f4a2450b6c24b2044298669cadaaaeed0f3acd7e8661e1eeb9661d";

#[test]
fn the_same_inputs_give_the_pinned_digests() {
    let project = Project::new();
    let image = project.build().unwrap().image;
    assert_eq!(image.config.to_string(), CONFIG, "the config digest");
    assert_eq!(image.manifest.to_string(), MANIFEST, "the manifest digest");
}

#[test]
fn neither_umask_nor_folder_nor_time_zone_nor_locale_nor_file_times_matter() {
    for (umask, zone, locale, folder) in [
        ("000", "UTC", "C", "/"),
        ("077", "Pacific/Kiritimati", "tr_TR.UTF-8", "/tmp"),
        ("027", "America/St_Johns", "de_DE", "/usr"),
    ] {
        let project = Project::new();
        disturb(&project.path("trainer"), 0o700, 86_400);
        disturb(&project.path("configs/a.yaml"), 0o600, 1);
        let ybox = project.ybox(&["build", "tiny", "--no-load"]);
        let output = Command::new("sh")
            .args(["-c", &format!("umask {umask}; cd {folder}; exec \"$0\" \"$@\"")])
            .arg(ybox.get_program())
            .args(ybox.get_args())
            .envs([("TZ", zone), ("LC_ALL", locale), ("LANG", locale)])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let reference = String::from_utf8(output.stdout).unwrap();
        assert_eq!(reference, format!("ybox/tiny:latest@{MANIFEST}\n"));
    }
}

fn disturb(path: &Path, mode: u32, seconds: u64) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn a_package_gives_the_same_layers_however_it_is_compressed() {
    let layers = |compression| {
        let deb = deb(&ordinary_members(), compression);
        let built = Project::with(&deb, &ordinary_wheel()).build().unwrap();
        built.layers.iter().map(|layer| (layer.diff_id, layer.digest)).collect::<Vec<_>>()
    };
    let plain = layers(Compression::None);
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
        assert_eq!(layers(compression), plain);
    }
}
