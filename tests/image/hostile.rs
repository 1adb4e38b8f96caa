//! Packages and wheels that try to get out, or that don't fit: each is refused by name.

use tar::EntryType;
use ybox::image::ImageError;

use super::fixture::{
    Compression, Member, Project, deb, file, ordinary_members, ordinary_wheel, special, wheel,
};

/// The error and its causes, as a person would read them.
fn refusal(deb: &[u8], wheel: &[u8]) -> String {
    let project = Project::with(deb, wheel);
    let error: ImageError = project.build().unwrap_err();
    assert!(project.store().images().unwrap().is_empty(), "nothing may have got the name");
    ybox::ui::Failure::from(error).to_string()
}

#[test]
fn hostile_package_members_are_refused() {
    let cases: Vec<(Vec<Member>, &str)> = vec![
        (vec![file("./../etc/shadow", "x")], "`./../etc/shadow` leaves the image's root"),
        (vec![file("/etc/shadow", "x")], "`/etc/shadow` leaves the image's root"),
        (vec![file("usr/./x", "x")], "`usr/./x` leaves the image's root"),
        (
            vec![special("./usr/lib/up", EntryType::Symlink, "../../../etc")],
            "`usr/lib/up` is a symbolic link that leaves the image's root",
        ),
        (
            vec![special("./usr/way", EntryType::Symlink, "/tmp"), file("./usr/way/x", "x")],
            "alpha brings usr/way/x, but usr/way is not a folder in alpha",
        ),
        (vec![file("./lib/x", "x")], "alpha brings lib/x, but lib is not a folder in ybox"),
        (vec![file("./etc/passwd", "x")], "ybox and alpha both bring etc/passwd"),
        (vec![file("./a", "x"), file("./a", "y")], "alpha and alpha both bring a"),
        (vec![special("./dev/sda", EntryType::Block, "")], "`dev/sda` is a device node or pipe"),
        (vec![special("./dev/tty", EntryType::Char, "")], "`dev/tty` is a device node or pipe"),
        (vec![special("./pipe", EntryType::Fifo, "")], "`pipe` is a device node or pipe"),
        (
            vec![special("./twin", EntryType::Link, "../../etc/shadow")],
            "`twin` is a hard link to what is not in the image",
        ),
        (vec![file("./usr/share/doc/../../../../x/changelog", "x")], "leaves the image's root"),
    ];
    for (members, why) in cases {
        let text = refusal(&deb(&members, Compression::None), &ordinary_wheel());
        assert!(text.contains("cannot use the package alpha 1.0-1"), "{text}");
        assert!(text.contains(why), "expected `{why}` in:\n{text}");
    }
}

#[test]
fn a_package_that_is_another_or_is_cut_short_is_refused() {
    let good = deb(&ordinary_members(), Compression::None);
    let text = String::from_utf8_lossy(&good).into_owned();
    let other = text.replace("Version: 1.0-1", "Version: 6.6-6");
    let text = refusal(other.as_bytes(), &ordinary_wheel());
    assert!(
        text.contains("says that it is alpha 6.6-6 amd64, the lock says alpha 1.0-1"),
        "{text}"
    );
    for length in [0, 7, 60, 200, good.len() - 3000] {
        let text = refusal(&good[..length], &ordinary_wheel());
        assert!(text.contains("cannot use the package alpha"), "{text}");
    }
    for compression in [Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let mut damaged = deb(&ordinary_members(), compression);
        let end = damaged.len() - 40;
        damaged.truncate(end);
        let text = refusal(&damaged, &ordinary_wheel());
        assert!(text.contains("cannot use the package alpha"), "{text}");
    }
}

#[test]
fn hostile_wheel_members_are_refused() {
    /// Path, mode, content.
    type Member = (&'static str, u32, &'static [u8]);
    let good: Member = ("beta/lib/beta.so", 0o755, b"x");
    let cases: Vec<(Vec<Member>, &str)> = vec![
        (vec![good, ("../beta/lib/x.so", 0o755, b"x")], "`../beta/lib/x.so` leaves the wheel's"),
        (vec![good, ("/beta/lib/x.so", 0o755, b"x")], "`/beta/lib/x.so` leaves the wheel's"),
        (vec![good, ("beta/lib/..\\x.so", 0o755, b"x")], "leaves the wheel's root"),
        (
            vec![("beta/lib/beta.so", 0o120_777, b"/etc/shadow")],
            "`beta/lib/beta.so` is a symbolic link or another special file",
        ),
        (vec![("beta/other", 0o644, b"x")], "it has no file that matches `beta/lib/*.so`"),
    ];
    let deb = deb(&ordinary_members(), Compression::None);
    for (members, why) in cases {
        let text = refusal(&deb, &wheel(&members));
        assert!(text.contains("cannot use the wheel beta-1.0-py3-none-any.whl"), "{text}");
        assert!(text.contains(why), "expected `{why}` in:\n{text}");
    }
    let mut damaged = ordinary_wheel();
    let at = damaged.windows(10).position(|w| w == b"not really").unwrap();
    damaged[at] ^= 1;
    let text = refusal(&deb, &damaged);
    assert!(text.contains("cannot use the wheel beta-1.0"), "a wrong CRC: {text}");
}

#[test]
fn layers_may_not_hide_each_other() {
    let members = [ordinary_members(), vec![file("./opt/ybox/lib/beta.so", "x")]];
    let members: Vec<_> = members.into_iter().flatten().collect();
    let text = refusal(&deb(&members, Compression::None), &ordinary_wheel());
    assert!(
        text.contains("the layers base and libraries both bring /opt/ybox/lib/beta.so"),
        "{text}"
    );
}

#[test]
fn a_trainer_whose_libraries_are_not_in_the_image_is_refused() {
    let project = Project::new();
    let program = std::env::current_exe().unwrap();
    std::fs::copy(program, project.path("trainer")).unwrap();
    let text = ybox::ui::Failure::from(project.build().unwrap_err()).to_string();
    assert!(text.contains("/opt/ybox/bin/ytrain needs libc.so.6, which the image lacks"), "{text}");
    assert!(text.contains("is started by /lib64/ld-linux-x86-64.so.2, which the image"), "{text}");
    assert!(project.store().images().unwrap().is_empty());
}
