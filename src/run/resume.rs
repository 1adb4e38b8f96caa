//! `resume=RUN`: the order of a training that was killed or interrupted, as it was started.

use serde_json::Value;
use ybox_spec::config::{Config, KeyChange, Launch, TrainConfig};
use ybox_spec::overrides::{self, Values};

use super::arguments::Sorted;
use super::recorded::Recorded;
use super::{Order, Request, RunError, Settle};
use crate::image::Store;
use crate::record::{RunState, find_folder, glance};
use crate::ui::Failure;

const VERB: &str = "resumed";
/// What is said of a run once, when it is started.
const WITHOUT_EFFECT: [&str; 4] = ["cfg", "project", "name", "exist_ok"];

/// `None` where `request` does not ask for it.
pub fn resolve(request: &Request, store: &Store, settle: Settle) -> Result<Option<Order>, Failure> {
    let mut given = Sorted::from_command_line(request.task, &request.arguments)?;
    let Some(Value::String(run)) = given.launch.remove("resume") else { return Ok(None) };
    match run.as_str() {
        "False" | "false" | "None" => return Ok(None),
        "True" | "true" => return Err(RunError::ResumeWhich { given: run }.into()),
        _ => {}
    }
    let folder = find_folder(&request.directory, &run)?;
    given.refuse(&WITHOUT_EFFECT, VERB)?;
    let refuse = |reason: &str| Failure::from(RunError::not_again(&folder, VERB, reason));
    match glance(&folder).map(|glance| glance.state) {
        Some(RunState::Completed) => return Err(refuse("it is complete")),
        Some(RunState::Running) => return Err(refuse("it is running")),
        _ => {}
    }
    let recorded = Recorded::read(&folder, VERB)?;
    if recorded.is_record() {
        return Err(refuse("it has no start.json and no checkpoints; `ybox replay` needs neither"));
    }
    let Config::Train(config) = &recorded.config else {
        return Err(refuse("only trainings can be; start it again"));
    };
    same_settings(&recorded, config, &given)?;
    let launch = launch(&recorded.beginning.launch, given.launch)?;
    // Nothing is open in the config: whether this machine can compute so is what is asked.
    let here = (request.directory.as_path(), store, settle);
    let mut order = recorded.order(launch, config.clone(), here)?;
    order.config = recorded.config.clone();
    same_image(request, store, &recorded, &order)?;
    Ok(Some(Order { resumes: Some((folder, recorded.beginning)), ..order }))
}

/// Settings of the config may be said again, not changed.
fn same_settings(
    recorded: &Recorded,
    config: &TrainConfig,
    given: &Sorted,
) -> Result<(), RunError> {
    let layers = [overrides::fields(config), given.config.clone()];
    let theirs = Config::Train(overrides::resolve(&layers, &[])?);
    match recorded.config.changes(&theirs).first() {
        None => Ok(()),
        Some(KeyChange { key, a, b }) => {
            let shown =
                |value: &Option<Value>| value.as_ref().map_or("nothing".into(), Value::to_string);
            let what = format!("{key}={}, not {key}={}", shown(a), shown(b));
            Err(RunError::OtherInputs { folder: recorded.folder.clone(), what })
        }
    }
}

/// The settings that change no result: as they were, unless they are given anew.
fn launch(recorded: &Launch, given: Values) -> Result<Launch, RunError> {
    let recorded = Launch { data: None, weights: None, cfg: None, ..recorded.clone() };
    Ok(overrides::resolve(&[overrides::fields(&recorded), given], &[])?)
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
