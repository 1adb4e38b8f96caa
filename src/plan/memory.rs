//! What a training would take of a GPU under each policy of checkpointing, worked out from the
//! model's shapes. A prediction: `checkpointing=auto` measures on the GPU itself.

use comfy_table::{Table, presets};
use serde::{Deserialize, Serialize};
use ybox_spec::config::{Checkpointing, model_names};
use ybox_spec::footprint::{Needs, Network, usable};
use ybox_spec::memory::MemorySize;

use super::{Dtype, Plan};
use crate::probe::Facts;

const CARDS: &str = include_str!("tables/memory.yaml");
const GIB: f64 = (1u64 << 30) as f64;

/// The training to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    pub model: String,
    pub batch: u64,
    pub imgsz: u64,
    pub classes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpredicted {
    #[error("`{0}` is not one of {models}", models = model_names().collect::<Vec<_>>().join(", "))]
    Model(String),
    #[error("imgsz={0} is not a multiple of 32 from 32 to 4096")]
    ImageSize(u64),
    #[error("memory is predicted for GPUs only: on a CPU checkpointing=auto measures it")]
    NoGpu,
    #[error("how much memory {0} has is not known")]
    Unknown(String),
}

/// A GPU and what each policy takes of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Prediction {
    pub model: String,
    pub batch: u64,
    pub imgsz: u64,
    pub gpu: String,
    /// Bytes: all of the GPU, and what tensors may take of it.
    pub total: u64,
    pub usable: u64,
    /// In the order of time per step, the fastest first.
    pub policies: Vec<Policy>,
    /// The first that fits.
    pub fitting: Option<Checkpointing>,
    pub verified: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Policy {
    pub policy: Checkpointing,
    /// Bytes of tensors: whatever the batch, for each picture, and at the most in a step.
    pub fixed: u64,
    pub per_picture: u64,
    pub peak: u64,
    pub fits: bool,
    pub largest_batch: u64,
}

#[derive(Debug, Deserialize)]
struct Cards {
    rows: Vec<Card>,
}

#[derive(Debug, Deserialize)]
struct Card {
    name: String,
    gib: f64,
}

/// Predicts `training` on the GPU that `plan` chose, of several the one with the least memory.
pub fn predict(plan: &Plan, facts: &Facts, training: &Training) -> Result<Prediction, Unpredicted> {
    let network = Network::parse(&training.model, training.classes, plan.attention)
        .ok_or_else(|| Unpredicted::Model(training.model.clone()))?;
    if !(32..=4096).contains(&training.imgsz) || !training.imgsz.is_multiple_of(32) {
        return Err(Unpredicted::ImageSize(training.imgsz));
    }
    let (gpu, total) = smallest(plan, facts)?;
    let size = if plan.dtype == Dtype::Fp32 { 4 } else { 2 };
    let usable = usable(total);
    let policies: Vec<Policy> = Checkpointing::ALL
        .into_iter()
        .map(|policy| {
            let needs = Needs::of(&network, training.imgsz, size, policy);
            let peak = needs.peak(training.batch);
            Policy {
                policy,
                fixed: needs.fixed,
                per_picture: needs.per_picture,
                peak,
                fits: peak <= usable,
                largest_batch: needs.largest_batch(usable),
            }
        })
        .collect();
    Ok(Prediction {
        model: training.model.clone(),
        batch: training.batch,
        imgsz: training.imgsz,
        gpu,
        total,
        usable,
        fitting: policies.iter().find(|policy| policy.fits).map(|policy| policy.policy),
        policies,
        verified: false,
    })
}

fn smallest(plan: &Plan, facts: &Facts) -> Result<(String, u64), Unpredicted> {
    let cards: Cards = serde_yaml::from_str(CARDS).expect("a test reads the built-in table");
    let gpus = facts.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let chosen = gpus.iter().filter(|gpu| plan.devices.contains(&gpu.index));
    let sized = chosen.map(|gpu| {
        let name = gpu.name.known().cloned().unwrap_or_else(|| format!("GPU {}", gpu.index));
        let listed = || cards.rows.iter().find(|card| card.name == name);
        let known = gpu.memory.known().copied();
        let total = known.or_else(|| listed().map(|card| (card.gib * GIB) as u64));
        total.map(|total| (name.clone(), total)).ok_or(Unpredicted::Unknown(name))
    });
    let sized = sized.collect::<Result<Vec<_>, _>>()?;
    sized.into_iter().min_by_key(|(_, total)| *total).ok_or(Unpredicted::NoGpu)
}

/// A line about the GPU, a table of the policies, and what to take. Ends with a newline.
pub fn human(prediction: &Prediction) -> String {
    let Prediction { model, batch, imgsz, gpu, total, usable, .. } = prediction;
    let (total, usable) = (MemorySize(*total), MemorySize(*usable));
    let head = format!(
        "memory of {model} with imgsz={imgsz} batch={batch} on {gpu}: {total}, of which tensors may \
         take {usable} (predicted, not verified on hardware)"
    );
    format!("{head}\n\n{}\n\n{}\n", table(&prediction.policies), advice(prediction))
}

fn table(policies: &[Policy]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "CHECKPOINTING",
        "FIXED",
        "PER PICTURE",
        "NEEDED",
        "FITS",
        "LARGEST BATCH",
    ]);
    for policy in policies {
        table.add_row([
            policy.policy.name().to_owned(),
            MemorySize(policy.fixed).to_string(),
            format!("{:.1} MiB", policy.per_picture as f64 / f64::from(1 << 20)),
            MemorySize(policy.peak).to_string(),
            if policy.fits { "yes" } else { "no" }.to_owned(),
            policy.largest_batch.to_string(),
        ]);
    }
    // Without borders there is nothing to keep the first column away from.
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table.trim_fmt()
}

fn advice(prediction: &Prediction) -> String {
    if let Some(policy) = prediction.fitting {
        return format!("checkpointing={} is the fastest that fits", policy.name());
    }
    let batch = prediction.batch;
    let most = prediction.policies.iter().max_by_key(|policy| policy.largest_batch);
    match most.filter(|policy| policy.largest_batch > 0) {
        Some(most) => format!(
            "no policy fits batch={batch}: the largest batch that does is {}, with checkpointing={}",
            most.largest_batch,
            most.policy.name()
        ),
        None => format!("no policy fits batch={batch}, nor any other batch: take a smaller imgsz"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, Tables, plan, pretend};
    use super::*;

    fn predicted(hardware: &str, model: &str, batch: u64) -> Result<Prediction, Unpredicted> {
        let tables = Tables::built_in();
        let facts = pretend(hardware, &tables).unwrap();
        let plan = plan(&facts, &Request::default(), &tables).unwrap();
        let training = Training { model: model.into(), batch, imgsz: 640, classes: 80 };
        predict(&plan, &facts, &training)
    }

    #[test]
    fn every_card_of_the_table_is_a_gpu_that_is_known() {
        let cards: Cards = serde_yaml::from_str(CARDS).unwrap();
        let tables = Tables::built_in();
        for Card { name, gib } in cards.rows {
            assert_eq!(tables.gpus.find(&name).map(|gpu| gpu.name), Some(name.as_str()));
            assert!((4.0..300.0).contains(&gib), "{name}");
        }
    }

    #[test]
    fn small_batches_fit_large_ones_do_not() {
        let small = predicted("T4", "yolov12n", 8).unwrap();
        assert_eq!(small.fitting, Some(Checkpointing::None));
        let large = predicted("T4", "yolov12x", 4096).unwrap();
        assert_eq!(large.fitting, None);
        let most = large.policies.iter().map(|policy| policy.largest_batch).max().unwrap();
        assert!(most > 0 && advice(&large).contains(&format!("is {most},")), "{large:?}");
        let fits = predicted("T4", "yolov12x", most).unwrap();
        assert!(
            fits.fitting.is_some()
                && predicted("T4", "yolov12x", most + 1).unwrap().fitting.is_none()
        );
        assert!(predicted("A100", "yolov12x", most + 1).unwrap().fitting.is_some());
    }

    #[test]
    fn of_several_gpus_the_one_with_the_least_memory_counts() {
        assert_eq!(predicted("A100+T4", "yolov12n", 8).unwrap().gpu, "T4");
    }

    #[test]
    fn what_can_not_be_predicted_says_why() {
        assert_eq!(predicted("cpu", "yolov12n", 8), Err(Unpredicted::NoGpu));
        let unknown = predicted("RTX 5060", "yolov12n", 8);
        assert_eq!(unknown, Err(Unpredicted::Unknown("RTX 5060".into())));
        assert_eq!(predicted("T4", "yolo11n", 8), Err(Unpredicted::Model("yolo11n".into())));
    }

    /// The table of `docs/gpu.md`: the largest batch at imgsz 640, for each policy.
    #[test]
    fn the_documentation_has_these_figures() {
        let page = include_str!("../../docs/gpu.md");
        for (card, gpu) in [("16 GB", "T4"), ("24 GB", "L4"), ("40 GB", "A100"), ("80 GB", "H100")]
        {
            for model in ["yolov12n", "yolov12s", "yolov12m", "yolov12l", "yolov12x"] {
                let prediction = predicted(gpu, model, 1).unwrap();
                let batches: Vec<_> =
                    prediction.policies.iter().map(|p| p.largest_batch.to_string()).collect();
                let row = format!("| {card} ({gpu}) | {model} | {} |", batches.join(" | "));
                assert!(page.contains(&row), "docs/gpu.md lacks: {row}");
            }
        }
    }
}
