//! What a training carries from step to step: the model, its moving average, the optimizer, the
//! schedule, the place in an accumulation.

use std::sync::Arc;

use ybox_spec::config::TrainConfig;

use crate::data::{Loader, Split};
use crate::error::TrainerError;
use crate::job::Job;
use crate::loading::starting_point;
use crate::loss::{Assigner, DetectionLoss, Gains, class};
use crate::model::{ParameterKind, Yolo12};
use crate::numerics;
use crate::optim::schedule::Extent;
use crate::optim::{Ema, Group, Optimizer, Parameter, Schedule};

pub struct Session {
    pub model: Yolo12,
    pub schedule: Schedule,
    pub(super) loader: Loader,
    pub(super) loss: DetectionLoss,
    pub(super) optimizer: Optimizer,
    pub(super) ema: Ema,
    pub(super) max_grad_norm: f64,
    pub(super) epochs: u32,
    /// Batches whose gradients wait for a step, and the sum of their losses.
    pub(super) pending: Pending,
    /// The model that the moving average is copied into to be measured and saved.
    average: Yolo12,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pending {
    pub batches: u32,
    pub loss: f32,
}

impl Session {
    pub fn new(config: &TrainConfig, job: &Job, train: Arc<Split>) -> Result<Self, TrainerError> {
        let classes = config.names.len();
        let (spec, state) = starting_point(job, &config.model, classes, config.compat)?;
        let new_model = || Yolo12::new(spec, config.compute.attention, numerics::device());
        let (model, average) = (new_model()?, new_model()?);
        let model = model.with_checkpointing(job.checkpointing);
        model.init(config.seed);
        if let Some(state) = &state {
            model.load_state_dict(state)?;
        }
        model.freeze(&config.freeze);
        let counts = train.objects_by_class(classes);
        let extent = Extent { images: train.len() as u64, batches: 0, classes: classes as u32 };
        let loader = Loader::new(train, config, job.workers);
        let extent = Extent { batches: loader.batches() as u64, ..extent };
        let schedule = Schedule::new(config, extent);
        let gains = Gains {
            box_loss: config.box_gain,
            cls_loss: config.cls_gain,
            dfl_loss: config.dfl_gain,
        };
        Ok(Self {
            optimizer: Optimizer::new(schedule.effective().algorithm, parameters(&model)),
            ema: Ema::new(&model.state_dict(), config.ema_decay, config.ema_tau),
            loss: DetectionLoss::new(classes, gains, Assigner::default())
                .with_class_weights(class::weights(&counts, config.cls_pw)),
            max_grad_norm: config.max_grad_norm,
            epochs: config.epochs,
            pending: Pending::default(),
            schedule,
            loader,
            model,
            average,
        })
    }

    /// The moving average as a model.
    pub fn averaged(&self) -> Result<&Yolo12, TrainerError> {
        self.average.load_state_dict(&self.ema.tensors())?;
        Ok(&self.average)
    }
}

fn parameters(model: &Yolo12) -> Vec<Parameter> {
    let group = |kind| match kind {
        ParameterKind::Weight => Group::Weights,
        ParameterKind::Norm => Group::Norms,
        ParameterKind::Bias => Group::Biases,
    };
    let parameters = model.parameters().into_iter().filter(|p| p.tensor.requires_grad());
    parameters.map(|p| Parameter { name: p.name, tensor: p.tensor, group: group(p.kind) }).collect()
}
