//! Sorting `key=value` arguments: which are settings of the launch, which of the config, and which
//! this task does not take, with the reason.

use serde_json::Value;
use ybox_spec::config::{ExportConfig, Launch, PredictConfig, Task, TrainConfig, ValConfig};
use ybox_spec::overrides::{self, ConfigError, Values, keys};

use super::RunError;
use super::foreign;

/// Keys whose value is text as it stands, even where it looks like a number or a YAML alias.
const TEXT: [&str; 9] =
    ["model", "data", "weights", "source", "cfg", "device", "project", "name", "resume"];

/// Keys that take several numbers, with or without brackets around them.
const LISTS: [&str; 2] = ["classes", "freeze"];

/// Settings sorted by what they belong to.
#[derive(Debug, Default, PartialEq)]
pub struct Sorted {
    pub launch: Values,
    pub config: Values,
}

impl Sorted {
    /// Refuses those of `keys` that are given: a run that is `verb` would pass over them.
    pub fn refuse(&self, keys: &[&str], verb: &'static str) -> Result<(), RunError> {
        let given =
            |key: &&&str| self.launch.contains_key(**key) || self.config.contains_key(**key);
        match keys.iter().find(given) {
            Some(key) => Err(RunError::NoEffect { key: key.to_string(), verb }),
            None => Ok(()),
        }
    }

    /// Parses and sorts what stands on the command line.
    pub fn from_command_line(task: Task, arguments: &[String]) -> Result<Self, RunError> {
        sort(task, arguments.iter().map(|a| parse(a)).collect::<Result<_, _>>()?)
    }
}

/// Sorts settings and refuses those that `task` does not have.
pub fn sort(task: Task, mut values: Values) -> Result<Sorted, RunError> {
    if task == Task::Train {
        take_pretrained(&mut values)?;
    }
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
    if let Some(refusal) = config.iter().find_map(|(key, value)| unoffered(key, value)) {
        return Err(refusal);
    }
    Ok(Sorted {
        launch: without_unset(launch, &overrides::defaults::<Launch>()),
        config: without_unset(config, &defaults(task)),
    })
}

/// A value that other tools offer for `key`, refused with what to say to that.
fn unoffered(key: &str, value: &Value) -> Option<RunError> {
    let value = value.as_str()?;
    let answer = foreign::value_answer(key, value)?;
    Some(RunError::Unoffered { key: key.into(), value: value.into(), answer })
}

/// Without those that are set to nothing, where nothing is not a value that they can have.
fn without_unset(mut values: Values, defaults: &Values) -> Values {
    values.retain(|key, value| !value.is_null() || defaults[key].is_null());
    values
}

fn parse(argument: &str) -> Result<(String, Value), ConfigError> {
    let yaml = match argument.split_once('=') {
        Some((key, "" | "None")) if !key.is_empty() => return Ok((key.to_owned(), Value::Null)),
        Some((key, text)) if TEXT.contains(&key) => return Ok((key.to_owned(), text.into())),
        Some((key, text)) if LISTS.contains(&key) && text.contains(',') => {
            format!("{key}=[{}]", text.trim_matches(['[', ']', '(', ')']))
        }
        _ => argument.to_owned(),
    };
    let mut values = overrides::parse_arguments(&[yaml])?.into_iter();
    Ok(values.next().expect("one argument gives one setting"))
}

/// `pretrained=FILE` is another name for `weights=FILE`.
fn take_pretrained(values: &mut Values) -> Result<(), RunError> {
    let Some(Value::String(file)) = values.get("pretrained").cloned() else { return Ok(()) };
    values.remove("pretrained");
    match values.get("weights").and_then(|w| w.as_str()) {
        Some(weights) if weights != file => {
            let also = format!("pretrained={file}");
            Err(RunError::TwoWeights { weights: weights.into(), also })
        }
        _ => {
            values.insert("weights".into(), file.into());
            Ok(())
        }
    }
}

/// The task that a launch setting belongs to, if that is not `task`.
fn wrong_task(task: Task, key: &str) -> Option<Task> {
    match (key, task) {
        ("source", Task::Train | Task::Val | Task::Export) => Some(Task::Predict),
        ("data", Task::Predict | Task::Export) => Some(Task::Val),
        ("plots", Task::Predict | Task::Export) => Some(Task::Train),
        ("cache", Task::Predict | Task::Export) => Some(Task::Train),
        (
            "checkpointing" | "memory" | "checkpoint_every" | "resume" | "time",
            Task::Val | Task::Predict | Task::Export,
        ) => Some(Task::Train),
        _ => None,
    }
}

fn defaults(task: Task) -> Values {
    match task {
        Task::Train => overrides::defaults::<TrainConfig>(),
        Task::Val => overrides::defaults::<ValConfig>(),
        Task::Predict => overrides::defaults::<PredictConfig>(),
        Task::Export => overrides::defaults::<ExportConfig>(),
    }
}

fn config_keys(task: Task) -> Vec<String> {
    defaults(task).into_iter().map(|(key, _)| key).collect()
}

fn refusal(task: Task, key: &str) -> RunError {
    if let Some(answer) = foreign::answer(key).filter(|_| !is_answer_for_others(task, key)) {
        return RunError::Foreign { key: key.into(), answer };
    }
    let others = [Task::Train, Task::Val, Task::Predict, Task::Export];
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
        Task::Export => overrides::resolve::<ExportConfig>(&layer, &launch).err(),
    };
    error.unwrap_or(ConfigError::UnknownKey { key: key.into(), nearest: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(task: Task, arguments: &[&str]) -> Result<Sorted, RunError> {
        Sorted::from_command_line(
            task,
            &arguments.iter().map(|a| a.to_string()).collect::<Vec<_>>(),
        )
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
    fn none_stands_for_a_setting_that_is_not_given() {
        let arguments = ["time=None", "device=None", "freeze=None", "classes=", "epochs=None"];
        let sorted = sorted(Task::Train, &arguments).unwrap();
        assert_eq!(sorted.launch, Values::from_iter([("time".to_owned(), Value::Null)]));
        assert_eq!(sorted.config, Values::new());
        assert_eq!(message(Task::Train, "epoch=None"), message(Task::Train, "epoch=3"));
    }

    #[test]
    fn several_numbers_need_no_brackets() {
        for argument in ["classes=0,2", "classes=[0, 2]", "classes=(0,2)"] {
            let sorted = sorted(Task::Train, &[argument]).unwrap();
            assert_eq!(sorted.config["classes"], serde_json::json!([0, 2]));
        }
    }

    #[test]
    fn takes_keys_that_are_not_written_where_they_have_their_defaults() {
        let sorted = sorted(Task::Train, &["rect=True", "cublas_workspace=:16:8"]).unwrap();
        assert_eq!(sorted.config["rect"], true);
        assert_eq!(sorted.config["cublas_workspace"], ":16:8");
    }

    #[test]
    fn pretrained_is_weights_by_another_name() {
        let pretrained = "pretrained=a/best.safetensors";
        for arguments in [&[pretrained][..], &[pretrained, "weights=a/best.safetensors"]] {
            let sorted = sorted(Task::Train, arguments).unwrap();
            assert_eq!(sorted.launch["weights"], "a/best.safetensors");
            assert!(sorted.config.is_empty());
        }
        let error = sorted(Task::Train, &[pretrained, "weights=b"]).unwrap_err().to_string();
        assert_eq!(error, "both weights=b and pretrained=a/best.safetensors are given");
    }

    /// What users of ultralytics can give in training.
    const PEERS: &str = "model data epochs time patience batch imgsz save save_period cache device \
        workers project name exist_ok pretrained cls_remap optimizer verbose seed deterministic \
        single_cls rect cos_lr close_mosaic resume amp fraction profile freeze multi_scale compile \
        channels_last overlap_mask mask_ratio dropout val split save_json conf iou max_det quantize \
        dnn nms plots lr0 lrf momentum weight_decay warmup_epochs warmup_momentum warmup_bias_lr box \
        cls dfl cls_pw distill_model dis pose kobj rle angle dlog dgrad dlam nbs hsv_h hsv_s hsv_v \
        degrees translate scale shear perspective flipud fliplr bgr mosaic mixup cutmix copy_paste \
        copy_paste_mode auto_augment erasing cfg tracker";

    /// The first column of the reference's table, where the reference is there.
    fn reference() -> Option<Vec<String>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/reference/peer.md");
        let Ok(text) = std::fs::read_to_string(path) else {
            println!("not compared with the reference: {path} is absent");
            return None;
        };
        let rows = text.lines().skip_while(|line| !line.starts_with("## Train arguments"));
        let rows = rows.skip_while(|line| !line.starts_with("|---")).skip(1);
        let names = rows.take_while(|line| line.starts_with('|')).flat_map(|row| {
            let column = row.split('|').nth(1).unwrap_or_default();
            let column = column.replace("copy_paste(,_mode)", "copy_paste,copy_paste_mode");
            column.split([',', '/']).map(|name| name.trim().to_owned()).collect::<Vec<_>>()
        });
        Some(names.collect())
    }

    #[test]
    fn every_setting_that_users_bring_along_is_taken_or_answered() {
        let known: Vec<_> = PEERS.split_whitespace().collect();
        if let Some(reference) = reference() {
            assert_eq!(known, reference);
        }
        let ours = [config_keys(Task::Train), keys::<Launch>()].concat();
        for key in known {
            if ours.iter().any(|k| k == key) {
                continue;
            }
            // `True` is no value of most: the key alone decides.
            let error = sorted(Task::Train, &[&format!("{key}=True")]).unwrap_err();
            let answered = matches!(error, RunError::Foreign { .. } | RunError::OtherTask { .. });
            assert!(answered, "{key}: {error}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_a_key() {
        for (task, argument, expected) in [
            (Task::Train, "epoch=3", "unknown key `epoch`: did you mean `epochs`?"),
            (Task::Train, "worker=3", "unknown key `worker`: did you mean `workers`?"),
            (Task::Val, "epochs=3", "`epochs` is a setting of train, not of val"),
            (Task::Train, "source=x", "`source` is a setting of predict, not of train"),
            (Task::Predict, "plots=True", "`plots` is a setting of train, not of predict"),
            (Task::Predict, "data=x", "`data` is a setting of val, not of predict"),
            (Task::Export, "batch=2", "`batch` is a setting of train, not of export"),
            (Task::Train, "format=onnx", "`format` is a setting of export, not of train"),
            (
                Task::Export,
                "dynamic=True",
                "`dynamic` is not a setting of ybox: an exported graph takes one picture of the size `imgsz`",
            ),
            (
                Task::Export,
                "format=engine",
                "format=engine is not offered: its own tools make it from the ONNX graph",
            ),
            (
                Task::Train,
                "sync_bn=True",
                "`sync_bn` is not a setting of ybox: a training is on one device, where a batch is \
                 normalised as a whole",
            ),
            (
                Task::Train,
                "optimizer=Adam",
                "optimizer=Adam is not offered: the recipes are made for SGD and AdamW, and `auto` \
                 chooses between them",
            ),
            (Task::Val, "save=True", "`save` is a setting of predict, not of val"),
            (
                Task::Train,
                "save=True",
                "`save` is not a setting of ybox: the best and the last weights are always kept",
            ),
            (
                Task::Train,
                "half=True",
                "`half` is not a setting of ybox: inference is in fp32; lower precision is not supported yet",
            ),
            (
                Task::Train,
                "pretrained=True",
                "`pretrained` is not a setting of ybox: say from which weights to start with \
                 `pretrained=FILE.safetensors` or `weights=FILE.safetensors`; without, training \
                 starts from scratch",
            ),
            (Task::Val, "rect=True", "`rect` is a setting of train, not of val"),
            (Task::Predict, "single_cls=1", "`single_cls` is a setting of train, not of predict"),
            (Task::Train, "save_json=1", "`save_json` is a setting of val, not of train"),
            (Task::Train, "names=[a]", "`names` cannot be set: class names come from the data set"),
            (Task::Train, "epochs", "`epochs` is not of the form key=value"),
        ] {
            assert_eq!(message(task, argument), expected);
        }
    }
}
