//! Labels of all three forms: YOLO text, Pascal VOC, COCO.
#![no_main]

use ybox_labels::{coco, voc, yolo};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let labels = yolo::parse("fuzzed.txt", bytes, 80);
    for object in &labels.objects {
        assert!(object.corners.iter().all(|edge| (0.0..=1.0).contains(edge)));
    }
    voc::parse("fuzzed.xml", bytes, None);
    if let Ok(annotations) = coco::parse("fuzzed.json", bytes) {
        let _ = annotations.of_pictures(&["images/a.jpg"]);
    }
});
