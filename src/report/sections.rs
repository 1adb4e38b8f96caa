//! The sections of the page, each of one subject; empty where the run has nothing on it.

use serde_json::{Map, Value};
use ybox_spec::config::{Config, TrainConfig};
use ybox_spec::pictures;
use ybox_spec::record::Record;
use ybox_spec::results::{Line, Panel};

use super::chart;
use super::html::{escape, pairs, picture, section, table};
use super::story::{Shown, Story};
use crate::ui::rows::{bytes, grouped};

/// Remarks shown; the log has them all.
const REMARKS: usize = 200;

/// Strengths in one diagram.
const STRENGTHS: usize = 3;

pub fn model(story: &Story) -> Option<&str> {
    Some(match story.config.as_ref()? {
        Config::Train(config) => &config.model,
        Config::Val(config) => &config.model,
        Config::Predict(config) => &config.model,
        Config::Export(config) => &config.model,
    })
}

pub fn curves(story: &Story) -> String {
    if story.results.is_empty() {
        return String::new();
    }
    let mut panels = story.results.panels();
    panels.extend(augmentation(story));
    let charts: String = panels.iter().map(chart::draw).collect();
    section("curves", "Curves", &format!("<div class=\"charts\">\n{charts}</div>\n"))
}

/// The strengths that change, few to a diagram.
fn augmentation(story: &Story) -> Vec<Panel> {
    let changing = |line: &&Line| line.points.windows(2).any(|w| w[0][1] != w[1][1]);
    let lines: Vec<_> = story.strengths.iter().filter(changing).cloned().collect();
    let panel = |lines: &[Line]| Panel { title: "augmentation".into(), lines: lines.to_vec() };
    lines.chunks(STRENGTHS).map(panel).collect()
}

pub fn classes(story: &Story) -> String {
    if story.predicted.0 > 0 {
        let rows: Vec<_> = story
            .predicted
            .1
            .iter()
            .map(|(name, count)| vec![name.clone(), grouped(count.as_u64().unwrap_or(0))])
            .collect();
        return section("classes", "Objects found", &table(&["class", "objects"], &rows, 1));
    }
    let Some(metrics) = story.best_metrics() else { return String::new() };
    let row = |name: &str, count: u64, values: [f64; 4]| {
        let mut row = vec![name.to_owned(), grouped(count)];
        row.extend(values.map(|value| format!("{value:.4}")));
        row
    };
    let all = [metrics.precision, metrics.recall, metrics.map50, metrics.map];
    let mut rows = vec![row("all", metrics.instances, all)];
    let listed = metrics.classes.iter();
    rows.extend(listed.map(|c| row(&c.name, c.instances, [c.precision, c.recall, c.map50, c.map])));
    let header = ["class", "objects", "precision", "recall", "mAP50", "mAP50-95"];
    let heading = match story.best() {
        Some(best) => format!("Classes, after epoch {} (the best)", best.epoch),
        None => "Classes".into(),
    };
    section("classes", &heading, &table(&header, &rows, 1))
}

pub fn remarks(story: &Story) -> String {
    let rows: Vec<_> = story
        .remarks
        .iter()
        .take(REMARKS)
        .map(|r| vec![r.code.clone(), r.text.clone(), r.place.clone().unwrap_or_default()])
        .collect();
    if rows.is_empty() {
        return section("notes", "Notes and problems", "<p>None.</p>\n");
    }
    let mut content = table(&["kind", "what", "where"], &rows, 3);
    if let Some(more) = story.remarks.len().checked_sub(REMARKS + 1) {
        content += &format!("<p>And {} more in <code>events.jsonl</code>.</p>\n", more + 1);
    }
    section("notes", "Notes and problems", &content)
}

pub fn samples(story: &Story) -> String {
    let is_finding = |shown: &&Shown| caption(&shown.name).is_some_and(|(finding, _)| finding);
    gallery("samples", "Samples", story.pictures.iter().filter(|shown| !is_finding(shown)))
}

pub fn findings(story: &Story) -> String {
    let is_finding = |shown: &&Shown| caption(&shown.name).is_some_and(|(finding, _)| finding);
    gallery("validation", "Validation in detail", story.pictures.iter().filter(is_finding))
}

fn gallery<'a>(id: &str, heading: &str, shown: impl Iterator<Item = &'a Shown>) -> String {
    let figures: String = shown
        .map(|s| {
            let caption = caption(&s.name).map_or("", |(_, caption)| caption);
            picture(&s.name, caption, &s.bytes)
        })
        .collect();
    match figures.is_empty() {
        true => String::new(),
        false => section(id, heading, &format!("<div class=\"pictures\">\n{figures}</div>\n")),
    }
}

/// Whether a picture is a diagram of a validation, and what it shows; `None` for a picture that was
/// predicted on.
fn caption(name: &str) -> Option<(bool, &'static str)> {
    Some(match name {
        pictures::LABELS => (false, "The training labels as a whole"),
        pictures::PR_CURVE => (true, "Precision over recall"),
        pictures::F1_CURVE => (true, "F1 over the confidence threshold"),
        pictures::P_CURVE => (true, "Precision over the confidence threshold"),
        pictures::R_CURVE => (true, "Recall over the confidence threshold"),
        pictures::CONFUSION => (true, "What objects were taken for"),
        pictures::CONFUSION_NORMALIZED => (true, "What objects were taken for, as shares"),
        _ if pictures::TRAIN_BATCHES.contains(&name) => (false, "A batch as it was trained on"),
        _ if pictures::VAL_LABELS.contains(&name) => (false, "Validation: what is there"),
        _ if pictures::VAL_PREDICTIONS.contains(&name) => (false, "Validation: what was found"),
        _ => return None,
    })
}

pub fn settings(story: &Story) -> String {
    let mut content = String::new();
    if !story.settings.is_empty() {
        content += "<h3>In force</h3>\n";
        content += &pairs(story.settings.iter().map(|(key, value)| (key.as_str(), shown(value))));
    }
    if let Some(Value::Object(config)) = story.config.as_ref().map(plain) {
        let given = config.iter().filter(|(key, _)| !["task", "names"].contains(&key.as_str()));
        content += "<h3>As configured</h3>\n";
        content += &pairs(given.map(|(key, value)| (key.as_str(), configured(story, key, value))));
        content += &names(&config);
    }
    section("settings", "Settings", &content)
}

/// A setting, and for training what it would be by default.
fn configured(story: &Story, key: &str, value: &Value) -> String {
    if !matches!(story.config, Some(Config::Train(_))) {
        return shown(value);
    }
    let defaults = plain(&TrainConfig::default());
    match defaults.get(key) {
        Some(default) if default != value => {
            format!("{} (default {})", shown(value), shown(default))
        }
        _ => shown(value),
    }
}

fn names(config: &Map<String, Value>) -> String {
    let names = config.get("names").and_then(Value::as_array);
    let names: Vec<_> = names.into_iter().flatten().map(shown).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "<p><span class=\"soft\">{} classes:</span> {}</p>\n",
            names.len(),
            escape(&names.join(", "))
        ),
    }
}

fn plain(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("settings are plain data")
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".into(),
        other => other.to_string(),
    }
}

pub fn hashes(story: &Story) -> String {
    let Some(record) = &story.record else {
        let text = "<p>There is no record (<code>run.json</code>), so nothing vouches for these \
            files. A record is written when a run ends, completed or stopped on request.</p>\n";
        return section("hashes", "Hashes", text);
    };
    let mut rows = Vec::new();
    for (name, digest, meaning) in meanings(record) {
        rows.push(vec![name.to_owned(), digest, meaning.to_owned()]);
    }
    let content = format!(
        "<p>This page repeats what the record says. Whether it is true is told by \
         <code>ybox verify</code>, which recomputes every hash from the files.</p>\n{}",
        table(&["hash", "SHA-256", "what it stands for"], &rows, 3)
    );
    section("hashes", "Hashes", &content)
}

fn meanings(record: &Record) -> Vec<(&'static str, String, &'static str)> {
    let inputs = &record.inputs;
    let mut rows = vec![
        (
            "run",
            record.run_hash.hex(),
            "inputs and results together: two runs with the same are the same run",
        ),
        ("inputs", record.input_hash.hex(), "image, settings, data and initial weights together"),
        ("results", record.result_hash.hex(), "every result file and the chain of steps together"),
        ("image", inputs.image.hex(), "all software, to the byte"),
        ("config", inputs.config.hex(), "every setting that may change a result"),
        ("data", inputs.data.hex(), "every picture and label, by content"),
    ];
    if let Some(weights) = inputs.weights {
        rows.push(("weights", weights.hex(), "the weights that the run started from"));
    }
    if let Some(steps) = record.outputs.steps {
        rows.push(("steps", steps.head.hex(), "loss and gradient norm of every step, in order"));
    }
    rows.push(("events", record.events.head.hex(), "the event log; no result"));
    if let Some(own) = record.record_hash {
        rows.push(("record", own.hex(), "the record itself, with time and place"));
    }
    rows
}

pub fn circumstances(story: &Story) -> String {
    let Some(record) = &story.record else { return String::new() };
    let c = &record.circumstances;
    let text =
        |value: &Value, path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let engine = [text(&c.engine, "/kind"), text(&c.engine, "/version")];
    let mut rows = vec![
        ("started", c.started.clone()),
        ("finished", c.finished.clone()),
        ("ybox", c.ybox.clone()),
        ("image", c.image.reference.clone()),
        ("engine", engine.into_iter().flatten().collect::<Vec<_>>().join(", ")),
        ("data", c.data.root.clone()),
        ("data files", format!("{}, {}", grouped(c.data.files), bytes(c.data.bytes))),
    ];
    let optional = [
        ("weights from", c.weights.clone()),
        ("processor", text(&c.host, "/cpu/model")),
        ("system", text(&c.host, "/system/name")),
        ("kernel", text(&c.host, "/system/kernel")),
    ];
    rows.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let heading = "Circumstances (in no result)";
    section("circumstances", heading, &pairs(rows))
}

pub fn files(story: &Story) -> String {
    let Some(record) = &story.record else { return String::new() };
    let row = |kind: &str, a: &ybox_spec::record::Artifact| {
        vec![a.path.clone(), kind.to_owned(), a.sha256.hex(), bytes(a.size)]
    };
    let results = record.outputs.artifacts.iter().map(|a| row("result", a));
    let rows: Vec<_> = results.chain(record.files.iter().map(|a| row("other", a))).collect();
    let content = format!(
        "<details><summary>{} files</summary>\n{}</details>\n",
        grouped(rows.len() as u64),
        table(&["file", "kind", "SHA-256", "size"], &rows, 3)
    );
    section("files", "Files", &content)
}
