//! What must hold of the loss whatever the references say.

// What a test's own functions can't unwrap is a failed test.
#![allow(clippy::unwrap_used)]

use tch::{Device, Kind, Tensor};
use ytrain::loss::{Assigner, DetectionLoss, Gains, Targets};

const CLASSES: usize = 2;

/// Raw maps of `pictures` 64x64 pictures, in waves that `phase` shifts.
fn raw(pictures: i64, phase: f64) -> [Tensor; 3] {
    [8, 4, 2].map(|side| {
        let shape = [pictures, 64 + CLASSES as i64, side, side];
        let count = shape.iter().product::<i64>();
        let ramp = Tensor::arange(count, (Kind::Float, Device::Cpu)) * 0.7 + phase;
        ramp.sin().view(shape)
    })
}

fn targets(pictures: &[i64], boxes: &[f32]) -> Targets {
    Targets {
        batch_idx: Tensor::from_slice(pictures),
        cls: Tensor::from_slice(&vec![1i64; pictures.len()]),
        boxes: Tensor::from_slice(boxes).view([-1, 4]),
    }
}

fn loss() -> DetectionLoss {
    DetectionLoss::new(CLASSES, Gains::default(), Assigner::default())
}

fn bits(tensor: &Tensor) -> Vec<u32> {
    let values = Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

#[test]
fn the_same_batch_gives_the_same_bits() {
    let run = || {
        let maps = raw(2, 0.3).map(|map| map.set_requires_grad(true));
        let targets =
            targets(&[0, 1, 1], &[0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.2, 0.4, 0.7, 0.6, 0.5, 0.3]);
        let output = loss().compute(&maps, &targets);
        output.total.backward();
        (bits(&output.items), maps.map(|map| bits(&map.grad())))
    };
    assert_eq!(run(), run());
}

#[test]
fn an_empty_batch_teaches_classes_only() {
    let maps = raw(1, 0.).map(|map| map.set_requires_grad(true));
    let output = loss().compute(&maps, &targets(&[], &[]));
    output.total.backward();
    let items = Vec::<f32>::try_from(&output.items).unwrap();
    assert_eq!((items[0], items[2]), (0., 0.));
    assert!(items[1] > 0.);
    assert_eq!(maps[0].grad().narrow(1, 0, 64).abs().max().double_value(&[]), 0.);
    assert!(maps[0].grad().narrow(1, 64, 2).abs().min().double_value(&[]) > 0.);
}

#[test]
fn half_precision_maps_are_computed_in_fp32() {
    let truth = targets(&[0], &[0.5, 0.5, 0.6, 0.6]);
    let half = raw(1, 0.1).map(|map| map.to_kind(Kind::Half));
    let wide = half.each_ref().map(|map| map.to_kind(Kind::Float));
    let (half, wide) = (loss().compute(&half, &truth), loss().compute(&wide, &truth));
    assert_eq!(bits(&half.items), bits(&wide.items));
}

#[test]
fn diverged_predictions_give_nan_not_a_panic() {
    let maps = raw(1, 0.).map(|map| map * f64::NAN);
    let output = loss().compute(&maps, &targets(&[0], &[0.5, 0.5, 0.6, 0.6]));
    assert!(output.total.double_value(&[]).is_nan());
}

#[test]
fn the_order_of_pictures_does_not_matter_to_an_assignment() {
    let [a, b, c] = raw(2, 0.4);
    let swap = |map: &Tensor| map.flip([0i64]);
    let boxes = [0.5, 0.5, 0.5, 0.5, 0.3, 0.3, 0.2, 0.4];
    let straight = loss().compute(&[a.copy(), b.copy(), c.copy()], &targets(&[0, 1], &boxes));
    let swapped = loss().compute(&[swap(&a), swap(&b), swap(&c)], &targets(&[1, 0], &boxes));
    let difference = (straight.items - swapped.items).abs().max().double_value(&[]);
    assert!(difference < 1e-5, "{difference}");
}
