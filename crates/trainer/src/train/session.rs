//! What a training carries from step to step: the model, its moving average, the optimizer, the
//! schedule, the place in an accumulation. Keeping it healthy is `care`'s.

use std::path::Path;
use std::sync::Arc;

use tch::Tensor;
use torch_ext::Precision;
use ybox_spec::config::{AttentionPath, Checkpointing, Freeze, TrainConfig};

use super::guard::Guard;
use super::pending::Pending;
use super::snapshot::{Snapshot, Statistics};
use super::sums::Sums;
use crate::data::{Loader, Split};
use crate::error::TrainerError;
use crate::job::Job;
use crate::loading::starting_point;
use crate::loss::{Assigner, DetectionLoss, Gains, class};
use crate::model::{Mode, ParameterKind, Yolo12};
use crate::optim::schedule::Extent;
use crate::optim::{Ema, GradScaler, Group, Optimizer, Parameter, Schedule};
use crate::{numerics, weights};

pub struct Session {
    pub model: Yolo12,
    pub schedule: Schedule,
    pub(super) loader: Loader,
    pub(super) loss: DetectionLoss,
    pub(super) optimizer: Optimizer,
    pub(super) ema: Ema,
    pub(super) max_grad_norm: f64,
    pub(super) epochs: u32,
    /// Batches whose gradients wait for a step.
    pub(super) pending: Pending,
    /// The epoch that is trained, from 0, and what it has come to so far.
    pub(super) epoch: u32,
    pub(super) sums: Sums,
    pub(super) guard: Guard,
    pub(super) statistics: Statistics,
    /// The last healthy state.
    pub(super) snapshot: Snapshot,
    pub(super) attention: AttentionPath,
    /// What forward is cast to.
    precision: Option<Precision>,
    /// Where that is fp16.
    pub(super) scaler: Option<GradScaler>,
    #[cfg(test)]
    pub(super) faults: super::faults::Faults,
    /// The model that the moving average is copied into to be measured and saved.
    average: Yolo12,
    decay: Decay,
    pub(super) checkpointing: Checkpointing,
    freeze: Freeze,
}

/// Of the moving average.
#[derive(Debug, Clone, Copy)]
struct Decay {
    last: f64,
    tau: f64,
}

impl Session {
    pub fn new(
        config: &TrainConfig,
        job: &Job,
        train: Arc<Split>,
        checkpointing: Checkpointing,
    ) -> Result<Self, TrainerError> {
        let classes = config.names.len();
        let (spec, state) = starting_point(job, &config.model, classes, config.compat)?;
        let new_model = || Yolo12::new(spec, config.compute.attention, numerics::device());
        let (model, average) = (new_model()?, new_model()?);
        let model = model.with_checkpointing(checkpointing);
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
        let full = extent.images.min(config.batch.into());
        let decay = Decay { last: config.ema_decay, tau: config.ema_tau };
        let optimizer = Optimizer::new(schedule.effective().algorithm, parameters(&model));
        let ema = Ema::new(&model.state_dict(), decay.last, decay.tau);
        let precision = numerics::precision(config.amp)?;
        let scaler = (precision == Some(Precision::Fp16)).then(GradScaler::default);
        Ok(Self {
            snapshot: Snapshot::of(&model, &ema, &optimizer, scaler.as_ref()),
            statistics: Statistics::of(&model),
            guard: Guard::new(full * u64::from(schedule.effective().accumulate)),
            optimizer,
            ema,
            attention: config.compute.attention,
            precision,
            scaler,
            #[cfg(test)]
            faults: Default::default(),
            loss: DetectionLoss::new(classes, gains, Assigner::default())
                .with_class_weights(class::weights(&counts, config.cls_pw)),
            max_grad_norm: config.max_grad_norm,
            epochs: config.epochs,
            pending: Pending::default(),
            epoch: 0,
            sums: Sums::default(),
            schedule,
            loader,
            model,
            average,
            decay,
            checkpointing,
            freeze: config.freeze.clone(),
        })
    }

    /// The raw maps of a batch of training pictures, `[N, 3, H, W]`.
    pub(super) fn forward(&self, images: &Tensor) -> Result<[Tensor; 3], TrainerError> {
        numerics::in_precision(self.precision, || self.model.forward(images, Mode::Train))
    }

    /// The moving average as a model.
    pub fn averaged(&self) -> Result<&Yolo12, TrainerError> {
        self.average.load_state_dict(&self.ema.tensors())?;
        Ok(&self.average)
    }

    /// A model with the weights in the file `path`, which a training of this session wrote.
    pub fn with_weights(&self, path: &Path) -> Result<&Yolo12, TrainerError> {
        self.average.load_state_dict(&weights::read(path)?.state)?;
        Ok(&self.average)
    }

    /// Builds the model, and what follows its tensors, again with another attention path.
    pub(super) fn change_attention(&mut self, path: AttentionPath) -> Result<(), TrainerError> {
        let new_model = || Yolo12::new(*self.model.spec(), path, numerics::device());
        let (model, average) = (new_model()?, new_model()?);
        let model = model.with_checkpointing(self.checkpointing);
        model.load_state_dict(&self.model.state_dict())?;
        model.freeze(&self.freeze);
        let mut optimizer = Optimizer::new(self.schedule.effective().algorithm, parameters(&model));
        optimizer.load_state(&self.optimizer.state())?;
        let mut ema = Ema::new(&model.state_dict(), self.decay.last, self.decay.tau);
        ema.load_state(&self.ema.state())?;
        self.statistics = Statistics::of(&model);
        (self.model, self.average, self.optimizer, self.ema) = (model, average, optimizer, ema);
        self.attention = path;
        Ok(())
    }
}

/// What the optimizer moves: parameters that are not frozen, by how they are decayed.
pub fn parameters(model: &Yolo12) -> Vec<Parameter> {
    let group = |kind| match kind {
        ParameterKind::Weight => Group::Weights,
        ParameterKind::Norm => Group::Norms,
        ParameterKind::Bias => Group::Biases,
    };
    let parameters = model.parameters().into_iter().filter(|p| p.tensor.requires_grad());
    parameters.map(|p| Parameter { name: p.name, tensor: p.tensor, group: group(p.kind) }).collect()
}
