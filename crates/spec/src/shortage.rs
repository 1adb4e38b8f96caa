//! What to say when memory runs out: what was tried, and which settings need less. The trainer says
//! it where an allocation fails, ybox where the kernel has ended the trainer.

use crate::config::{AutoCheckpointing, Checkpointing, Config, TrainConfig};

/// What memory was needed for.
pub fn tried(config: &Config, checkpointing: AutoCheckpointing) -> String {
    match config {
        Config::Train(c) => format!(
            "training {} with batch={}, imgsz={}, checkpointing={}",
            c.model,
            c.batch,
            c.imgsz,
            checkpointing.name()
        ),
        Config::Val(c) => format!("validating {} with imgsz={}", c.model, c.imgsz),
        Config::Predict(c) => format!("predicting by {} with imgsz={}", c.model, c.imgsz),
        Config::Export(c) => format!("exporting {}", c.model),
    }
}

/// Settings that need less than those tried.
pub fn advice(config: &Config, checkpointing: AutoCheckpointing) -> String {
    let settings = match config {
        Config::Train(c) => for_training(c, checkpointing),
        Config::Val(c) => for_pictures(c.imgsz),
        Config::Predict(c) => for_pictures(c.imgsz),
        Config::Export(_) => Vec::new(),
    };
    match settings.is_empty() {
        true => "end what else uses memory, or give the machine more".into(),
        false => format!("any of these needs less: {}", settings.join(", ")),
    }
}

fn for_training(config: &TrainConfig, checkpointing: AutoCheckpointing) -> Vec<String> {
    let mut settings = Vec::new();
    let least = Checkpointing::LayerHead;
    // `auto` would have taken it where nothing else fits.
    if matches!(checkpointing, AutoCheckpointing::Is(policy) if policy != least) {
        settings.push(format!("checkpointing={} (more time, the same bits)", least.name()));
    }
    if config.batch > 1 {
        settings.push(format!("batch={}", config.batch / 2));
    }
    settings.extend(smaller(config.imgsz));
    settings
}

/// Validation and prediction take pictures one at a time; loader threads hold a few more.
fn for_pictures(imgsz: u32) -> Vec<String> {
    smaller(imgsz).into_iter().chain(["workers=1".to_owned()]).collect()
}

/// About half the pixels.
fn smaller(imgsz: u32) -> Option<String> {
    let side = (f64::from(imgsz) / 2f64.sqrt() / 32.0).floor() as u32 * 32;
    (side > 0).then(|| format!("imgsz={side}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ExportConfig, ValConfig};

    const NONE: AutoCheckpointing = AutoCheckpointing::Is(Checkpointing::None);
    const MOST: AutoCheckpointing = AutoCheckpointing::Is(Checkpointing::LayerHead);

    #[test]
    fn advice_is_what_is_not_done_yet() {
        let train = |batch, imgsz| {
            let model = "yolov12s".into();
            Config::Train(TrainConfig { model, batch, imgsz, ..Default::default() })
        };
        assert_eq!(
            tried(&train(16, 640), NONE),
            "training yolov12s with batch=16, imgsz=640, checkpointing=none"
        );
        assert_eq!(
            advice(&train(16, 640), NONE),
            "any of these needs less: checkpointing=layer+head (more time, the same bits), batch=8, \
             imgsz=448"
        );
        assert_eq!(advice(&train(1, 64), MOST), "any of these needs less: imgsz=32");
        let auto = advice(&train(2, 64), AutoCheckpointing::Auto);
        assert_eq!(auto, "any of these needs less: batch=1, imgsz=32");
        assert!(advice(&train(1, 32), MOST).starts_with("end what else"));
        let val = Config::Val(ValConfig::default());
        assert_eq!(advice(&val, NONE), "any of these needs less: imgsz=448, workers=1");
        let export = Config::Export(ExportConfig::default());
        assert!(advice(&export, NONE).starts_with("end what else"));
    }
}
