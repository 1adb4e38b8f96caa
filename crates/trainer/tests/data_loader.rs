//! Batches and evaluation pictures: the same whatever the number of threads, complete, in order,
//! and with their bits pinned.
#![allow(clippy::unwrap_used)]

mod data_support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use data_support::{Drawn, OPTIONS, bccd, patterned};
use ybox_spec::Digest;
use ybox_spec::config::TrainConfig;
use ytrain::data::disk::DiskCache;
use ytrain::data::{
    Batch, DataError, Frame, Loader, Picture, Prepared, ScanOptions, Size, Split, Target,
    letterbox, prediction, scan, sources, validation,
};

fn config(batch: u32) -> TrainConfig {
    TrainConfig { imgsz: 64, batch, epochs: 3, close_mosaic: 1, ..Default::default() }
}

fn epoch(split: &Arc<Split>, config: &TrainConfig, workers: usize, epoch: u32) -> Vec<Batch> {
    let loader = Loader::new(Arc::clone(split), config, workers);
    let batches: Vec<_> = loader.epoch(epoch).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.len(), loader.batches());
    batches
}

fn digest(batches: &[Batch]) -> String {
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend(&batch.pixels);
        for t in &batch.targets {
            bytes.extend(t.bbox.iter().flat_map(|v| v.to_le_bytes()));
            bytes.extend([t.image as u8, t.class as u8]);
        }
    }
    Digest::of(&bytes).hex()
}

/// Changes the last byte of a file somewhere in `folder`.
fn damage_one(folder: &Path) {
    let mut path = folder.to_owned();
    while path.is_dir() {
        path = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    }
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn batches_do_not_depend_on_threads_or_memory() {
    let Some((root, manifest)) = bccd() else { return };
    let read = |cache_bytes| {
        let options = ScanOptions { cache_bytes, ..OPTIONS };
        Arc::new(scan(&manifest, &root, "val", &options, |_, _| {}).unwrap())
    };
    let split = read(1 << 30);
    let config = TrainConfig { degrees: 10.0, shear: 5.0, flipud: 0.3, ..config(16) };
    let first = epoch(&split, &config, 1, 0);
    assert_eq!(first, epoch(&split, &config, 2, 0));
    assert_eq!(first, epoch(&split, &config, 4, 0));
    // Half of the pictures kept in memory.
    assert_eq!(first, epoch(&read(87 * 64 * 48 * 3 / 2), &config, 3, 0));
    // On the disk: while it is filled, and from it, with an entry that was damaged meanwhile.
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let disk = DiskCache::open(folder.path(), Digest::of(b"test"), u64::MAX).unwrap();
        let disk = Arc::new(disk);
        let options = ScanOptions { cache_bytes: 0, disk: Some(Arc::clone(&disk)), ..OPTIONS };
        let split = Arc::new(scan(&manifest, &root, "val", &options, |_, _| {}).unwrap());
        assert_eq!(first, epoch(&split, &config, 2, 0));
        let counted = disk.counts();
        assert_eq!((counted.added, counted.damaged), [(87, 0), (1, 1)][round], "{counted:?}");
        assert!(counted.found > 86, "{counted:?}");
        damage_one(folder.path());
    }
    assert_ne!(first, epoch(&split, &config, 2, 1));
    let mut seen: Vec<_> = first.iter().flat_map(|b| b.indices.clone()).collect();
    seen.sort_unstable();
    assert_eq!(seen, (0..87).collect::<Vec<_>>());
}

#[test]
fn the_last_batch_is_smaller_and_shapes_agree() {
    let split = patterned(7).scan(&OPTIONS);
    let batches = epoch(&split, &config(3), 2, 0);
    assert_eq!(batches.iter().map(|b| b.indices.len()).collect::<Vec<_>>(), [3, 3, 1]);
    for batch in batches {
        assert_eq!(batch.size, Size::square(64));
        assert_eq!(batch.pixels.len(), batch.indices.len() * 3 * 64 * 64);
        assert!(batch.targets.iter().all(|t| t.image < batch.indices.len() && t.class < 3));
        assert!(batch.targets.is_sorted_by_key(|t| t.image));
    }
}

#[test]
fn an_epoch_can_be_joined_in_the_middle() {
    let split = patterned(7).scan(&OPTIONS);
    let whole = epoch(&split, &config(2), 2, 1);
    let loader = Loader::new(split, &config(2), 2);
    for skipped in [0, 1, 3, 4, 9] {
        let rest: Vec<_> = loader.epoch_from(1, skipped).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest, whole[skipped.min(4)..]);
    }
}

#[test]
fn sides_change_from_batch_to_batch_and_boxes_do_not() {
    let split = patterned(9).scan(&OPTIONS);
    let still = TrainConfig { hsv_s: 0.0, hsv_v: 0.0, ..config(2) };
    let varied = TrainConfig { multi_scale: 0.5, ..still.clone() };
    let whole = epoch(&split, &varied, 1, 2);
    assert_eq!(whole, epoch(&split, &varied, 3, 2));
    let rest = Loader::new(Arc::clone(&split), &varied, 2).epoch_from(2, 3).unwrap();
    assert_eq!(rest.map(Result::unwrap).collect::<Vec<_>>(), whole[3..]);
    assert!(whole.iter().all(|b| b.size.width == b.size.height));
    let sizes: Vec<_> = whole.iter().map(|b| b.size.width).collect();
    assert!(sizes.iter().all(|side| [32, 64, 96].contains(side)), "{sizes:?}");
    assert!(sizes.iter().any(|side| *side != sizes[0]), "{sizes:?}");
    for (batch, fixed) in whole.iter().zip(epoch(&split, &still, 2, 2)) {
        assert_eq!(batch.pixels.len(), batch.indices.len() * 3 * batch.size.area());
        // In small pictures small objects are dropped.
        let near = |a: &Target, b: &Target| {
            (a.image, a.class) == (b.image, b.class)
                && a.bbox.iter().zip(b.bbox).all(|(x, y)| (x - y).abs() < 1e-5)
        };
        assert!(batch.targets.iter().all(|a| fixed.targets.iter().any(|b| near(a, b))));
        assert!(batch.size.width < 64 || batch.targets.len() >= fixed.targets.len());
    }
}

/// Wide, square and tall pictures.
fn mixed() -> Drawn {
    (0..11).fold(Drawn::new(), |set, i| {
        let (width, height) = [(90, 40), (60, 60), (30, 70), (80, 64)][i % 4];
        let mut picture = Picture::filled(width, height, [40 * (i % 6) as u8, 90, 200]);
        (0..30).for_each(|x| picture.set_pixel(x, x, [255, 7 * i as u8, 0]));
        set.picture(&format!("p{i:02}"), &picture, "1 0.5 0.5 0.6 0.6\n")
    })
}

#[test]
fn rectangles_hold_pictures_of_similar_shape_and_come_in_a_new_order_each_epoch() {
    let split = mixed().scan(&OPTIONS);
    let config = TrainConfig { rect: true, ..config(2) };
    let [first, second] = [0, 1].map(|number| epoch(&split, &config, 2, number));
    let sizes = |batches: &[Batch]| {
        let sizes = batches.iter().map(|b| (b.indices.clone(), b.size.sides()));
        sizes.collect::<Vec<_>>()
    };
    assert_ne!(sizes(&first), sizes(&second));
    let sorted = |batches| {
        let mut sizes = sizes(batches);
        sizes.sort();
        sizes
    };
    let expected = [
        (vec![0, 4], [64, 32]),
        (vec![2, 6], [32, 64]),
        (vec![5, 9], [64, 64]),
        (vec![7, 1], [64, 64]),
        (vec![8, 3], [64, 64]),
        (vec![10], [32, 64]),
    ];
    assert_eq!(sorted(&first), sorted(&second));
    assert_eq!(sorted(&first), expected);
    for batch in first {
        assert_eq!(batch.pixels.len(), batch.indices.len() * 3 * batch.size.area());
    }
}

#[test]
fn rectangles_do_not_depend_on_threads_memory_or_where_an_epoch_is_joined() {
    let set = mixed();
    let split = set.scan(&OPTIONS);
    let decoding = set.scan(&ScanOptions { cache_bytes: 0, ..OPTIONS });
    for multi_scale in [0.0, 0.5] {
        let strong = TrainConfig { degrees: 10.0, flipud: 0.5, perspective: 0.0005, ..config(2) };
        let config = TrainConfig { rect: true, multi_scale, ..strong };
        let whole = epoch(&split, &config, 1, 1);
        assert_eq!(whole, epoch(&decoding, &config, 3, 1));
        let loader = Loader::new(Arc::clone(&split), &config, 2);
        for skipped in [1, 4, 6, 99] {
            let rest = loader.epoch_from(1, skipped).unwrap().map(Result::unwrap);
            assert_eq!(rest.collect::<Vec<_>>(), whole[skipped.min(6)..]);
        }
        let longer: Vec<_> = whole.iter().map(|batch| batch.size.longer()).collect();
        assert_eq!(longer.iter().all(|side| *side == 64), multi_scale == 0.0, "{longer:?}");
    }
}

#[test]
fn a_rectangle_holds_what_validation_sees_at_every_scale() {
    let split = mixed().scan(&OPTIONS);
    let still = TrainConfig { hsv_h: 0.0, hsv_s: 0.0, hsv_v: 0.0, translate: 0.0, ..config(1) };
    let still = TrainConfig { rect: true, scale: 0.0, fliplr: 0.0, ..still };
    let validated: Vec<Prepared> =
        validation(&split, 1).unwrap().collect::<Result<_, _>>().unwrap();
    for batch in epoch(&split, &still, 1, 0) {
        let prepared = &validated[batch.indices[0]];
        assert_eq!(batch.size.sides(), [prepared.width, prepared.height]);
        assert_eq!(batch.pixels, prepared.pixels);
    }
    // At another scale, a box is as large a share of its picture, which lies in the middle; what is
    // odd there is half a pixel off.
    let varied = TrainConfig { multi_scale: 0.5, ..still };
    for batch in (0..4).flat_map(|number| epoch(&split, &varied, 1, number)) {
        let size = split.size(batch.indices[0]);
        let [x, y, w, h] = batch.targets[0].bbox;
        let scale = batch.size.longer() as f32 / size.longer() as f32;
        for (middle, share, edge, side) in
            [(x, w, batch.size.width, size.width), (y, h, batch.size.height, size.height)]
        {
            let (moved, off) = (middle - 0.5, share * edge as f32 - 0.6 * side as f32 * scale);
            assert!(moved.abs() * edge as f32 <= 0.76 && off.abs() < 1.0, "{moved} {off} {size:?}");
        }
    }
}

#[test]
fn strengths_follow_their_schedule() {
    let split = patterned(5).scan(&OPTIONS);
    let scheduled = |curve: [[f64; 2]; 2]| TrainConfig {
        augment_schedule: [("mosaic".to_owned(), curve.to_vec())].into(),
        ..config(5)
    };
    let (constant, without) = (config(5), TrainConfig { mosaic: 0.0, ..config(5) });
    // Off in the first of three epochs, on in the second, closed in the last.
    let late = scheduled([[0.1, 0.0], [0.3, 1.0]]);
    assert_eq!(epoch(&split, &late, 2, 0), epoch(&split, &without, 2, 0));
    assert_eq!(epoch(&split, &late, 2, 1), epoch(&split, &constant, 2, 1));
    assert_ne!(epoch(&split, &late, 2, 1), epoch(&split, &without, 2, 1));
    assert_eq!(epoch(&split, &late, 2, 2), epoch(&split, &without, 2, 2));
}

#[test]
fn without_augmentation_a_sample_is_its_letterboxed_picture() {
    let set = patterned(3);
    let split = set.scan(&OPTIONS);
    let mut plain = config(1);
    for strength in [
        &mut plain.hsv_h,
        &mut plain.hsv_s,
        &mut plain.hsv_v,
        &mut plain.translate,
        &mut plain.scale,
        &mut plain.fliplr,
    ] {
        *strength = 0.0;
    }
    // The last epoch is closed to mosaic, the ones before are not.
    let is_letterboxed = |batch: &Batch| {
        let index = batch.indices[0];
        let (expected, placement) = letterbox(split.original(index).unwrap(), 64, Frame::Square);
        let object = split.samples[index].objects[0];
        let expected_cx = object.bbox[0] * placement.original[0] as f32 * placement.scale[0];
        let cx = batch.targets[0].bbox[0] * 64.0;
        batch.pixels == expected.planes() && (cx - expected_cx - placement.pad[0]).abs() < 1e-3
    };
    assert!(epoch(&split, &plain, 1, 2).iter().all(is_letterboxed));
    assert!(!epoch(&split, &plain, 1, 1).iter().any(is_letterboxed));
}

#[test]
fn the_bits_of_every_mixing_augmentation_are_pinned() {
    let polygon = "0 0.1 0.1 0.4 0.2 0.35 0.5 0.15 0.4\n2 0.7 0.6 0.2 0.3\n";
    let set = (0..4).fold(Drawn::new(), |set, i| {
        let rgb = [40 + 50 * i, 200 - 30 * i, 90].map(|v| v as u8);
        let mut picture = Picture::filled(60 - 5 * i, 48, rgb);
        (0..40).for_each(|x| picture.set_pixel(x, 3 + x, [255, 10 * i as u8, 0]));
        set.picture(&format!("p{i}"), &picture, polygon)
    });
    let config = TrainConfig {
        mixup: 0.5,
        copy_paste: 0.5,
        perspective: 0.0007,
        multi_scale: 0.5,
        seed: 7,
        ..config(2)
    };
    let split = set.scan(&OPTIONS);
    // Changes only with what the pipeline is meant to compute; retraining then gives other weights.
    let golden = "c8be087c0e08bac1c28e068dc4dbd5fca41f9c1f383ea95bdd9f9accea83fef4";
    assert_eq!(
        digest(&[epoch(&split, &config, 2, 0), epoch(&split, &config, 1, 1)].concat()),
        golden
    );
}

#[test]
fn the_bits_of_rectangles_are_pinned() {
    let config = TrainConfig {
        rect: true,
        degrees: 8.0,
        perspective: 0.0005,
        flipud: 0.5,
        multi_scale: 0.5,
        seed: 7,
        ..config(3)
    };
    let split = mixed().scan(&OPTIONS);
    // Changes only with what the pipeline is meant to compute; retraining then gives other weights.
    let golden = "38eb0d152bae43a2866635bde64d33d6658d9fed3c371731dfc294963778467f";
    assert_eq!(
        digest(&[epoch(&split, &config, 2, 0), epoch(&split, &config, 1, 1)].concat()),
        golden
    );
}

#[test]
fn the_bits_of_a_batch_are_pinned() {
    let split = patterned(5).scan(&OPTIONS);
    let config = TrainConfig { degrees: 8.0, shear: 3.0, flipud: 0.5, seed: 42, ..config(5) };
    let batches = [epoch(&split, &config, 2, 0), epoch(&split, &config, 2, 2)].concat();
    // Changes only with what the pipeline is meant to compute; retraining then gives other weights.
    let golden = "a40c97ca2e532ae0e41f8ee6ff08aa4f756270166cd06ab861917a67548238a3";
    assert_eq!(digest(&batches), golden);
}

#[test]
fn a_file_that_changes_during_training_ends_the_epoch_with_an_error() {
    let set = patterned(6);
    let split = set.scan(&ScanOptions { cache_bytes: 0, ..OPTIONS });
    fs::write(set.root().join("images/p03.png"), b"overwritten").unwrap();
    let results: Vec<_> = Loader::new(split, &config(1), 2).epoch(0).unwrap().collect();
    let Some(Err(DataError::Changed { path })) = results.last() else { panic!("no error") };
    assert!(path.ends_with("images/p03.png"));
    assert!(results[..results.len() - 1].iter().all(Result::is_ok));
}

#[test]
fn an_epoch_can_be_abandoned() {
    let split = patterned(6).scan(&OPTIONS);
    let mut batches = Loader::new(Arc::clone(&split), &config(1), 4).epoch(0).unwrap();
    batches.next().unwrap().unwrap();
    drop(batches);
    assert_eq!(Arc::strong_count(&split), 1, "no thread holds the split any more");
}

#[test]
fn validation_and_prediction_see_the_same_pixels_in_order() {
    let set = patterned(6);
    let split = set.scan(&OPTIONS);
    let listed = Arc::new(sources(&set.manifest(), set.root(), "train", 64).unwrap());
    let validated: Vec<Prepared> =
        validation(&split, 3).unwrap().collect::<Result<_, _>>().unwrap();
    let predicted: Vec<Prepared> =
        prediction(&listed, 1).unwrap().collect::<Result<_, _>>().unwrap();
    for (i, (v, p)) in validated.iter().zip(&predicted).enumerate() {
        assert_eq!((v.index, p.index), (i, i));
        assert_eq!((&v.pixels, v.placement), (&p.pixels, p.placement));
        assert!(v.width % 32 == 0 && v.height % 32 == 0 && v.width.max(v.height) == 64);
        assert_eq!(v.pixels.len(), 3 * (v.width * v.height) as usize);
        assert_eq!(p.original.as_ref().unwrap(), &split.original(i).unwrap());
    }
    assert_eq!(validated.len(), 6);
}

#[test]
fn prediction_goes_on_after_a_picture_that_does_not_decode() {
    let set = patterned(1).file("images/a.png", b"not a picture").picture(
        "z",
        &Picture::filled(9, 9, [3; 3]),
        "",
    );
    let listed = Arc::new(sources(&set.manifest(), set.root(), "train", 64).unwrap());
    let results: Vec<_> = prediction(&listed, 2).unwrap().collect();
    assert!(matches!(results[0], Err(DataError::Decode { .. })));
    assert!(results[1].is_ok() && results[2].is_ok() && results.len() == 3);
}
