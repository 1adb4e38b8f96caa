//! The order of Debian versions: deb-version(7), Debian policy 5.6.12.

use std::cmp::Ordering;

/// Compares two versions `[epoch:]upstream[-revision]`.
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::of(a), Parts::of(b));
    compare_numbers(a.epoch, b.epoch)
        .then_with(|| compare_part(a.upstream, b.upstream))
        .then_with(|| compare_part(a.revision, b.revision))
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self {
            epoch: epoch.as_bytes(),
            upstream: upstream.as_bytes(),
            revision: revision.as_bytes(),
        }
    }
}

/// Stretches of non-digits and of digits in turn, the first by [`rank`], the second as numbers.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !(a.is_empty() && b.is_empty()) {
        let (a_text, b_text) =
            (take(&mut a, |c| !c.is_ascii_digit()), take(&mut b, |c| !c.is_ascii_digit()));
        let (a_number, b_number) =
            (take(&mut a, |c| c.is_ascii_digit()), take(&mut b, |c| c.is_ascii_digit()));
        let order = compare_text(a_text, b_text).then_with(|| compare_numbers(a_number, b_number));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn take<'a>(rest: &mut &'a [u8], accept: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|c| !accept(c)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

fn compare_text(a: &[u8], b: &[u8]) -> Ordering {
    (0..a.len().max(b.len()))
        .map(|i| rank(a.get(i)).cmp(&rank(b.get(i))))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}

/// A tilde sorts before the end, the end before letters, letters before the rest.
fn rank(character: Option<&u8>) -> i32 {
    match character {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

/// Numbers of any length, leading zeros aside.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant =
        |digits: &[u8]| digits.iter().position(|d| *d != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn follows_the_examples_of_the_policy() {
        let ascending = [
            "1.0~~",
            "1.0~~a",
            "1.0~",
            "1.0",
            "1.0-0.1",
            "1.0-1",
            "1.0-1+deb13u1",
            "1.0-1+deb13u10",
            "1.0a",
            "1.0+b",
            "1.1",
            "1.10",
            "1:0.1",
            "2:0",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
        assert_eq!(compare("2.41-12", "0:02.41-012"), Ordering::Equal);
        assert_eq!(compare("1.0", "1.0-0"), Ordering::Equal);
    }

    fn version() -> impl Strategy<Value = String> {
        "([0-2]:)?[0-9][0-9a-c.+~]{0,6}(-[0-9a-c.+~]{1,4})?"
    }

    fn dpkg_says(a: &str, relation: &str, b: &str) -> bool {
        let status = Command::new("dpkg").args(["--compare-versions", a, relation, b]).status();
        status.unwrap().success()
    }

    proptest! {
        #[test]
        fn is_an_order(a in version(), b in version(), c in version()) {
            prop_assert_eq!(compare(&a, &a), Ordering::Equal);
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            if compare(&a, &b).is_le() && compare(&b, &c).is_le() {
                prop_assert!(compare(&a, &c).is_le(), "{} {} {}", a, b, c);
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn agrees_with_dpkg(a in version(), b in version()) {
            if Command::new("dpkg").arg("--version").output().is_err() {
                println!("skipped: there is no dpkg");
                return Ok(());
            }
            let relation = match compare(&a, &b) {
                Ordering::Less => "lt",
                Ordering::Equal => "eq",
                Ordering::Greater => "gt",
            };
            prop_assert!(dpkg_says(&a, relation, &b), "{} {} {}", a, relation, b);
        }
    }
}
