//! Why two runs part, as far as what differs tells: the earliest in the order in which one thing
//! decides the next.

use serde::Serialize;
use ybox_spec::config::KeyChange;

use super::data::ItemChange;
use super::host::HostChange;
use super::section::Subject;

/// What kind of difference made two runs part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    Config,
    Data,
    /// The initial weights.
    Weights,
    /// The trainer or a library.
    Image,
    /// The attention path.
    Attention,
    /// The promise of the arithmetic, or its threads.
    Numerics,
    /// The class of hardware.
    Hardware,
    /// Nothing that was compared explains it.
    Unknown,
}

/// What is to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A step that differs. What only validation reads can't be its cause.
    Step,
    /// A result that differs.
    Result,
}

/// Everything that differs before the first step.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Suspects {
    pub config: Vec<KeyChange>,
    pub data: Vec<ItemChange>,
    pub weights: bool,
    pub image: ImageChange,
    pub host: Vec<HostChange>,
    /// Both runs had numerics that promise the same bits on any host.
    pub portable: bool,
    pub not_compared: Vec<Subject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ImageChange {
    #[default]
    Same,
    /// The images differ; which files, is not known.
    Somehow,
    /// The settings and the paths of the files that differ.
    Parts(Vec<String>),
}

/// The most likely cause, and what else could be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Likely {
    pub cause: Cause,
    /// The keys, files or facts that make it up.
    pub items: Vec<String>,
    /// Other differences that could be the cause as well.
    pub also: Vec<Cause>,
    /// The whole as people read it.
    pub sentence: String,
}

/// Settings that no step depends on: they rule over validation, stopping and what is kept.
const BESIDE_THE_STEPS: [&str; 7] =
    ["patience", "save_period", "conf", "iou", "max_det", "ema_decay", "ema_tau"];

/// Items that a sentence names.
const NAMED: usize = 3;

pub fn likely_cause(suspects: &Suspects, effect: Effect) -> Likely {
    let mut possible = suspects.possible(effect).into_iter();
    let (cause, items) = possible.next().unwrap_or((Cause::Unknown, Vec::new()));
    let also: Vec<_> = possible.map(|(cause, _)| cause).collect();
    let mut sentence = suspects.sentence(cause, &items);
    if !also.is_empty() {
        let names: Vec<_> = also.iter().map(|cause| cause.name()).collect();
        sentence += &format!("; also possible: {}", names.join(", "));
    }
    Likely { cause, items, also, sentence }
}

impl Suspects {
    /// The causes that there can be, most likely first.
    fn possible(&self, effect: Effect) -> Vec<(Cause, Vec<String>)> {
        let counts = |key: &str| effect == Effect::Result || !BESIDE_THE_STEPS.contains(&key);
        let is_read = |item: &ItemChange| effect == Effect::Result || item.split == "train";
        let keys = |which: &dyn Fn(&KeyChange) -> bool| -> Vec<String> {
            self.config.iter().filter(|c| which(c)).map(|c| c.key.clone()).collect()
        };
        let data = self.data.iter().filter(|item| is_read(item)).map(|item| item.path.clone());
        let hardware = self.host.iter().filter(|c| c.hardware).map(|c| c.difference.item.clone());
        let some = |items: Vec<String>| Some(items).filter(|items| !items.is_empty());
        let is_attention = |key: &KeyChange| key.key == "attention";
        [
            (Cause::Config, some(keys(&|c| !c.is_compute() && counts(&c.key)))),
            (Cause::Data, some(data.collect())),
            (Cause::Weights, self.weights.then(Vec::new)),
            (Cause::Image, self.image.computing()),
            (Cause::Attention, some(keys(&is_attention))),
            (Cause::Numerics, some(keys(&|c| c.is_compute() && !is_attention(c)))),
            (Cause::Hardware, some(hardware.collect())),
        ]
        .into_iter()
        .filter_map(|(cause, items)| Some((cause, items?)))
        .collect()
    }

    fn sentence(&self, cause: Cause, items: &[String]) -> String {
        let name = cause.name();
        match cause {
            Cause::Unknown => {
                let not: Vec<_> = self.not_compared.iter().map(|subject| subject.name()).collect();
                let not = match not.is_empty() {
                    true => String::new(),
                    false => format!("; not compared: {}", not.join(", ")),
                };
                format!("{name} (nothing that was compared explains it{not})")
            }
            Cause::Hardware if self.portable => {
                let items = first_few(items);
                format!("{name} ({items}), on which portable numerics should not depend")
            }
            _ if items.is_empty() => name.to_owned(),
            _ => format!("{name} ({})", first_few(items)),
        }
    }
}

/// The first of `items`, and how many more there are.
pub fn first_few(items: &[String]) -> String {
    let first = items[..items.len().min(NAMED)].join(", ");
    match items.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

impl ImageChange {
    /// The parts that can change what is computed, if there can be any: presets and licences can't.
    fn computing(&self) -> Option<Vec<String>> {
        match self {
            Self::Same => None,
            Self::Somehow => Some(Vec::new()),
            Self::Parts(all) => {
                let computes = |part: &&String| {
                    part.contains(".so") || part.contains("/bin/") || !part.starts_with('/')
                };
                let parts: Vec<_> = all.iter().filter(computes).cloned().collect();
                Some(parts).filter(|parts| !parts.is_empty())
            }
        }
    }
}

impl Cause {
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Data => "data",
            Self::Weights => "initial weights",
            Self::Image => "image",
            Self::Attention => "attention path",
            Self::Numerics => "numerics",
            Self::Hardware => "class of hardware",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use ybox_spec::config::{AttentionPath, Compute, Config, TrainConfig};

    use super::*;
    use crate::diff::section::Difference;

    fn item(split: &str) -> ItemChange {
        ItemChange { split: split.into(), path: format!("{split}/a.jpg"), a: None, b: None }
    }

    fn keys(change: impl FnOnce(&mut TrainConfig)) -> Vec<KeyChange> {
        let a = TrainConfig::default();
        let mut b = a.clone();
        change(&mut b);
        Config::Train(a).changes(&Config::Train(b))
    }

    fn told(suspects: &Suspects) -> String {
        likely_cause(suspects, Effect::Step).sentence
    }

    #[test]
    fn the_first_in_causal_order_is_the_likeliest() {
        let mut suspects = Suspects::default();
        assert_eq!(told(&suspects), "unknown (nothing that was compared explains it)");
        suspects.host = vec![
            HostChange { difference: Difference::new("processor", None, None), hardware: true },
            HostChange { difference: Difference::new("kernel", None, None), hardware: false },
        ];
        assert_eq!(told(&suspects), "class of hardware (processor)");
        suspects.portable = true;
        let should_not =
            "class of hardware (processor), on which portable numerics should not depend";
        assert_eq!(told(&suspects), should_not);
        suspects.config = keys(|c| {
            c.compute = Compute { attention: AttentionPath::Safe, threads: 9, ..Compute::default() }
        });
        let both = "attention path (attention); also possible: numerics, class of hardware";
        assert_eq!(told(&suspects), both);
        suspects.image = ImageChange::Parts(vec!["/opt/lib/a.so.1".into(), "/etc/x".into()]);
        assert!(told(&suspects).starts_with("image (/opt/lib/a.so.1); also possible: attention"));
        suspects.weights = true;
        suspects.data = (0..5).map(|_| item("train")).collect();
        suspects.config.extend(keys(|c| c.lr0 = 0.5));
        let likely = likely_cause(&suspects, Effect::Step);
        assert_eq!((likely.cause, &likely.items[..]), (Cause::Config, &["lr0".to_owned()][..]));
        let order = [Cause::Data, Cause::Weights, Cause::Image, Cause::Attention];
        assert_eq!(likely.also[..4], order);
        suspects.config.clear();
        assert!(told(&suspects).contains("train/a.jpg and 2 more)"));
    }

    #[test]
    fn what_no_step_reads_is_no_cause_of_a_step_but_of_a_result() {
        let suspects = Suspects {
            config: keys(|c| c.patience = 3),
            data: vec![item("val")],
            image: ImageChange::Parts(vec!["/opt/ybox/configs/yolov12n.yaml".into()]),
            not_compared: vec![Subject::Host],
            ..Suspects::default()
        };
        let sentence = "unknown (nothing that was compared explains it; not compared: host)";
        assert_eq!(told(&suspects), sentence);
        let result = likely_cause(&suspects, Effect::Result);
        assert_eq!((result.cause, result.also), (Cause::Config, vec![Cause::Data]));
    }
}
