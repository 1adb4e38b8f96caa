//! The scale of an axis: a range that ends on round numbers, and the round numbers in it.

/// About this many ticks.
const TICKS: f64 = 5.0;

/// A range of values with its ticks.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    pub low: f64,
    pub high: f64,
    pub ticks: Vec<f64>,
    step: f64,
}

impl Scale {
    /// The smallest range of whole steps that holds all `values` that are finite.
    pub fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let finite = values.into_iter().filter(|v| v.is_finite());
        let (low, high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        if low > high {
            return Self::of(0.0, 1.0);
        }
        if low == high {
            return Self::flat(low);
        }
        let step = step(high - low);
        Self::with_step((low / step).floor() * step, (high / step).ceil() * step, step)
    }

    /// A flat line lies in the middle of its axis, and nothing at its foot.
    fn flat(value: f64) -> Self {
        match value.abs() {
            0.0 => Self::of(0.0, 1.0),
            size => Self::around([value - size / 2.0, value + size / 2.0]),
        }
    }

    /// Exactly this range.
    pub fn of(low: f64, high: f64) -> Self {
        Self::with_step(low, high, step(high - low))
    }

    fn with_step(low: f64, high: f64, step: f64) -> Self {
        let first = (low / step - 1e-6).ceil() as i64;
        let last = (high / step + 1e-6).floor() as i64;
        let ticks = (first..=last).map(|i| i as f64 * step).collect();
        Self { low, high, ticks, step }
    }

    /// Exactly this range, of numbers of things: ticks are whole.
    pub fn counting(low: f64, high: f64) -> Self {
        let scale = Self::of(low, high);
        if scale.step >= 1.0 {
            return scale;
        }
        let ticks = (low.ceil() as i64..=high.floor() as i64).map(|i| i as f64).collect();
        Self { low, high, ticks, step: 1.0 }
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end.
    pub fn share(&self, value: f64) -> f64 {
        if self.high > self.low { (value - self.low) / (self.high - self.low) } else { 0.5 }
    }

    /// `tick` with as many digits as tell it from its neighbours.
    pub fn label(&self, tick: f64) -> String {
        if tick == 0.0 {
            return "0".into();
        }
        if self.step < 1e-3 || self.step >= 1e6 {
            return short_exponent(tick);
        }
        let decimals = (-self.step.log10()).ceil().max(0.0) as usize;
        format!("{tick:.decimals$}")
    }
}

/// 1, 2 or 5 times a power of ten.
fn step(range: f64) -> f64 {
    let rough = (range / TICKS).max(f64::MIN_POSITIVE);
    let power = 10f64.powi(rough.log10().floor() as i32);
    let of_power = rough / power;
    // The bounds are the geometric means of neighbours.
    let factor = match of_power {
        f if f < 1.42 => 1.0,
        f if f < 3.17 => 2.0,
        f if f < 7.08 => 5.0,
        _ => 10.0,
    };
    factor * power
}

/// `1.5e-4`, without trailing zeros.
fn short_exponent(value: f64) -> String {
    let text = format!("{value:.2e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: &Scale) -> Vec<String> {
        scale.ticks.iter().map(|&t| scale.label(t)).collect()
    }

    #[test]
    fn ticks_are_round_and_told_apart() {
        assert_eq!(labels(&Scale::of(0.0, 1.0)), ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(
            labels(&Scale::around([3.2, 6.1])),
            ["3.0", "3.5", "4.0", "4.5", "5.0", "5.5", "6.0", "6.5"]
        );
        let narrow = Scale::around([4.1837, 4.1979]);
        assert_eq!((narrow.ticks[0], narrow.low), (narrow.low, 4.182));
        assert_eq!(labels(&Scale::around([1.7e-4, 1.4e-3]))[1], "2e-4");
        assert_eq!(labels(&Scale::counting(1.0, 3.0)), ["1", "2", "3"]);
        assert_eq!(
            labels(&Scale::counting(1.0, 600.0)),
            ["100", "200", "300", "400", "500", "600"]
        );
    }

    #[test]
    fn odd_values_do_no_harm() {
        for values in [vec![], vec![f64::NAN], vec![f64::INFINITY, 1.0], vec![0.0], vec![7.0, 7.0]]
        {
            let scale = Scale::around(values.clone());
            assert!(scale.low < scale.high && scale.ticks.len() < 20, "{values:?} {scale:?}");
        }
        assert_eq!(Scale::around([7.0]).share(7.0), 0.5);
        assert_eq!(labels(&Scale::around([0.0])), labels(&Scale::of(0.0, 1.0)));
        let scale = Scale::counting(1.0, 1.0);
        assert_eq!((scale.share(1.0), labels(&scale)), (0.5, vec!["1".to_owned()]));
    }
}
