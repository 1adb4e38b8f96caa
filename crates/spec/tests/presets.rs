//! The presets in `configs/`: each resolves, and says what was published for its scale.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use ybox_spec::augmentation::AugmentPlan;
use ybox_spec::config::{TrainConfig, model_names};
use ybox_spec::overrides::{keys, parse_preset, resolve};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs")
}

fn preset(model: &str) -> TrainConfig {
    let text = fs::read_to_string(folder().join(format!("{model}.yaml"))).unwrap();
    resolve(&[parse_preset(&text).unwrap()], &[]).unwrap()
}

#[test]
fn there_is_one_for_every_model_and_no_other() {
    let mut found: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut expected: Vec<_> = model_names().map(|model| format!("{model}.yaml")).collect();
    expected.sort();
    assert_eq!(found, expected);
    for model in model_names() {
        assert_eq!(preset(&model).model, model);
    }
}

#[test]
fn the_recipe_is_the_published_one() {
    for graph in ["yolov12", "yolo12"] {
        for (scale, strengths) in [
            ("n", [0.5, 0.0, 0.1]),
            ("s", [0.9, 0.05, 0.15]),
            ("m", [0.9, 0.15, 0.4]),
            ("l", [0.9, 0.15, 0.5]),
            ("x", [0.9, 0.2, 0.6]),
        ] {
            let config = preset(&format!("{graph}{scale}"));
            assert_eq!([config.scale, config.mixup, config.copy_paste], strengths, "{scale}");
            // All else is the same at every scale, and mostly the default.
            let common = TrainConfig {
                model: config.model.clone(),
                scale: config.scale,
                mixup: config.mixup,
                copy_paste: config.copy_paste,
                augment_schedule: config.augment_schedule.clone(),
                epochs: 600,
                warmup_bias_lr: 0.0,
                ..Default::default()
            };
            assert_eq!(config, common, "{graph}{scale}");
        }
    }
}

#[test]
fn what_mixes_pictures_starts_weak_grows_strong_and_ends() {
    let plan = AugmentPlan::of(&preset("yolov12x"));
    let at = |epoch| {
        let now = plan.at(epoch);
        [now.mosaic, now.mixup, now.copy_paste]
    };
    assert_eq!(at(0), [0.5, 0.0, 0.0]);
    assert_eq!(at(30), [0.75, 0.1, 0.3]);
    assert_eq!(at(60), [1.0, 0.2, 0.6]);
    assert_eq!(at(589), [1.0, 0.2, 0.6]);
    assert_eq!(at(590), [0.0; 3]);
    assert_eq!(plan.at(590).scale, plan.at(0).scale);
}

#[test]
fn a_schedule_can_be_taken_away_and_a_strength_kept() {
    let text = fs::read_to_string(folder().join("yolov12s.yaml")).unwrap();
    let line = parse_preset("{augment_schedule: {}, mixup: 0.5}").unwrap();
    let config: TrainConfig = resolve(&[parse_preset(&text).unwrap(), line], &[]).unwrap();
    assert_eq!(AugmentPlan::of(&config).at(0).mixup, 0.5);
    assert!(keys::<TrainConfig>().contains(&"augment_schedule".to_owned()));
}
