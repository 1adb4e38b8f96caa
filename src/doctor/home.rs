//! The machine that containers run on: an engine, room on the disk, the clock, and the images that
//! are there already.

use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::statvfs;

use super::{Check, let_read};
use crate::image::{ImageError, Problem, ProblemCode, Store, short_reference};
use crate::probe::Facts;
use crate::probe::facts::Fact;
use crate::ui::one_line;

/// Bytes for an image, packed and unpacked, with its downloads.
const ROOM_CPU: u64 = 3 << 30;
const ROOM_CUDA: u64 = 12 << 30;
/// 2026-01-01, before which there was no ybox.
const BEFORE: Duration = Duration::from_secs(1_767_225_600);

/// What runs containers here, the preferred first.
pub fn engine(facts: &Facts) -> Check {
    const NAME: &str = "engine";
    let engines = &facts.engines;
    let known = [("docker", &engines.docker), ("podman", &engines.podman)];
    let mut found: Vec<_> = known
        .iter()
        .filter_map(|(name, engine)| Some(format!("{name} {}", engine.known()?.version)))
        .collect();
    if engines.bubblewrap.known().is_some_and(|b| b.works.known() == Some(&true)) {
        found.push("bubblewrap".into());
    }
    if !found.is_empty() {
        return Check::well(NAME, found.join(", "));
    }
    let why = |name: &str, reason: &str| format!("{name}: {reason}");
    let bubblewrap = match &engines.bubblewrap {
        Fact::Is(bubblewrap) => bubblewrap.works.reason(),
        other => other.reason(),
    };
    let mut reasons: Vec<_> = known.iter().map(|(n, engine)| why(n, engine.reason())).collect();
    reasons.push(why("bubblewrap", bubblewrap));
    Check::ill(
        NAME,
        "none",
        reasons.join("; "),
        "install bubblewrap (`apt-get install bubblewrap`), or install and start Docker or Podman",
    )
}

/// Room for an image in ybox's folder, or where that will be made.
pub fn space(home: &Path, cuda: bool) -> Check {
    const NAME: &str = "disk";
    let need = if cuda { ROOM_CUDA } else { ROOM_CPU };
    let there = home.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let have = match statvfs(there) {
        Ok(space) => space.f_bavail.saturating_mul(space.f_frsize),
        Err(error) => {
            let wrong = format!("its free space can't be asked for: {error}");
            return Check::ill(
                NAME,
                there.display().to_string(),
                wrong,
                "give --home another folder",
            );
        }
    };
    let found = format!("{:.1} GiB free in {}", gib(have), there.display());
    if have >= need {
        return Check::well(NAME, found);
    }
    let wrong = format!("an image, packed and unpacked, takes {:.0} GiB", gib(need));
    Check::ill(NAME, found, wrong, "make room there, or choose another folder with --home")
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

/// A clock that is behind makes signatures of archives invalid and runs older than their images.
pub fn clock(home: &Path) -> Check {
    let newest = std::fs::metadata(home.join("store/index.json")).and_then(|meta| meta.modified());
    judge(SystemTime::now(), newest.ok())
}

/// `newest`: when the store was last written.
fn judge(now: SystemTime, newest: Option<SystemTime>) -> Check {
    const NAME: &str = "clock";
    const MEND: &str = "set the clock: `timedatectl set-ntp true`";
    let after = |earlier| now.duration_since(earlier).is_ok();
    if !after(SystemTime::UNIX_EPOCH + BEFORE) {
        return Check::ill(NAME, "before 2026", "it is behind", MEND);
    }
    match newest {
        Some(newest) if !after(newest) => {
            Check::ill(NAME, "behind the newest image", "the store was written in its future", MEND)
        }
        _ => Check::well(NAME, "nothing here is from its future"),
    }
}

/// Every image of the store is whole: its documents, the sizes of its layers and, in a `deep` check,
/// their content are what the digests say.
pub fn images(home: &Path, deep: bool) -> Check {
    const NAME: &str = "images";
    let listed = Store::existing(home)
        .and_then(|store| store.map(|store| Ok((store.images()?, store))).transpose());
    let (images, store) = match listed {
        Ok(Some((images, store))) if !images.is_empty() => (images, store),
        Ok(_) => return Check::skipped(NAME, "none are stored yet"),
        Err(error) => {
            let mend = open_again(&home.join("store"), &error);
            return Check::ill(NAME, "the store can't be read", one_line(&error), mend);
        }
    };
    let problems = |image| if deep { store.check(image) } else { store.check_sizes(image) };
    let found = images.iter().find_map(|image| Some((image, problems(image).into_iter().next()?)));
    let count = format!("{} stored", images.len());
    match found {
        Some((image, problem)) => {
            let name = short_reference(&image.reference);
            let wrong = format!("{name}: {}: {}", problem.item, problem.detail);
            Check::ill(NAME, count, wrong, replace(home, &problem))
        }
        None if deep => Check::well(NAME, format!("{count}, all read and intact")),
        None => {
            Check::well(NAME, format!("{count}, none lacks a part (--deep compares their content)"))
        }
    }
}

/// What makes a store readable whose index is not.
fn open_again(store: &Path, error: &ImageError) -> String {
    match error {
        ImageError::Io { source, .. } => let_read(store, source),
        _ => format!(
            "remove {}, and build or pull the images again: what is stored of them is used",
            store.join("index.json").display()
        ),
    }
}

/// What replaces a part of an image.
fn replace(home: &Path, problem: &Problem) -> String {
    match problem.code {
        ProblemCode::BlobUnreadable => {
            let store = home.join("store");
            format!("let it be read: as its owner, `chmod -R a+rX {}`", store.display())
        }
        _ => "bring the image in again by `ybox build`, `ybox pull` or `ybox import`".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Tables, pretend};

    #[test]
    fn a_clock_is_ill_before_ybox_and_before_its_own_files() {
        let now = SystemTime::UNIX_EPOCH + BEFORE + Duration::from_secs(1000);
        let later = now + Duration::from_secs(1);
        assert!(!judge(now, None).is_ill());
        assert!(!judge(now, Some(now)).is_ill());
        assert!(judge(now, Some(later)).is_ill());
        assert!(judge(SystemTime::UNIX_EPOCH, None).is_ill());
    }

    #[test]
    fn without_an_engine_every_reason_is_given() {
        let mut facts = pretend("cpu", &Tables::built_in()).unwrap();
        facts.engines.docker = Fact::absent("no socket /var/run/docker.sock");
        let check = engine(&facts);
        let text = format!("{check:?}");
        assert!(check.is_ill() && text.contains("no socket") && text.contains("bubblewrap: "));
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_measured_where_it_will_be() {
        let home = tempfile::tempdir().unwrap();
        let check = space(&home.path().join("not/yet"), false);
        assert!(format!("{check:?}").contains(&home.path().display().to_string()), "{check:?}");
    }
}
