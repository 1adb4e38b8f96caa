//! Numbers with no more decimals than are needed.

use crate::ExactObject;
use crate::shares::{fit, key, rounded_box};

/// More decimals than a share or a pixel of any picture needs.
const MOST: usize = 17;

/// `values` with the fewest decimals, at least `fewest` before zeros at the end go, of which `same`
/// holds once they are read again; in full where it never does.
pub fn shortest<const N: usize>(
    values: [f64; N],
    fewest: usize,
    same: impl Fn([f64; N]) -> bool,
) -> [String; N] {
    let rounded = (fewest..=MOST).map(|decimals| values.map(|v| trimmed(v, decimals)));
    let is_same = |texts: &[String; N]| {
        same(std::array::from_fn(|i| texts[i].parse().expect("it was a number")))
    };
    rounded.into_iter().find(is_same).unwrap_or_else(|| values.map(|v| v.to_string()))
}

fn trimmed(value: f64, decimals: usize) -> String {
    let mut text = format!("{value:.decimals$}");
    if decimals > 0 {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    if text == "-0" { "0".into() } else { text }
}

/// Whether a reader makes the same object of a box with these corners.
pub fn is_box_of(object: &ExactObject, corners: [f64; 4]) -> bool {
    fit(corners).is_ok_and(|(corners, clipped)| {
        let bbox = rounded_box(corners);
        clipped.is_none()
            && key(&crate::Object { class: object.class, bbox }) == key(&object.rounded())
    })
}

/// Whether a reader makes the same coordinate of an outline of share `a` as of share `b`.
pub fn is_same_share(a: f64, b: f64) -> bool {
    a.clamp(0.0, 1.0) as f32 == b as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_decimals_than_needed() {
        let near = |end: f64| move |[v]: [f64; 1]| (v - end).abs() < 1e-4;
        assert_eq!(shortest([1.0 / 3.0], 0, near(1.0 / 3.0)), ["0.3333"]);
        assert_eq!(shortest([1.0 / 3.0], 6, near(1.0 / 3.0)), ["0.333333"]);
        assert_eq!(shortest([640.0], 2, near(640.0)), ["640"]);
        assert_eq!(shortest([-1e-9], 0, near(0.0)), ["0"]);
        assert_eq!(shortest([1e-30], 0, |[v]| v == 1e-30), [1e-30_f64.to_string()]);
    }
}
