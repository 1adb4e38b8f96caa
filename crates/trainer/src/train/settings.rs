//! What a training says about the settings that are really in force: at the start for the whole
//! run, and of the augmentations before each epoch.

use serde_json::{Map, Value};
use ybox_spec::augmentation::{AugmentPlan, Strengths};
use ybox_spec::config::TrainConfig;
use ybox_spec::events::Event;

use crate::data::Split;
use crate::emit::Emitter;
use crate::model::ModelSpec;
use crate::optim::schedule::Effective;

/// The strengths of the augmentations on given data.
pub struct Augmentations {
    full: Strengths,
    /// Pictures should be mixed, and are in rectangles.
    mixes_in_vain: bool,
    plan: AugmentPlan,
    has_polygons: bool,
}

impl Augmentations {
    pub fn of(config: &TrainConfig, train: &Split) -> Self {
        Self {
            full: Strengths::of(config),
            mixes_in_vain: config.rect && Strengths::asked(config).mixes(),
            plan: AugmentPlan::of(config),
            has_polygons: train.has_polygons(),
        }
    }

    /// What epoch `epoch`, from 0, trains with.
    pub fn event(&self, epoch: u32) -> Event {
        let values = self.in_force(self.plan.at(epoch)).values();
        Event::Augmentation { epoch: epoch + 1, values }
    }

    fn in_force(&self, strengths: Strengths) -> Strengths {
        match self.has_polygons {
            true => strengths,
            false => Strengths { copy_paste: 0.0, ..strengths },
        }
    }

    /// A note where pictures should be mixed in rectangles, and where copy-paste is asked for and no
    /// object can be copied.
    pub fn note_what_does_nothing(&self, emit: &mut Emitter) {
        if self.mixes_in_vain {
            emit.note(
                "rect-without-mixing",
                "rect=true: mosaic, mixup and copy_paste are 0, as each picture stays alone in the \
                 rectangle of its batch; close_mosaic does nothing",
            );
        }
        if self.full.copy_paste > 0.0 && !self.has_polygons {
            emit.note(
                "copy-paste-without-polygons",
                "copy_paste does nothing: it needs polygons, and the labels have boxes only",
            );
        }
    }
}

/// What `auto` was settled to, and the full strengths of the augmentations under `augmentation`.
pub fn in_force(
    config: &TrainConfig,
    spec: &ModelSpec,
    effective: &Effective,
    augmentations: &Augmentations,
) -> Map<String, Value> {
    let mut values = effective.values();
    values.insert("residual_scaling".into(), spec.residual_scaling.into());
    let mut strengths = augmentations.in_force(augmentations.full).values();
    strengths.insert("close_mosaic".into(), config.close_mosaic.into());
    values.insert("augmentation".into(), strengths.into());
    values
}
