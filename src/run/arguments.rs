//! Sorting `key=value` arguments: which are settings of the launch, which of the config, and which
//! this task does not take, with the reason.

use serde_json::Value;
use ybox_spec::config::{Launch, PredictConfig, Task, TrainConfig, ValConfig};
use ybox_spec::overrides::{self, ConfigError, Values, keys};

use super::RunError;
use super::foreign;

/// Keys whose value is text as it stands, even where it looks like a number or a YAML alias.
const TEXT: [&str; 8] = ["model", "data", "weights", "source", "cfg", "device", "project", "name"];

/// Settings sorted by what they belong to.
#[derive(Debug, Default, PartialEq)]
pub struct Sorted {
    pub launch: Values,
    pub config: Values,
}

/// Parses and sorts what stands on the command line.
pub fn from_command_line(task: Task, arguments: &[String]) -> Result<Sorted, RunError> {
    sort(task, arguments.iter().map(|a| parse(a)).collect::<Result<_, _>>()?)
}

/// Sorts settings and refuses those that `task` does not have.
pub fn sort(task: Task, values: Values) -> Result<Sorted, RunError> {
    if values.contains_key("names") {
        let origin = if task == Task::Train { "data set" } else { "weights" };
        return Err(RunError::NamesGiven { origin });
    }
    let (launch, config) = overrides::partition::<Launch>(values);
    if let Some((key, theirs)) = launch.keys().find_map(|key| Some((key, wrong_task(task, key)?))) {
        return Err(RunError::OtherTask { key: key.clone(), ours: task, theirs });
    }
    let known = config_keys(task);
    if let Some(key) = config.keys().find(|key| !known.contains(key)) {
        return Err(refusal(task, key));
    }
    Ok(Sorted { launch, config })
}

fn parse(argument: &str) -> Result<(String, Value), ConfigError> {
    match argument.split_once('=') {
        Some((key, text)) if TEXT.contains(&key) => {
            let value = if text.is_empty() { Value::Null } else { text.into() };
            Ok((key.to_owned(), value))
        }
        _ => {
            let mut values = overrides::parse_arguments(&[argument])?.into_iter();
            Ok(values.next().expect("one argument gives one setting"))
        }
    }
}

/// The task that a launch setting belongs to, if that is not `task`.
fn wrong_task(task: Task, key: &str) -> Option<Task> {
    match (key, task) {
        ("source", Task::Train | Task::Val) => Some(Task::Predict),
        ("data", Task::Predict) => Some(Task::Val),
        ("checkpointing", Task::Val | Task::Predict) => Some(Task::Train),
        _ => None,
    }
}

fn config_keys(task: Task) -> Vec<String> {
    match task {
        Task::Train => keys::<TrainConfig>(),
        Task::Val => keys::<ValConfig>(),
        Task::Predict => keys::<PredictConfig>(),
    }
}

fn refusal(task: Task, key: &str) -> RunError {
    if let Some(answer) = foreign::answer(key).filter(|_| !is_answer_for_others(task, key)) {
        return RunError::Foreign { key: key.into(), answer };
    }
    let others = [Task::Train, Task::Val, Task::Predict];
    match others.into_iter().find(|other| config_keys(*other).iter().any(|k| k == key)) {
        Some(theirs) => RunError::OtherTask { key: key.into(), ours: task, theirs },
        None => RunError::Config(unknown(task, key)),
    }
}

/// `save` means weights in training, where it has an answer, and pictures elsewhere.
fn is_answer_for_others(task: Task, key: &str) -> bool {
    key == "save" && task != Task::Train
}

/// The schema's own words, with the nearest key of all that this task takes.
fn unknown(task: Task, key: &str) -> ConfigError {
    let layer = [Values::from_iter([(key.to_owned(), Value::Null)])];
    let launch: Vec<_> =
        keys::<Launch>().into_iter().filter(|k| wrong_task(task, k).is_none()).collect();
    let error = match task {
        Task::Train => overrides::resolve::<TrainConfig>(&layer, &launch).err(),
        Task::Val => overrides::resolve::<ValConfig>(&layer, &launch).err(),
        Task::Predict => overrides::resolve::<PredictConfig>(&layer, &launch).err(),
    };
    error.unwrap_or(ConfigError::UnknownKey { key: key.into(), nearest: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(task: Task, arguments: &[&str]) -> Result<Sorted, RunError> {
        from_command_line(task, &arguments.iter().map(|a| a.to_string()).collect::<Vec<_>>())
    }

    fn message(task: Task, argument: &str) -> String {
        sorted(task, &[argument]).unwrap_err().to_string()
    }

    #[test]
    fn sorts_and_takes_paths_as_text() {
        let sorted =
            sorted(Task::Predict, &["source=*.jpg", "name=007", "conf=0.5", "cfg="]).unwrap();
        assert_eq!(sorted.launch["source"], "*.jpg");
        assert_eq!(sorted.launch["name"], "007");
        assert_eq!(sorted.launch["cfg"], Value::Null);
        assert_eq!(sorted.config["conf"], 0.5);
    }

    #[test]
    fn says_what_is_wrong_with_a_key() {
        for (task, argument, expected) in [
            (Task::Train, "epoch=3", "unknown key `epoch`: did you mean `epochs`?"),
            (Task::Train, "worker=3", "unknown key `worker`: did you mean `workers`?"),
            (Task::Val, "epochs=3", "`epochs` is a setting of train, not of val"),
            (Task::Train, "source=x", "`source` is a setting of predict, not of train"),
            (Task::Predict, "data=x", "`data` is a setting of val, not of predict"),
            (Task::Val, "save=True", "`save` is a setting of predict, not of val"),
            (
                Task::Train,
                "save=True",
                "`save` is not a setting of ybox: the best and the last weights are always kept",
            ),
            (
                Task::Train,
                "amp=True",
                "`amp` is not a setting of ybox: training is in fp32; mixed precision is not supported yet",
            ),
            (Task::Train, "names=[a]", "`names` cannot be set: class names come from the data set"),
            (Task::Train, "epochs", "`epochs` is not of the form key=value"),
        ] {
            assert_eq!(message(task, argument), expected);
        }
    }
}
