//! Settings that users know from other YOLO tools and that ybox does not have, with what to say to
//! who gives one.

/// Answers by key, sorted.
const FOREIGN: &[(&str, &str)] = &[
    ("agnostic_nms", "boxes only ever suppress boxes of their own class"),
    ("amp_dtype", "it is called `amp`: auto, off, bf16 or fp16"),
    ("angle", OTHER_TASK),
    ("augment", "test-time augmentation is not supported"),
    ("auto_augment", CLASSIFICATION),
    ("autobatch", "say `batch=auto`, or the share of the memory as in `batch=0.6`"),
    ("average_best", "the moving average of the weights is what is validated and kept"),
    ("benchmark", "formats are not compared by speed; `scripts/bench-infer.sh` times inference"),
    ("bgr", "red and blue are never exchanged; `hsv_h` changes colours"),
    ("cache_dir", "with `cache=disk` pictures are kept below ybox's home, which is `--home`"),
    ("channels_last", "the memory layout is the trainer's own choice"),
    ("class_balanced", "classes are weighed in the loss, by `cls_pw`"),
    ("clearml", LOGGER),
    ("cls_remap", "class rows of other weights are not taken over; the classes must be the same"),
    ("comet", LOGGER),
    ("compile", "the trainer is compiled already"),
    ("copy_paste_mode", "objects are copied within their own picture, mirrored: the mode `flip`"),
    ("crop_fraction", CLASSIFICATION),
    ("cutmix", "pictures are mixed by `mosaic`, `mixup` and `copy_paste`"),
    ("deterministic", "every run is deterministic; this cannot be switched off"),
    ("dfl_gain", "the gain of the distribution focal loss is called `dfl`"),
    ("dgrad", OTHER_TASK),
    ("dis", DISTILLATION),
    ("distill_model", DISTILLATION),
    ("dlam", OTHER_TASK),
    ("dlog", OTHER_TASK),
    ("dnn", "weights run in the trainer only"),
    ("dropout", CLASSIFICATION),
    ("dvc", LOGGER),
    ("dynamic", "an exported graph takes one picture of the size `imgsz`"),
    ("ema", "the moving average is always kept; its settings are `ema_decay` and `ema_tau`"),
    ("embed", "features are not returned"),
    ("end2end", "post-processing is always on; its settings are `conf`, `iou` and `max_det`"),
    ("erasing", CLASSIFICATION),
    (
        "export_check",
        "every graph that a model can have exports; `ybox run export` is quick to try",
    ),
    ("half", "inference is in fp32; lower precision is not supported yet"),
    ("image_weights", "each picture is seen once an epoch; classes are weighed by `cls_pw`"),
    ("int8", "inference is in fp32; lower precision is not supported yet"),
    ("keras", OTHER_FORMAT),
    ("kobj", OTHER_TASK),
    ("label_smoothing", "the targets of the class loss are soft already: they follow the overlap"),
    ("line_width", "the width of drawn lines follows from the picture's size"),
    ("loggers", LOGGER),
    ("mask_ratio", OTHER_TASK),
    ("min_samples", "classes without objects are listed by `ybox data check`"),
    ("mlflow", LOGGER),
    ("mode", "the task is the word after `run`: train, val, predict or export"),
    ("ndjson", "labels are text files, COCO's or Pascal VOC's, as the data set's YAML says"),
    ("neptune", LOGGER),
    ("nms", "post-processing is always on; its settings are `conf`, `iou` and `max_det`"),
    ("no_aug_epochs", "it is called `close_mosaic`"),
    ("opset", "exported graphs are of opset 17"),
    ("optimize", OTHER_FORMAT),
    ("overlap_mask", OTHER_TASK),
    ("pose", OTHER_TASK),
    ("precise_bn", "validation takes the running statistics of the moving average as they are"),
    (
        "pretrained",
        "say from which weights to start with `pretrained=FILE.safetensors` or \
         `weights=FILE.safetensors`; without, training starts from scratch",
    ),
    ("profile", "use the images per second that each epoch reports"),
    ("quantize", "inference is in fp32; lower precision is not supported yet"),
    ("retina_masks", OTHER_TASK),
    ("rle", OTHER_TASK),
    ("save", "the best and the last weights are always kept"),
    ("save_conf", "the score always stands beside the box; labels come with `save_txt=True`"),
    ("save_dir", "the run folder is `project=` and `name=`"),
    ("save_frames", VIDEO),
    ("save_hybrid", "labels are not mixed into what is found"),
    ("show", SHOW),
    ("show_boxes", SHOW),
    ("show_conf", SHOW),
    ("show_labels", SHOW),
    ("simplify", "exported graphs have nothing to simplify; normalisation is folded already"),
    ("stream", "what is found is written as it is found"),
    ("stream_buffer", VIDEO),
    ("sync_bn", ONE_DEVICE),
    ("syncbn", ONE_DEVICE),
    ("task", "ybox trains detectors only"),
    ("tensorboard", "events for TensorBoard are always written, into the run folder"),
    ("tracker", VIDEO),
    ("tune", "settings are not searched for; start a run for each"),
    ("val", "every epoch is validated; it decides which weights are the best"),
    ("val_loss", "the losses of the validation are always in `results.csv`"),
    ("verbose", "use --json for every event, and `events.jsonl` for the log"),
    ("vid_stride", VIDEO),
    ("visualize", "features are not drawn"),
    ("wandb", LOGGER),
    ("workspace", OTHER_FORMAT),
    ("world_size", ONE_DEVICE),
];

const CLASSIFICATION: &str = "it applies to classifiers; ybox trains detectors";
const OTHER_TASK: &str = "it applies to other tasks; ybox trains detectors";
const DISTILLATION: &str = "distillation is not supported";
const LOGGER: &str = "a run has no network: feed other loggers from `results.csv`, `events.jsonl` or \
                      TensorBoard's files";
const ONE_DEVICE: &str = "a training is on one device, where a batch is normalised as a whole";
const OTHER_FORMAT: &str = "weights are exported to ONNX only";
const SHOW: &str = "nothing is shown on a screen; predict writes pictures with `save=True`";
const VIDEO: &str = "ybox works on pictures, not on videos";

/// What to say about `key`, if it is one of those.
pub fn answer(key: &str) -> Option<&'static str> {
    let at = FOREIGN.binary_search_by_key(&key, |(known, _)| known).ok()?;
    Some(FOREIGN[at].1)
}

/// What to say about `key=value`, if that is something which other tools offer.
pub fn value_answer(key: &str, value: &str) -> Option<&'static str> {
    match (key, value) {
        (
            "format",
            "engine" | "openvino" | "mnn" | "ncnn" | "rknn" | "paddle" | "tflite" | "edgetpu"
            | "saved_model" | "pb" | "tfjs",
        ) => Some("its own tools make it from the ONNX graph"),
        ("format", "torchscript" | "coreml" | "executorch" | "imx" | "axelera") => {
            Some("its tools start from a model in PyTorch, which ybox has not")
        }
        ("optimizer", "Adam" | "Adamax" | "NAdam" | "RAdam" | "RMSProp" | "MuSGD" | "Muon") => {
            Some("the recipes are made for SGD and AdamW, and `auto` chooses between them")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ybox_spec::config::{Launch, TrainConfig};
    use ybox_spec::overrides::keys;

    use super::*;

    #[test]
    fn is_sorted_and_has_no_key_that_training_has() {
        assert!(FOREIGN.is_sorted_by(|a, b| a.0 < b.0));
        let known = [keys::<TrainConfig>(), keys::<Launch>()].concat();
        for (key, _) in FOREIGN {
            assert!(!known.iter().any(|k| k == key), "{key}");
            assert!(answer(key).is_some());
        }
        assert_eq!(answer("epochs"), None);
    }
}
