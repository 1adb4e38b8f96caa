//! Bubblewrap's command line for a container: a pure function of what is to run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use oci_spec::image::ImageConfiguration;

use super::bubblewrap::Features;
use super::gpus::HandedOver;
use super::openings::{Place, lacking};
use crate::engine::{Container, EngineError, HOST_NAME, Mount, TMP_SIZE};

/// What Docker sets where an image does not.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HOME: &str = "/";

/// Everything but the user, the limits and the descriptors. `root` is the unpacked image.
pub fn arguments(
    container: &Container,
    root: &Path,
    config: &ImageConfiguration,
    features: &Features,
    gpus: HandedOver,
) -> Result<Vec<OsString>, EngineError> {
    let gpus = in_place(gpus, root);
    let mounts: Vec<_> = container.mounts.iter().chain(&gpus.mounts).cloned().collect();
    let mut line = Line::default();
    line.add(&["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts"]);
    line.add(&["--unshare-cgroup", "--hostname", HOST_NAME, "--die-with-parent"]);
    // As in Docker, the image's program is process 1: so signals and exit codes mean the same.
    line.add(&["--new-session", "--as-pid-1", "--cap-drop", "ALL", "--clearenv"]);
    for (name, value) in environment(container, config, &gpus) {
        line.add(&["--setenv", &name, &value]);
    }
    let unreadable = || EngineError::io(format!("read {}", root.display()));
    line.root(root, &mounts).map_err(unreadable())?;
    let opened = lacking(root, &places(&gpus));
    for folder in &opened {
        line.lay_out(root, folder).map_err(unreadable())?;
    }
    line.add(&["--proc", "/proc", "--dev", "/dev"]);
    line.tmpfs("/dev/shm", container.shm_size, features);
    for (source, target) in &gpus.nodes {
        line.bind("--dev-bind", source, &target.to_string_lossy());
    }
    line.add(&["--remount-ro", "/dev"]);
    line.tmpfs("/tmp", TMP_SIZE, features);
    line.mounts(&mounts);
    for (name, link) in &gpus.links {
        line.bind("--symlink", Path::new(name), &link.to_string_lossy());
    }
    for folder in &opened {
        line.add(&["--remount-ro", &folder.to_string_lossy()]);
    }
    line.add(&["--remount-ro", "/", "--chdir", working_directory(config), "--"]);
    let program = entry_point(container, config)?;
    line.add(&program.iter().chain(&container.arguments).map(String::as_str).collect::<Vec<_>>());
    Ok(line.0)
}

/// The same, with no link of the image left in a path: bubblewrap would follow it on the host.
fn in_place(gpus: HandedOver, root: &Path) -> HandedOver {
    let place = |path: &Path| Place::find(root, path).path();
    let moved = |mount: Mount| Mount {
        target: place(Path::new(&mount.target)).display().to_string(),
        ..mount
    };
    HandedOver {
        mounts: gpus.mounts.into_iter().map(moved).collect(),
        links: gpus.links.into_iter().map(|(name, link)| (name, place(&link))).collect(),
        ..gpus
    }
}

/// Everything that needs a place in the image.
fn places(gpus: &HandedOver) -> Vec<PathBuf> {
    let mounts = gpus.mounts.iter().map(|mount| PathBuf::from(&mount.target));
    mounts.chain(gpus.links.iter().map(|(_, link)| link.clone())).collect()
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn bind(&mut self, option: &str, source: &Path, target: &str) {
        self.0.extend([option.into(), source.into(), target.into()]);
    }

    /// The image's top level, entry by entry, on a root of bubblewrap's own: so that mounts can
    /// have places that the image does not, without a change to the unpacked image.
    fn root(&mut self, root: &Path, mounts: &[Mount]) -> std::io::Result<()> {
        for entry in sorted_entries(root)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ["dev", "proc", "tmp"].contains(&name.as_str()) || makes_way(&entry, mounts)? {
                continue;
            }
            self.entry(&entry, &format!("/{name}"))?;
        }
        Ok(())
    }

    /// An empty folder in the place of the image's, with the entries of that.
    fn lay_out(&mut self, root: &Path, folder: &Path) -> std::io::Result<()> {
        let within = root.join(folder.strip_prefix("/").unwrap_or(folder));
        let entries = sorted_entries(&within)?;
        self.add(&["--perms", "0755", "--tmpfs", &folder.to_string_lossy()]);
        for entry in entries {
            self.entry(&entry, &folder.join(entry.file_name()).to_string_lossy())?;
        }
        Ok(())
    }

    /// An entry of the image at `target`: a link as it is, anything else read-only.
    fn entry(&mut self, entry: &fs::DirEntry, target: &str) -> std::io::Result<()> {
        if entry.file_type()?.is_symlink() {
            self.bind("--symlink", &fs::read_link(entry.path())?, target);
        } else {
            self.bind("--ro-bind", &entry.path(), target);
        }
        Ok(())
    }

    fn tmpfs(&mut self, target: &str, size: u64, features: &Features) {
        self.add(&["--perms", "1777"]);
        if features.size {
            self.add(&["--size", &size.to_string()]);
        }
        self.add(&["--tmpfs", target]);
    }

    /// Outer mounts before those inside them.
    fn mounts(&mut self, mounts: &[Mount]) {
        let mut mounts: Vec<_> = mounts.iter().collect();
        mounts.sort_by_key(|mount| Path::new(&mount.target).components().count());
        for mount in mounts {
            let option = if mount.writable { "--bind" } else { "--ro-bind" };
            self.bind(option, &mount.source, &mount.target);
        }
    }
}

fn sorted_entries(folder: &Path) -> std::io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// Whether this is an empty folder that something is mounted inside: bubblewrap makes the folder and
/// the place in it, which it could not in the image's own, read-only one.
fn makes_way(entry: &fs::DirEntry, mounts: &[Mount]) -> std::io::Result<bool> {
    let folder = Path::new("/").join(entry.file_name());
    let is_inside = |target: &Path| target != folder && target.starts_with(&folder);
    Ok(mounts.iter().any(|mount| is_inside(Path::new(&mount.target)))
        && entry.file_type()?.is_dir()
        && fs::read_dir(entry.path())?.next().is_none())
}

/// Docker's defaults, the image's environment over them, the GPUs' and the container's over that.
fn environment(
    container: &Container,
    config: &ImageConfiguration,
    gpus: &HandedOver,
) -> BTreeMap<String, String> {
    let defaults = [("PATH", DEFAULT_PATH), ("HOSTNAME", HOST_NAME), ("HOME", HOME)];
    let image = config.config().as_ref().and_then(|c| c.env().as_ref());
    defaults
        .into_iter()
        .chain(image.into_iter().flatten().filter_map(|entry| entry.split_once('=')))
        .chain(pairs(&gpus.environment))
        .chain(pairs(&container.environment))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn pairs(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
}

fn working_directory(config: &ImageConfiguration) -> &str {
    let directory = config.config().as_ref().and_then(|c| c.working_dir().as_deref());
    directory.filter(|d| !d.is_empty()).unwrap_or("/")
}

fn entry_point(
    container: &Container,
    config: &ImageConfiguration,
) -> Result<Vec<String>, EngineError> {
    let entry_point = config.config().as_ref().and_then(|c| c.entrypoint().clone());
    entry_point
        .filter(|words| !words.is_empty())
        .ok_or_else(|| EngineError::NoEntryPoint { reference: container.image.reference.clone() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use oci_spec::image::{ConfigBuilder, ImageConfigurationBuilder};
    use ybox_spec::Digest;

    use super::*;
    use crate::image::StoredImage;

    fn container() -> Container {
        let digest = Digest::of(b"");
        Container {
            image: StoredImage { reference: "ybox/t".into(), manifest: digest, config: digest },
            arguments: vec!["train".into()],
            environment: vec![("B".into(), "container".into())],
            mounts: vec![
                Mount {
                    source: "/home/a/out".into(),
                    target: "/run/ybox/out".into(),
                    writable: true,
                },
                Mount { source: "/home/a/run".into(), target: "/run".into(), writable: false },
                Mount {
                    source: "/home/a/w".into(),
                    target: "/weights/initial".into(),
                    writable: false,
                },
            ],
            user: (1000, 1000),
            pids_limit: 10,
            shm_size: 4096,
            gpus: Vec::new(),
        }
    }

    fn config(entry_point: &[&str]) -> ImageConfiguration {
        let inner = ConfigBuilder::default()
            .env(["A=image".to_owned(), "B=image".to_owned()])
            .entrypoint(entry_point.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
            .build()
            .unwrap();
        ImageConfigurationBuilder::default().config(inner).build().unwrap()
    }

    fn line(features: Features) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for name in ["usr", "proc", "tmp", "weights"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        symlink("usr/bin", root.path().join("bin")).unwrap();
        let none = HandedOver::default();
        let line = arguments(&container(), root.path(), &config(&["/ytrain"]), &features, none);
        let line = line.unwrap();
        let root = root.path().display().to_string();
        line.iter().map(|w| w.to_string_lossy().replace(&root, "ROOT")).collect()
    }

    const ALL: Features = Features { size: true, disable_userns: true };

    fn follows(line: &[String], words: &[&str]) -> Option<usize> {
        line.windows(words.len()).position(|window| window.iter().eq(words))
    }

    #[test]
    fn the_image_is_read_only_and_the_root_too_once_all_is_mounted() {
        let line = line(ALL);
        let usr = follows(&line, &["--ro-bind", "ROOT/usr", "/usr"]).unwrap();
        assert!(follows(&line, &["--symlink", "usr/bin", "/bin"]).is_some());
        assert_eq!(follows(&line, &["ROOT/proc"]), None);
        let last = follows(&line, &["--bind", "/home/a/out", "/run/ybox/out"]).unwrap();
        assert!(usr < last && last < follows(&line, &["--remount-ro", "/"]).unwrap());
        assert_eq!(line[line.len() - 3..], ["--", "/ytrain", "train"]);
    }

    #[test]
    fn an_empty_folder_of_the_image_makes_way_for_a_mount_inside() {
        let line = line(ALL);
        assert_eq!(follows(&line, &["ROOT/weights"]), None);
        assert!(follows(&line, &["--ro-bind", "/home/a/w", "/weights/initial"]).is_some());
    }

    #[test]
    fn outer_mounts_come_first_and_only_the_writable_one_is_writable() {
        let line = line(ALL);
        let outer = follows(&line, &["--ro-bind", "/home/a/run", "/run"]).unwrap();
        assert!(outer < follows(&line, &["--bind", "/home/a/out", "/run/ybox/out"]).unwrap());
    }

    #[test]
    fn the_container_s_environment_goes_over_the_image_s() {
        let line = line(ALL);
        assert!(follows(&line, &["--setenv", "A", "image"]).is_some());
        assert!(follows(&line, &["--setenv", "B", "container"]).is_some());
        assert!(follows(&line, &["--setenv", "PATH", DEFAULT_PATH]).is_some());
        assert_eq!(follows(&line, &["--setenv", "B", "image"]), None);
    }

    #[test]
    fn sizes_are_limited_where_bubblewrap_can() {
        let limited = ["--perms", "1777", "--size", "4096", "--tmpfs", "/dev/shm"];
        assert!(follows(&line(ALL), &limited).is_some());
        let old = Features { size: false, ..ALL };
        assert!(follows(&line(old), &["--perms", "1777", "--tmpfs", "/dev/shm"]).is_some());
    }

    #[test]
    fn an_image_without_entry_point_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let none = HandedOver::default();
        let refused = arguments(&container(), root.path(), &config(&[]), &ALL, none);
        assert!(matches!(refused, Err(EngineError::NoEntryPoint { .. })));
    }
}
