//! The rows of numbers that a run prints: columns of one width, so that epochs line up however far
//! apart they are printed, and 80 characters in all, as the narrowest terminals have.

use ybox_spec::batch::BatchPlan;
use ybox_spec::events::{Epoch, Event, Losses, Metrics, Progress};
use ybox_spec::memory::{MemoryPlan, MemorySize, PlannedPolicy};

use super::table;

/// Width of the columns left of the numbers of a validation, to stand under those of training.
const NAME: usize = 20;

pub fn epoch_header() -> String {
    let columns =
        ["Epoch", "Memory", "box_loss", "cls_loss", "dfl_loss", "Instances", "Size", "images/s"];
    columns.map(|column| format!("{column:>10}")).concat()
}

/// What each checkpointing policy would need, and which is taken.
pub fn memory_plan(plan: &MemoryPlan) -> String {
    let row = |planned: &PlannedPolicy| {
        let fits = match planned.peak <= plan.available {
            _ if planned.policy == plan.chosen => "taken",
            true => "fits",
            false => "too much",
        };
        let [peak, each] = [planned.peak, planned.per_picture].map(|b| MemorySize(b).to_string());
        vec![planned.policy.name().to_owned(), peak, each, fits.to_owned()]
    };
    let rows: Vec<_> = plan.policies.iter().map(row).collect();
    let header = ["checkpointing", "predicted", "per picture", ""];
    let available = MemorySize(plan.available);
    format!(
        "memory for batch={}, of {available} that may be used:\n{}",
        plan.batch,
        table(&header, &rows, &header[1..3])
    )
}

/// What batches would need: powers of two, and the one that is taken.
pub fn batch_plan(plan: &BatchPlan) -> String {
    let last = u64::from(plan.batch) * 2;
    let mut batches: Vec<_> = (0..32).map(|power| 1_u32 << power).collect();
    batches.retain(|batch| u64::from(*batch) <= last);
    batches.push(plan.batch);
    batches.sort_unstable();
    batches.dedup();
    let row = |batch: &u32| {
        let says = match plan.peak(*batch) <= plan.available {
            _ if *batch == plan.batch => "taken",
            true if *batch > plan.pictures => "more than there are pictures",
            true => "fits",
            false => "too much",
        };
        vec![batch.to_string(), MemorySize(plan.peak(*batch)).to_string(), says.to_owned()]
    };
    let rows: Vec<_> = batches.iter().map(row).collect();
    let header = ["batch", "predicted", ""];
    let (available, free) = (MemorySize(plan.available), MemorySize(plan.free));
    format!(
        "memory under checkpointing={}, of {available} that may be used ({free} are free):\n{}",
        plan.checkpointing.name(),
        table(&header, &rows, &header[..2])
    )
}

/// The row of an epoch that is trained.
pub fn epoch_row(epoch: &Epoch) -> String {
    row(&Training {
        epoch: epoch.epoch,
        epochs: epoch.epochs,
        memory: epoch.memory,
        losses: epoch.train,
        instances: epoch.instances,
        imgsz: epoch.imgsz,
        images_per_second: epoch.images_per_second,
    })
}

/// The row of an epoch that is being trained.
pub fn progress_row(progress: &Progress) -> String {
    row(&Training {
        epoch: progress.epoch,
        epochs: progress.epochs,
        memory: progress.memory,
        losses: progress.losses.unwrap_or_default(),
        instances: progress.instances,
        imgsz: progress.imgsz,
        images_per_second: progress.images_per_second,
    })
}

struct Training {
    epoch: u32,
    epochs: u32,
    memory: u64,
    losses: Losses,
    instances: u64,
    imgsz: u32,
    images_per_second: f64,
}

fn row(t: &Training) -> String {
    format!(
        "{:>10}{:>10}{:>10.4}{:>10.4}{:>10.4}{:>10}{:>10}{:>10.2}",
        format!("{}/{}", t.epoch, t.epochs),
        bytes(t.memory),
        t.losses.box_loss,
        t.losses.cls_loss,
        t.losses.dfl_loss,
        t.instances,
        t.imgsz,
        t.images_per_second,
    )
}

pub fn metrics_header() -> String {
    let columns = ["Images", "Instances", "P", "R", "mAP50", "mAP50-95"];
    format!("{:>NAME$}", "Class") + &columns.map(|column| format!("{column:>10}")).concat()
}

/// `all`, and where there are any the classes one by one.
pub fn metrics_rows(metrics: &Metrics) -> Vec<String> {
    let m = metrics;
    let all = [m.precision, m.recall, m.map50, m.map];
    let mut rows = vec![metrics_row("all", m.images, m.instances, all)];
    rows.extend(m.classes.iter().map(|c| {
        metrics_row(&c.name, m.images, c.instances, [c.precision, c.recall, c.map50, c.map])
    }));
    rows
}

fn metrics_row(name: &str, images: u64, instances: u64, values: [f64; 4]) -> String {
    let name: String = name.chars().take(NAME).collect();
    let values = values.map(|value| format!("{value:>10.4}")).concat();
    format!("{name:>NAME$}{images:>10}{instances:>10}{values}")
}

/// One picture and what was found on it. `None` for any other event.
pub fn prediction_row(event: &Event) -> Option<String> {
    let Event::Predicted { path, width, height, objects } = event else { return None };
    let found: Vec<_> = objects.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let found = if found.is_empty() { "nothing".into() } else { found.join(", ") };
    Some(format!("{path}: {width}x{height}, {found}"))
}

/// A size with three digits or so, in powers of 1024.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["B", "K", "M", "G", "T"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 100.0 { 0 } else { 2 };
    format!("{value:.digits$}{}", UNITS[unit])
}

/// A whole number with its thousands apart.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<_> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend((first..digits.len()).step_by(3).map(|i| &digits[i..i + 3]));
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ybox_spec::config::Checkpointing;
    use ybox_spec::events::ClassMetrics;

    #[test]
    fn a_memory_plan_says_what_is_taken() {
        let planned = |policy, mib: u64| PlannedPolicy {
            policy,
            peak: mib << 20,
            per_picture: (mib << 20) / 16,
        };
        let policies = vec![
            planned(Checkpointing::None, 3435),
            planned(Checkpointing::Attention, 2890),
            planned(Checkpointing::Layer, 1441),
            planned(Checkpointing::LayerHead, 1365),
        ];
        let plan = MemoryPlan::new(16, 2 << 30, policies);
        insta::assert_snapshot!(memory_plan(&plan));
    }

    #[test]
    fn a_batch_plan_says_what_is_taken() {
        let plan = BatchPlan {
            checkpointing: Checkpointing::Layer,
            share: 0.6,
            free: 3 << 30,
            available: 1200 << 20,
            fixed: 120 << 20,
            per_picture: 100 << 20,
            pictures: 205,
            batch: 0,
            failed: Vec::new(),
        };
        insta::assert_snapshot!(batch_plan(&plan.settled()));
    }

    #[test]
    fn epochs_and_validations_line_up() {
        let class = ClassMetrics {
            name: "Platelets".into(),
            instances: 76,
            precision: 0.7,
            recall: 0.65,
            map50: 0.683,
            map: 0.29,
        };
        let metrics = Metrics {
            images: 87,
            instances: 1137,
            precision: 0.791,
            recall: 0.65,
            map50: 0.7128,
            map: 0.406,
            classes: vec![class],
        };
        let epoch = Epoch {
            epoch: 40,
            epochs: 40,
            train: Losses { box_loss: 1.45, cls_loss: 1.13, dfl_loss: 1.529 },
            val: Losses::default(),
            metrics: metrics.clone(),
            lr: 0.01,
            instances: 172,
            imgsz: 320,
            memory: 2379 << 20,
            images_per_second: 11.42,
            seconds: 17.7,
            best: true,
        };
        let mut lines = vec![epoch_header(), epoch_row(&epoch), metrics_header()];
        lines.extend(metrics_rows(&metrics));
        insta::assert_snapshot!(lines.join("\n"), @r"
             Epoch    Memory  box_loss  cls_loss  dfl_loss Instances      Size  images/s
             40/40     2.32G    1.4500    1.1300    1.5290       172       320     11.42
                       Class    Images Instances         P         R     mAP50  mAP50-95
                         all        87      1137    0.7910    0.6500    0.7128    0.4060
                   Platelets        87        76    0.7000    0.6500    0.6830    0.2900
        ");
    }

    #[test]
    fn sizes_and_numbers_are_short() {
        for (size, text) in
            [(0, "0B"), (999, "999B"), (1000, "0.98K"), (2379 << 20, "2.32G"), (500 << 20, "500M")]
        {
            assert_eq!(bytes(size), text);
        }
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (2_602_288, "2,602,288")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_prediction_counts_by_class() {
        let objects = serde_json::json!({"RBC": 12, "WBC": 1});
        let event = Event::Predicted {
            path: "a.jpg".into(),
            width: 640,
            height: 480,
            objects: objects.as_object().unwrap().clone(),
        };
        assert_eq!(prediction_row(&event).unwrap(), "a.jpg: 640x480, 12 RBC, 1 WBC");
    }
}
