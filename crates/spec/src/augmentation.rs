//! How strong each augmentation is in each epoch: the strengths of the config, scaled by the
//! config's schedule, with everything that mixes pictures off in the last epochs. What an
//! augmentation does to pixels is the trainer's.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::TrainConfig;
use crate::overrides::ConfigError;

/// Points of a curve by the name of a strength. A point is `[share of the epochs done, share of
/// the strength]`; between two points the share changes in a line, before the first and after the
/// last it stays. A strength without points is constant.
pub type AugmentSchedule = BTreeMap<String, Vec<[f64; 2]>>;

/// Every augmentation that has a strength, under the name of its key.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Strengths {
    pub mosaic: f64,
    pub mixup: f64,
    pub copy_paste: f64,
    pub degrees: f64,
    pub translate: f64,
    pub scale: f64,
    pub shear: f64,
    pub perspective: f64,
    pub hsv_h: f64,
    pub hsv_s: f64,
    pub hsv_v: f64,
    pub flipud: f64,
    pub fliplr: f64,
}

impl Strengths {
    /// The full strengths. Nothing is mixed where batches are rectangles.
    pub fn of(config: &TrainConfig) -> Self {
        let asked = Self::asked(config);
        if config.rect { asked.unmixed() } else { asked }
    }

    /// Whether pictures are mixed.
    pub fn mixes(&self) -> bool {
        *self != self.unmixed()
    }

    /// The same without what mixes pictures.
    fn unmixed(self) -> Self {
        Self { mosaic: 0.0, mixup: 0.0, copy_paste: 0.0, ..self }
    }

    /// What the keys say.
    pub fn asked(config: &TrainConfig) -> Self {
        Self {
            mosaic: config.mosaic,
            mixup: config.mixup,
            copy_paste: config.copy_paste,
            degrees: config.degrees,
            translate: config.translate,
            scale: config.scale,
            shear: config.shear,
            perspective: config.perspective,
            hsv_h: config.hsv_h,
            hsv_s: config.hsv_s,
            hsv_v: config.hsv_v,
            flipud: config.flipud,
            fliplr: config.fliplr,
        }
    }

    /// For events.
    pub fn values(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(values)) => values,
            other => unreachable!("a struct serialises to an object, not {other:?}"),
        }
    }

    fn by_name(&mut self) -> [(&'static str, &mut f64); 13] {
        [
            ("mosaic", &mut self.mosaic),
            ("mixup", &mut self.mixup),
            ("copy_paste", &mut self.copy_paste),
            ("degrees", &mut self.degrees),
            ("translate", &mut self.translate),
            ("scale", &mut self.scale),
            ("shear", &mut self.shear),
            ("perspective", &mut self.perspective),
            ("hsv_h", &mut self.hsv_h),
            ("hsv_s", &mut self.hsv_s),
            ("hsv_v", &mut self.hsv_v),
            ("flipud", &mut self.flipud),
            ("fliplr", &mut self.fliplr),
        ]
    }
}

/// The strengths of a whole training.
#[derive(Debug, Clone, PartialEq)]
pub struct AugmentPlan {
    full: Strengths,
    schedule: AugmentSchedule,
    epochs: u32,
    /// First epoch, from 0, in which no pictures are mixed.
    closed: u32,
}

impl AugmentPlan {
    pub fn of(config: &TrainConfig) -> Self {
        Self {
            full: Strengths::of(config),
            schedule: config.augment_schedule.clone(),
            epochs: config.epochs,
            closed: config.epochs.saturating_sub(config.close_mosaic),
        }
    }

    /// What is in force in `epoch`, from 0.
    pub fn at(&self, epoch: u32) -> Strengths {
        let mut now = self.full;
        let done = f64::from(epoch) / f64::from(self.epochs);
        for (name, strength) in now.by_name() {
            if let Some(points) = self.schedule.get(name) {
                *strength *= share(points, done);
            }
        }
        match epoch < self.closed {
            true => now,
            false => now.unmixed(),
        }
    }
}

/// The curve through `points`, which ascend, at `done`. Of two points at one place the later counts
/// from there on: a step.
fn share(points: &[[f64; 2]], done: f64) -> f64 {
    let after = points.partition_point(|point| point[0] <= done);
    match (after.checked_sub(1).map(|i| points[i]), points.get(after)) {
        (Some([x0, y0]), Some(&[x1, y1])) => y0 + (y1 - y0) * (done - x0) / (x1 - x0),
        (Some([_, y]), None) | (None, Some(&[_, y])) => y,
        (None, None) => 1.0,
    }
}

/// Refuses names that are no strengths, and curves that are none.
pub(crate) fn check(schedule: &AugmentSchedule) -> Result<(), ConfigError> {
    let refuse =
        |reason: String| Err(ConfigError::Value { key: "augment_schedule".into(), reason });
    let names = Strengths::default().by_name().map(|(name, _)| name);
    for (name, points) in schedule {
        if !names.contains(&name.as_str()) {
            return refuse(format!("`{name}` is not one of {}", names.join(", ")));
        }
        if points.is_empty() {
            return refuse(format!("{name} has no point; leave it out to keep it constant"));
        }
        if let Some(value) = points.iter().flatten().find(|v| !(0.0..=1.0).contains(*v)) {
            return refuse(format!("{name}: {value} is not a share, 0 to 1"));
        }
        if let Some(pair) = points.windows(2).find(|pair| pair[1][0] < pair[0][0]) {
            return refuse(format!("{name}: {} comes after {}", pair[1][0], pair[0][0]));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overrides::{parse_preset, resolve};

    fn config(yaml: &str) -> Result<TrainConfig, ConfigError> {
        resolve(&[parse_preset(yaml)?], &[])
    }

    #[test]
    fn without_a_schedule_strengths_are_constant_until_pictures_are_no_longer_mixed() {
        let config = config("{epochs: 20, mixup: 0.2, copy_paste: 0.3}").unwrap();
        let plan = AugmentPlan::of(&config);
        assert_eq!(plan.at(0), Strengths::of(&config));
        assert_eq!(plan.at(9), plan.at(0));
        let closed = plan.at(10);
        assert_eq!((closed.mosaic, closed.mixup, closed.copy_paste), (0.0, 0.0, 0.0));
        assert_eq!((closed.scale, closed.fliplr), (0.5, 0.5));
    }

    #[test]
    fn nothing_is_mixed_in_rectangles() {
        let config = config("{epochs: 20, mixup: 0.2, copy_paste: 0.3, rect: true}").unwrap();
        let plan = AugmentPlan::of(&config);
        assert_eq!((plan.at(0).mosaic, plan.at(0).mixup, plan.at(0).copy_paste), (0.0, 0.0, 0.0));
        assert_eq!((plan.at(0).scale, plan.at(0)), (0.5, plan.at(19)));
    }

    #[test]
    fn a_strength_follows_its_curve() {
        let plan = AugmentPlan::of(
            &config(
                "epochs: 10\nclose_mosaic: 0\nscale: 0.8\n\
                 augment_schedule:\n  mosaic: [[0, 0.5], [0.4, 1], [0.8, 0]]\n  \
                 scale: [[0.25, 0], [0.25, 1]]\n",
            )
            .unwrap(),
        );
        let mosaic: Vec<_> = (0..10).map(|e| (plan.at(e).mosaic * 1e3).round() / 1e3).collect();
        assert_eq!(mosaic, [0.5, 0.625, 0.75, 0.875, 1.0, 0.75, 0.5, 0.25, 0.0, 0.0]);
        // A step.
        assert_eq!([1, 2, 3, 9].map(|e| plan.at(e).scale), [0.0, 0.0, 0.8, 0.8]);
        // What has no curve stays.
        assert_eq!(plan.at(5).hsv_s, 0.7);
    }

    #[test]
    fn refuses_what_is_no_schedule() {
        for (schedule, reason) in [
            ("{mosiac: [[0, 1]]}", "`mosiac` is not one of mosaic, mixup, copy_paste, degrees"),
            ("{mosaic: []}", "mosaic has no point"),
            ("{mosaic: [[0, 1.5]]}", "mosaic: 1.5 is not a share, 0 to 1"),
            ("{mosaic: [[-1, 1]]}", "mosaic: -1 is not a share"),
            ("{mosaic: [[0.5, 1], [0.2, 1]]}", "mosaic: 0.2 comes after 0.5"),
            ("{mosaic: [[0, 1, 2]]}", "invalid length 3"),
            ("{mosaic: 3}", "invalid type"),
        ] {
            let error = config(&format!("augment_schedule: {schedule}")).unwrap_err().to_string();
            assert!(error.starts_with("augment_schedule: "), "{error}");
            assert!(error.contains(reason), "{schedule}: {error}");
        }
    }

    #[test]
    fn the_schedule_is_part_of_the_hash() {
        let hash = |yaml| crate::config::Config::Train(config(yaml).unwrap()).digest();
        assert_ne!(hash("{}"), hash("augment_schedule: {mixup: [[0, 0], [1, 1]]}"));
        assert_eq!(hash("{}"), hash("augment_schedule: {}"));
    }

    #[test]
    fn every_name_is_a_key_of_the_config() {
        let keys = crate::overrides::keys::<TrainConfig>();
        let mut strengths = Strengths::default();
        for (name, strength) in strengths.by_name() {
            assert!(keys.iter().any(|key| key == name), "{name}");
            *strength = 1.0;
        }
        assert_eq!(strengths.values().len(), strengths.by_name().len());
        assert!(strengths.values().values().all(|value| *value == 1.0));
    }
}
