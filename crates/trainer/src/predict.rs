//! The task `predict`: pictures with boxes drawn, and the boxes as text files, as COCO results and
//! as crops.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value};
use ybox_picture::{LabelledBox, draw_boxes, save};
use ybox_spec::config::{PredictConfig, Task};
use ybox_spec::events::{Event, Images};
use ybox_spec::files;

use crate::coco::CocoResults;
use crate::crops::Crops;
use crate::data::{DataError, Picture, Prepared, prediction, sources};
use crate::detect::{Classes, Detector};
use crate::error::TrainerError;
use crate::eval::nms::Detection;
use crate::folders::make_folder_of;
use crate::job::Job;
use crate::loading::load_model;
use crate::numerics;

pub fn run(config: &PredictConfig, job: &mut Job) -> Result<(), TrainerError> {
    let model = load_model(job, &config.model, config.names.len(), config.compute.attention)?;
    let split = Arc::new(sources(&job.manifest, &job.data, "source", config.imgsz)?);
    job.emit.say(Event::Start {
        task: Task::Predict,
        version: env!("CARGO_PKG_VERSION").into(),
        model: config.model.clone(),
        parameters: model.parameter_count() as u64,
        images: Images { source: split.len() as u64, ..Images::default() },
    });
    let detector = Detector {
        model: &model,
        nms: &config.nms,
        classes: Classes { only: &config.classes, single: false },
        device: numerics::device(),
        precision: None,
    };
    let mut collected = Collected {
        json: config.save_json.then(|| CocoResults::new(&config.names)),
        crops: config.save_crop.then(|| Crops::new(&job.out, &config.names)),
    };
    for prepared in prediction(&split, job.workers)? {
        match prepared {
            Ok(prepared) => {
                let path = &split.samples[prepared.index].path;
                let found = detector.detect(&prepared)?.detections;
                one_picture(config, job, path, &prepared, &found)?;
                collected.add(job, path, &prepared, &found)?;
            }
            // One bad picture among many is no reason to lose the others' boxes.
            Err(error @ DataError::Decode { .. }) => {
                job.emit.note(error.code(), format!("{error}; it is left out"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    collected.json.map_or(Ok(()), |results| results.write(&job.out))
}

/// What is kept from picture to picture, as far as it is asked for.
struct Collected {
    json: Option<CocoResults>,
    crops: Option<Crops>,
}

impl Collected {
    fn add(
        &mut self,
        job: &mut Job,
        path: &str,
        prepared: &Prepared,
        found: &[Detection],
    ) -> Result<(), TrainerError> {
        if let Some(results) = &mut self.json {
            let twin = results.add(path, found);
            job.note_same_image_id(path, twin);
        }
        match &mut self.crops {
            Some(crops) => crops.save(path, original(prepared), found),
            None => Ok(()),
        }
    }
}

fn original(prepared: &Prepared) -> &Picture {
    prepared.original.as_ref().expect("prediction keeps the originals")
}

fn one_picture(
    config: &PredictConfig,
    job: &mut Job,
    path: &str,
    prepared: &Prepared,
    found: &[Detection],
) -> Result<(), TrainerError> {
    let [width, height] = prepared.placement.original;
    if config.save {
        let mut picture = original(prepared).clone();
        draw_boxes(&mut picture, &labelled(found, &config.names));
        let target = job.out.join(picture_name(path));
        make_folder_of(&target)?;
        save(&picture, &target)?;
    }
    if config.save_txt {
        let text = label_lines(found, [width, height]);
        let target = job.out.join("labels").join(path).with_extension("txt");
        make_folder_of(&target)?;
        files::write_atomic(&target, text.as_bytes()).map_err(TrainerError::writing(&target))?;
    }
    job.emit.say(Event::Predicted {
        path: path.to_owned(),
        width,
        height,
        objects: count_by_name(found, &config.names),
    });
    Ok(())
}

fn labelled(found: &[Detection], names: &[String]) -> Vec<LabelledBox> {
    let label = |d: &Detection| format!("{} {:.2}", names[d.class as usize], d.score);
    found.iter().map(|d| LabelledBox { corners: d.bbox, class: d.class, label: label(d) }).collect()
}

/// `class cx cy w h score`, the box normalised, best first.
fn label_lines(found: &[Detection], [width, height]: [u32; 2]) -> String {
    let (width, height) = (width as f32, height as f32);
    let mut text = String::new();
    for Detection { bbox: [left, top, right, bottom], score, class, .. } in found {
        let (x, y) = ((left + right) / 2.0 / width, (top + bottom) / 2.0 / height);
        let (w, h) = ((right - left) / width, (bottom - top) / height);
        writeln!(text, "{class} {x:.6} {y:.6} {w:.6} {h:.6} {score:.6}")
            .expect("writing to a string");
    }
    text
}

fn count_by_name(found: &[Detection], names: &[String]) -> Map<String, Value> {
    let mut counts = Map::new();
    for (class, name) in names.iter().enumerate() {
        let count = found.iter().filter(|d| d.class as usize == class).count();
        if count > 0 {
            counts.insert(name.clone(), count.into());
        }
    }
    counts
}

/// Where the drawn picture goes: under its own name, as PNG where it is of a kind that we don't
/// write.
fn picture_name(path: &str) -> PathBuf {
    let path = PathBuf::from(path);
    let kept = ["jpg", "jpeg", "png"];
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    if kept.iter().any(|e| extension.eq_ignore_ascii_case(e)) {
        return path;
    }
    path.with_added_extension("png")
}
