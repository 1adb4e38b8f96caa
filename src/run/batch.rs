//! `batch=auto`: the number of pictures that fit into memory becomes a setting like any other before
//! the config is hashed. The trainer measures, in a container like that of the training.

use serde_json::Value;
use ybox_spec::batch::{BatchPlan, DEFAULT_SHARE};
use ybox_spec::config::{AutoCheckpointing, Checkpointing, Config, TrainConfig};
use ybox_spec::overrides::Values;
use ybox_spec::record::Status;

use super::ending::status;
use super::execute::{CONFIG_PATH, OUT, Surroundings, container_for, follow, mount};
use super::{Order, RunError, device};
use crate::record::{self, Kind};
use crate::ui::{Failure, RunView};

/// A batch that memory is to decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AutoBatch {
    /// Of the free memory.
    pub share: f64,
}

impl AutoBatch {
    /// `auto`, or as users of other tools say it: -1, or the share of the memory.
    fn read(value: &Value) -> Option<Self> {
        let share = match (value.as_str(), value.as_f64()) {
            (Some("auto"), _) | (_, Some(-1.0)) => DEFAULT_SHARE,
            (_, Some(share)) if 0.0 < share && share < 1.0 => share,
            _ => return None,
        };
        Some(Self { share })
    }
}

/// Takes `batch` out of `layers`, the later over the earlier, where it is automatic.
pub fn take<'a>(layers: impl IntoIterator<Item = &'a mut Values>) -> Option<AutoBatch> {
    let mut auto = None;
    for values in layers {
        if let Some(value) = values.get("batch") {
            auto = AutoBatch::read(value);
            if auto.is_some() {
                values.remove("batch");
            }
        }
    }
    auto
}

/// Asks the trainer in the order's image how large the batch of `config` can be.
pub fn plan(
    order: &Order,
    config: &TrainConfig,
    auto: AutoBatch,
    with: &Surroundings,
    view: &mut RunView,
) -> Result<BatchPlan, Failure> {
    let failed = |source| RunError::Write { path: with.home.to_owned(), source };
    let folder = tempfile::Builder::new().prefix("batch-").tempdir_in(with.home).map_err(failed)?;
    record::write_config(folder.path(), &order.config)?;
    let mounts = vec![mount(folder.path(), OUT, true)];
    let container = container_for(order, arguments(order, auto), mounts, with.engine);
    let (mut heard, ended) = follow(&container, with, view)?;
    let plan = heard.batch.take();
    let policy = AutoCheckpointing::Is(policy(order));
    let one = Config::Train(TrainConfig { batch: 1, ..config.clone() });
    match status(ended, with.stop, heard, (&one, policy), folder.path()) {
        Ok(Status::Interrupted | Status::OutOfTime) | Err(RunError::Killed { .. }) => {
            Err(RunError::NotPlanned.into())
        }
        Ok(Status::Completed) => Ok(plan.ok_or(RunError::NoPlan)?),
        Err(error) => Err(error.into()),
    }
}

fn arguments(order: &Order, auto: AutoBatch) -> Vec<String> {
    let pictures = |split: &str| {
        let of_split = order.wanted.iter().filter(|wanted| wanted.split == split);
        of_split.filter(|wanted| wanted.kind == Kind::Picture).count().to_string()
    };
    let mut arguments: Vec<String> = [
        "batch",
        "--config",
        CONFIG_PATH,
        "--out",
        OUT,
        "--checkpointing",
        policy(order).name(),
        "--share",
        &auto.share.to_string(),
        "--cache",
        order.launch.cache.name(),
        "--train",
        &pictures("train"),
        "--val",
        &pictures("val"),
    ]
    .map(str::to_owned)
    .into();
    arguments.extend(device::arguments(&order.devices));
    if let Some(memory) = &order.launch.memory {
        arguments.extend(["--memory".to_owned(), memory.clone()]);
    }
    arguments
}

/// The policy that the batch is for; `auto` is refused together with `batch=auto`.
fn policy(order: &Order) -> Checkpointing {
    match order.launch.checkpointing {
        AutoCheckpointing::Is(policy) => policy,
        AutoCheckpointing::Auto => Checkpointing::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(layers: &[&str]) -> (Option<AutoBatch>, Vec<bool>) {
        let parse = |yaml: &&str| ybox_spec::overrides::parse_preset(yaml).unwrap();
        let mut layers: Vec<_> = layers.iter().map(parse).collect();
        let auto = take(&mut layers);
        (auto, layers.iter().map(|values| values.contains_key("batch")).collect())
    }

    #[test]
    fn every_spelling_is_known_and_numbers_of_pictures_stay() {
        let share = |yaml| taken(&[yaml]).0.map(|auto| auto.share);
        for (yaml, expected) in [
            ("batch: auto", Some(0.6)),
            ("batch: -1", Some(0.6)),
            ("batch: 0.85", Some(0.85)),
            ("batch: 16", None),
            ("batch: 1", None),
            ("batch: 1.5", None),
            ("batch: 0", None),
            ("batch: all", None),
            ("epochs: 3", None),
        ] {
            assert_eq!(share(yaml), expected, "{yaml}");
        }
    }

    #[test]
    fn the_later_layer_decides() {
        let auto = Some(AutoBatch { share: 0.6 });
        assert_eq!(taken(&["batch: auto", "epochs: 3"]), (auto, vec![false, false]));
        assert_eq!(taken(&["batch: auto", "batch: 8"]), (None, vec![false, true]));
        assert_eq!(taken(&["batch: 8", "batch: auto"]), (auto, vec![true, false]));
    }
}
