//! Suppression against the detections of the reference implementation, where its file is at hand.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use tch::{Kind, Tensor};
use ytrain::eval::{Detection, Labels, Nms, suppress};

fn check(set: &str, pred: &Tensor, data: &BTreeMap<String, Tensor>) {
    let mut parts = set.split('.').collect::<Vec<_>>();
    let picture: i64 = parts.pop().and_then(|p| p.strip_prefix("img")).unwrap().parse().unwrap();
    let number = |after: &str| {
        let rest = &set[set.find(after).unwrap() + after.len()..];
        let end = rest.match_indices('.').nth(1).unwrap().0;
        rest[..end].parse().or_else(|_| rest[..end].split('.').next().unwrap().parse()).unwrap()
    };
    let nms = Nms {
        conf: number(".conf"),
        iou: number(".iou"),
        max_det: 300,
        labels: if parts.contains(&"best") { Labels::Best } else { Labels::Every },
        agnostic: parts.contains(&"agnostic"),
    };
    let values = Vec::<f32>::try_from(pred.get(picture).flatten(0, -1)).unwrap();
    let found = suppress(&values, pred.size()[1] as usize - 4, &nms);
    let rows: Vec<Vec<f32>> = Vec::try_from(&data[&format!("{set}.dets")]).unwrap();
    let columns = Vec::<i64>::try_from(data[&format!("{set}.index")].to_kind(Kind::Int64)).unwrap();
    let expected: Vec<_> = rows
        .iter()
        .zip(columns)
        .map(|(row, column)| Detection {
            bbox: [row[0], row[1], row[2], row[3]],
            score: row[4],
            class: row[5] as u32,
            index: column as u32,
        })
        .collect();
    assert_eq!(found, expected, "{set}");
}

#[test]
fn equals_the_reference_bit_for_bit() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/reference/fixtures/nms.safetensors");
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return;
    }
    let data: BTreeMap<_, _> = Tensor::read_safetensors(path).unwrap().into_iter().collect();
    let sets: Vec<_> = data.keys().filter_map(|key| key.strip_suffix(".dets")).collect();
    assert_eq!(sets.len(), 24);
    for set in &sets {
        check(set, &data[&format!("{}.pred", &set[..1])], &data);
    }
    println!("{} sets equal", sets.len());
}
