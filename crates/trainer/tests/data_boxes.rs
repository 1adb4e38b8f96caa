//! Boxes follow the pixels: a coloured rectangle is painted, the picture augmented, the rectangle
//! found again and its extent compared with the box.
#![allow(clippy::unwrap_used)]

mod data_support;

use data_support::{Drawn, OPTIONS};
use ybox_spec::config::TrainConfig;
use ytrain::data::augment::Augmented;
use ytrain::data::{Augmentation, Batch, Loader, Object, Picture, ScanOptions, Size};

/// Classes 0, 1 and 2 are red, green and blue, on black.
fn painted() -> Drawn {
    (0..6).fold(Drawn::new(), |set, i| {
        let (width, height): (u32, u32) = [(200, 150), (120, 160), (160, 160)][i % 3];
        let mut picture = Picture::filled(width, height, [0; 3]);
        let mut label = String::new();
        for class in [i % 3, (i + 1) % 3] {
            let left = 20 + 50 * (class as u32 % 2) + 4 * i as u32;
            let (top, right, bottom) = (15 + 40 * class as u32, left + 30, 45 + 40 * class as u32);
            paint(&mut picture, [left, top, right, bottom], class);
            label += &line(class, [left, top, right, bottom], [width, height]);
        }
        set.picture(&format!("p{i}"), &picture, &label)
    })
}

fn paint(picture: &mut Picture, [left, top, right, bottom]: [u32; 4], class: usize) {
    let mut rgb = [0; 3];
    rgb[class] = 255;
    for y in top..bottom {
        (left..right).for_each(|x| picture.set_pixel(x, y, rgb));
    }
}

/// The same label as a polygon of four points.
fn outline(class: usize, [l, t, r, b]: [u32; 4], [width, height]: [u32; 2]) -> String {
    let points = [[l, t], [r, t], [r, b], [l, b]].map(|[x, y]| {
        format!("{} {}", f64::from(x) / f64::from(width), f64::from(y) / f64::from(height))
    });
    format!("{class} {}\n", points.join(" "))
}

fn line(class: usize, corners: [u32; 4], [width, height]: [u32; 2]) -> String {
    let [l, t, r, b] = corners.map(f64::from);
    let (w, h) = (f64::from(width), f64::from(height));
    format!("{class} {} {} {} {}\n", (l + r) / 2.0 / w, (t + b) / 2.0 / h, (r - l) / w, (b - t) / h)
}

/// The extent of a class's colour in planes `[3, height, width]`.
fn extent(planes: &[u8], class: usize, size: Size) -> Option<[f32; 4]> {
    let (width, area) = (size.width as usize, size.area());
    let level = |c: usize, x: usize, y: usize| planes[c * area + y * width + x];
    let shows =
        |x, y| level(class, x, y) >= 128 && (0..3).all(|c| c == class || level(c, x, y) < 50);
    let hits: Vec<_> =
        (0..area).map(|i| (i % width, i / width)).filter(|&(x, y)| shows(x, y)).collect();
    let xs = || hits.iter().map(|h| h.0 as f32);
    let ys = || hits.iter().map(|h| h.1 as f32);
    let bound = |values: &mut dyn Iterator<Item = f32>, more: bool| {
        values.reduce(|a, b| if more { a.max(b) } else { a.min(b) })
    };
    Some([
        bound(&mut xs(), false)?,
        bound(&mut ys(), false)?,
        bound(&mut xs(), true)? + 1.0,
        bound(&mut ys(), true)? + 1.0,
    ])
}

fn corners(object: &Object, size: Size) -> [f32; 4] {
    let sides = size.sides().map(|side| side as f32);
    let [cx, cy, w, h] = std::array::from_fn(|i| object.bbox[i] * sides[i % 2]);
    [cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0]
}

/// Augments every sample in several epochs; returns how many boxes were compared.
fn compare(config: &TrainConfig, tolerance: f32) -> usize {
    let side = 160;
    let split = painted().scan(&ScanOptions { imgsz: side, ..OPTIONS });
    let config = TrainConfig { imgsz: side, epochs: 100, batch: 2, ..config.clone() };
    let loader = Loader::new(split, &config, 2);
    let mut compared = 0;
    for epoch in 0..12 {
        for (index, size, sample) in loader.epoch(epoch).unwrap().flat_map(|b| samples(b.unwrap()))
        {
            for object in &sample.objects {
                let alike = sample.objects.iter().filter(|o| o.class == object.class).count();
                let found = extent(&sample.planes, object.class as usize, size);
                // In a mosaic a colour may come twice, also as a remnant without a box.
                if alike > 1 || (config.mosaic > 0.0 && !once(&config, found, object)) {
                    continue;
                }
                let expected = corners(object, size);
                let found =
                    found.unwrap_or_else(|| panic!("{index} {epoch}: nothing of {object:?}"));
                for (a, b) in found.into_iter().zip(expected) {
                    assert!(
                        (a - b).abs() <= tolerance,
                        "sample {index}, epoch {epoch}: {found:?}, box {expected:?}"
                    );
                }
                compared += 1;
            }
        }
    }
    compared
}

/// Number, size and content of each picture of a batch.
fn samples(batch: Batch) -> Vec<(usize, Size, Augmented)> {
    let planes = batch.pixels.chunks_exact(3 * batch.size.area());
    let sample = |(image, (index, planes)): (usize, (&usize, &[u8]))| {
        let targets = batch.targets.iter().filter(|target| target.image == image);
        let objects = targets.map(|t| Object { class: t.class, bbox: t.bbox }).collect();
        (*index, batch.size, Augmented { planes: planes.to_vec(), objects })
    };
    batch.indices.iter().zip(planes).enumerate().map(sample).collect()
}

/// Whether what was found is one rectangle, not two far apart.
fn once(config: &TrainConfig, found: Option<[f32; 4]>, object: &Object) -> bool {
    let side = config.imgsz as f32;
    found.is_some_and(|f| {
        f[2] - f[0] < object.bbox[2] * side + 8.0 && f[3] - f[1] < object.bbox[3] * side + 8.0
    })
}

fn still() -> TrainConfig {
    TrainConfig {
        hsv_h: 0.0,
        hsv_s: 0.0,
        hsv_v: 0.0,
        translate: 0.0,
        scale: 0.0,
        fliplr: 0.0,
        mosaic: 0.0,
        ..Default::default()
    }
}

#[test]
fn without_augmentation() {
    assert!(compare(&still(), 0.8) > 100);
}

#[test]
fn with_flips() {
    assert!(compare(&TrainConfig { fliplr: 0.5, flipud: 0.5, ..still() }, 0.8) > 100);
}

#[test]
fn with_translation_and_scale() {
    assert!(compare(&TrainConfig { translate: 0.3, scale: 0.5, ..still() }, 1.0) > 80);
}

#[test]
fn with_rotation_and_shear() {
    // A rotated rectangle ends in a point, which is blended away over a pixel or so; where the
    // frame cuts it, the box around it is larger than what shows.
    assert!(compare(&TrainConfig { degrees: 10.0, shear: 5.0, ..still() }, 2.0) > 80);
}

#[test]
fn with_mosaic() {
    assert!(compare(&TrainConfig { mosaic: 1.0, scale: 0.3, ..still() }, 1.0) > 30);
}

#[test]
fn with_colour_jitter_nothing_moves() {
    assert!(compare(&TrainConfig { hsv_h: 0.01, hsv_s: 0.1, hsv_v: 0.1, ..still() }, 0.8) > 100);
}

#[test]
fn with_perspective() {
    let strong = TrainConfig { perspective: 0.001, translate: 0.1, scale: 0.2, ..still() };
    assert!(compare(&strong, 1.5) > 80);
}

#[test]
fn in_rectangles() {
    let rect = TrainConfig { rect: true, mosaic: 1.0, ..still() };
    assert!(compare(&rect, 0.8) > 100);
    assert!(compare(&TrainConfig { fliplr: 0.5, flipud: 0.5, ..rect.clone() }, 0.8) > 100);
    assert!(compare(&TrainConfig { translate: 0.3, scale: 0.5, ..rect.clone() }, 1.0) > 70);
    assert!(compare(&TrainConfig { degrees: 10.0, shear: 5.0, ..rect.clone() }, 2.0) > 80);
    assert!(compare(&TrainConfig { perspective: 0.001, scale: 0.2, ..rect.clone() }, 1.5) > 80);
    assert!(compare(&TrainConfig { multi_scale: 0.3, scale: 0.2, ..rect }, 1.5) > 80);
}

/// One red rectangle with a polygon per picture.
fn outlined() -> Drawn {
    (0..4).fold(Drawn::new(), |set, i| {
        let (size, corners) = ([160, 120], [8 + 4 * i, 20 + 9 * i, 40, 70]);
        let mut picture = Picture::filled(size[0], size[1], [0; 3]);
        paint(&mut picture, corners, 0);
        set.picture(&format!("p{i}"), &picture, &outline(0, corners, size))
    })
}

#[test]
fn with_copies_of_outlined_objects() {
    let side = 160;
    let split = outlined().scan(&ScanOptions { imgsz: side, ..OPTIONS });
    assert!(split.has_polygons());
    let config = TrainConfig { imgsz: side, copy_paste: 0.5, fliplr: 0.5, scale: 0.1, ..still() };
    let augmentation = Augmentation::from(&config);
    let mut copies = 0;
    for (epoch, index) in (0..10).flat_map(|epoch| (0..4).map(move |index| (epoch, index))) {
        let sample = augmentation.apply(&split, index, epoch).unwrap();
        let all = sample.objects.iter().map(|object| corners(object, Size::square(side)));
        let around = all
            .reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])])
            .unwrap();
        let found = extent(&sample.planes, 0, Size::square(side)).unwrap();
        for (a, b) in found.into_iter().zip(around) {
            assert!((a - b).abs() <= 1.0, "{index} {epoch}: {found:?}, boxes {around:?}");
        }
        copies += sample.objects.len() - 1;
    }
    assert!((8..32).contains(&copies), "{copies} of 40");
}

#[test]
fn copies_need_polygons() {
    let split = painted().scan(&ScanOptions { imgsz: 160, ..OPTIONS });
    let of = |copy_paste| {
        let config = TrainConfig { imgsz: 160, copy_paste, ..Default::default() };
        Augmentation::from(&config).apply(&split, 2, 0).unwrap()
    };
    assert!(!split.has_polygons());
    assert_eq!(of(1.0), of(0.0));
}

#[test]
fn with_mixup_the_objects_of_both_are_there() {
    let split = painted().scan(&ScanOptions { imgsz: 160, ..OPTIONS });
    let of = |mixup, index| {
        let config = TrainConfig { imgsz: 160, mixup, ..still() };
        Augmentation::from(&config).apply(&split, index, 0).unwrap()
    };
    let plain: Vec<_> = (0..split.len()).map(|index| of(0.0, index)).collect();
    for (index, own) in plain.iter().enumerate() {
        let mixed = of(1.0, index);
        let (first, second) = mixed.objects.split_at(own.objects.len());
        assert_eq!(first, own.objects);
        let partner = plain.iter().find(|other| other.objects == second).unwrap();
        // Between the two, and not far from their middle.
        for ((level, a), b) in mixed.planes.iter().zip(&own.planes).zip(&partner.planes) {
            let middle = (f32::from(*a) + f32::from(*b)) / 2.0;
            let slack = 1.0 + f32::from(a.abs_diff(*b)) * 0.3;
            assert!((f32::from(*level) - middle).abs() <= slack, "{level}: {a} and {b}");
        }
    }
}
