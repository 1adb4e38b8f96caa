//! What a training would take of a GPU under each policy of checkpointing, worked out from the
//! model's shapes. A prediction: `checkpointing=auto` measures on the GPU itself.

use serde::Serialize;
use ybox_spec::config::{Checkpointing, check_imgsz, model_names};
use ybox_spec::footprint::{FULL, Needs, Network, usable};
use ybox_spec::memory::MemorySize;
use ybox_spec::overrides::ConfigError;

use super::{Dtype, Plan, Tables};
use crate::probe::Facts;
use crate::ui;

/// The training to predict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Training {
    pub model: String,
    pub batch: u64,
    pub imgsz: u32,
    pub classes: u64,
    /// The number format that is asked for; without one, that of `amp=auto`.
    pub dtype: Option<Dtype>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unpredicted {
    #[error("`{0}` is not one of {models}", models = model_names().collect::<Vec<_>>().join(", "))]
    Model(String),
    #[error(transparent)]
    ImageSize(#[from] ConfigError),
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
    pub imgsz: u32,
    /// What it computes in.
    pub dtype: Dtype,
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

/// Predicts `training` on the GPU that `plan` chose, of several the one with the least memory.
pub fn predict(
    plan: &Plan,
    facts: &Facts,
    training: &Training,
    tables: &Tables,
) -> Result<Prediction, Unpredicted> {
    let network = Network::parse(&training.model, training.classes, plan.attention)
        .ok_or_else(|| Unpredicted::Model(training.model.clone()))?;
    check_imgsz(training.imgsz)?;
    let (gpu, total) = smallest(plan, facts, tables)?;
    let dtype = training.dtype.unwrap_or(plan.dtype.of_amp_auto());
    let size = if dtype == Dtype::Fp32 { FULL } else { FULL / 2 };
    let usable = usable(total);
    let policies: Vec<Policy> = Checkpointing::ALL
        .into_iter()
        .map(|policy| {
            let needs = Needs::of(&network, training.imgsz.into(), size, policy);
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
        dtype,
        gpu,
        total,
        usable,
        fitting: policies.iter().find(|policy| policy.fits).map(|policy| policy.policy),
        policies,
        verified: false,
    })
}

fn smallest(plan: &Plan, facts: &Facts, tables: &Tables) -> Result<(String, u64), Unpredicted> {
    let gpus = facts.gpus.known().map(Vec::as_slice).unwrap_or_default();
    let chosen = gpus.iter().filter(|gpu| plan.devices.contains(&gpu.index));
    let sized = chosen.map(|gpu| {
        let name = gpu.name.known().cloned().unwrap_or_else(|| format!("GPU {}", gpu.index));
        let total = gpu.memory.known().copied().or_else(|| tables.memory.total(&name));
        total.map(|total| (name.clone(), total)).ok_or(Unpredicted::Unknown(name))
    });
    let sized = sized.collect::<Result<Vec<_>, _>>()?;
    sized.into_iter().min_by_key(|(_, total)| *total).ok_or(Unpredicted::NoGpu)
}

/// A line about the GPU, a table of the policies, and what to take. Ends with a newline.
pub fn human(prediction: &Prediction) -> String {
    let Prediction { model, batch, imgsz, dtype, gpu, total, usable, .. } = prediction;
    let (total, usable) = (MemorySize(*total), MemorySize(*usable));
    let head = format!(
        "memory of {model} with imgsz={imgsz} batch={batch} in {dtype} (amp={}) on {gpu}: {total}, of \
         which tensors may take {usable} (predicted, not verified on hardware)",
        dtype.amp().name()
    );
    format!("{head}\n\n{}\n{}\n", table(&prediction.policies), advice(prediction))
}

fn table(policies: &[Policy]) -> String {
    const HEADER: [&str; 6] =
        ["CHECKPOINTING", "FIXED", "PER PICTURE", "NEEDED", "FITS", "LARGEST BATCH"];
    let row = |policy: &Policy| {
        vec![
            policy.policy.name().to_owned(),
            MemorySize(policy.fixed).to_string(),
            format!("{:.1} MiB", policy.per_picture as f64 / f64::from(1 << 20)),
            MemorySize(policy.peak).to_string(),
            if policy.fits { "yes" } else { "no" }.to_owned(),
            policy.largest_batch.to_string(),
        ]
    };
    ui::table(&HEADER, &policies.iter().map(row).collect::<Vec<_>>(), &[])
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
    use super::super::tables::CardRow;
    use super::super::{Request, plan, pretend};
    use super::*;

    fn predicted(hardware: &str, model: &str, batch: u64) -> Result<Prediction, Unpredicted> {
        predicted_in(None, hardware, model, batch)
    }

    fn predicted_in(
        dtype: Option<Dtype>,
        hardware: &str,
        model: &str,
        batch: u64,
    ) -> Result<Prediction, Unpredicted> {
        let tables = Tables::built_in();
        let facts = pretend(hardware, &tables).unwrap();
        let plan = plan(&facts, &Request { dtype, ..Request::default() }, &tables).unwrap();
        let training = Training { model: model.into(), batch, imgsz: 640, classes: 80, dtype };
        predict(&plan, &facts, &training, &tables)
    }

    #[test]
    fn it_is_for_the_number_format_that_is_asked_for_or_a_run_s_own() {
        let format = |dtype, gpu| predicted_in(dtype, gpu, "yolov12n", 8).unwrap().dtype;
        assert_eq!(format(None, "T4"), Dtype::Fp32);
        assert_eq!(format(None, "A100"), Dtype::Bf16);
        assert_eq!(format(Some(Dtype::Fp16), "T4"), Dtype::Fp16);
        assert_eq!(format(Some(Dtype::Fp16), "A100"), Dtype::Fp16);
    }

    #[test]
    fn every_card_of_the_table_is_a_gpu_that_is_known() {
        let tables = Tables::built_in();
        for CardRow { name, gib } in &tables.memory.cards.rows {
            assert_eq!(tables.gpus.find(name).map(|gpu| gpu.name), Some(name.as_str()));
            assert!((4.0..300.0).contains(gib), "{name}");
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
        let said = "in bf16 (`amp=bf16`), and on the T4 in fp16 (`dtype=fp16`, `amp=fp16`)";
        assert!(page.contains(said), "docs/gpu.md lacks: {said}");
        for (card, gpu) in [("16 GB", "T4"), ("24 GB", "L4"), ("40 GB", "A100"), ("80 GB", "H100")]
        {
            for model in ["yolov12n", "yolov12s", "yolov12m", "yolov12l", "yolov12x"] {
                let format = if gpu == "T4" { Dtype::Fp16 } else { Dtype::Bf16 };
                let prediction = predicted_in(Some(format), gpu, model, 1).unwrap();
                let batches: Vec<_> =
                    prediction.policies.iter().map(|p| p.largest_batch.to_string()).collect();
                let row = format!("| {card} ({gpu}) | {model} | {} |", batches.join(" | "));
                assert!(page.contains(&row), "docs/gpu.md lacks: {row}");
            }
        }
    }
}
