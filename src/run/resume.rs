//! `resume=RUN`: the order of a training that was killed or interrupted, as it was started.

use serde_json::Value;
use ybox_spec::config::{Config, Launch, TrainConfig};
use ybox_spec::overrides::{self, Values};

use super::arguments::{self, Sorted};
use super::recorded::Recorded;
use super::{Order, Request, RunError, Settle};
use crate::image::Store;
use crate::record::{RunState, find_folder, glance};
use crate::ui::Failure;

/// `None` where `request` does not ask for it.
pub fn resolve(request: &Request, store: &Store, settle: Settle) -> Result<Option<Order>, Failure> {
    let mut given = arguments::from_command_line(request.task, &request.arguments)?;
    let Some(Value::String(run)) = given.launch.remove("resume") else { return Ok(None) };
    match run.as_str() {
        "False" | "false" | "None" => return Ok(None),
        "True" | "true" => return Err(RunError::ResumeWhich { given: run }.into()),
        _ => {}
    }
    let folder = find_folder(&request.directory, &run)?;
    let refuse = |reason: &str| {
        let reason = reason.to_owned();
        Failure::from(RunError::NotAgain { folder: folder.clone(), verb: "resumed", reason })
    };
    match glance(&folder).map(|glance| glance.state) {
        Some(RunState::Completed) => return Err(refuse("it is complete")),
        Some(RunState::Running) => return Err(refuse("it is running")),
        _ => {}
    }
    let recorded = Recorded::read(&folder, "resumed")?;
    let Config::Train(config) = &recorded.config else {
        return Err(refuse("only trainings can be; start it again"));
    };
    same_settings(&recorded, config, &given)?;
    let launch = launch(&recorded.beginning.launch, given.launch)?;
    let order = recorded.order(launch, &request.directory, store, settle)?;
    same_image(request, store, &recorded, &order)?;
    Ok(Some(Order { resumes: Some((folder, recorded.beginning)), ..order }))
}

/// Settings of the config may be said again, not changed.
fn same_settings(
    recorded: &Recorded,
    config: &TrainConfig,
    given: &Sorted,
) -> Result<(), RunError> {
    let ours = fields(config);
    let theirs: TrainConfig = overrides::resolve(&[ours.clone(), given.config.clone()], &[])?;
    let theirs = fields(&theirs);
    match ours.iter().find(|(key, value)| theirs.get(*key) != Some(value)) {
        None => Ok(()),
        Some((key, value)) => {
            let what = format!("{key}={value}, not {key}={}", theirs[key]);
            Err(RunError::OtherInputs { folder: recorded.folder.clone(), what })
        }
    }
}

fn fields(config: &TrainConfig) -> Values {
    match serde_json::to_value(config).expect("a config is plain data") {
        Value::Object(fields) => fields,
        _ => unreachable!("a config is an object"),
    }
}

/// The settings that change no result: as they were, unless they are given anew.
fn launch(recorded: &Launch, given: Values) -> Result<Launch, RunError> {
    let recorded = Launch { data: None, weights: None, cfg: None, ..recorded.clone() };
    let mut values = serde_json::to_value(recorded).expect("plain data");
    let values = values.as_object_mut().map(std::mem::take).unwrap_or_default();
    Ok(overrides::resolve(&[values, given], &[])?)
}

fn same_image(
    request: &Request,
    store: &Store,
    recorded: &Recorded,
    order: &Order,
) -> Result<(), Failure> {
    let Some(asked) = &request.image else { return Ok(()) };
    let asked = super::find_image(store, Some(asked))?;
    match asked.config == order.image.config {
        true => Ok(()),
        false => {
            let what = format!("another image: {}, not {}", order.image.config, asked.config);
            Err(RunError::OtherInputs { folder: recorded.folder.clone(), what }.into())
        }
    }
}
