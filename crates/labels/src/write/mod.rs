//! Labels as text in the forms of YOLO, COCO and Pascal VOC. A box is written with as few decimals
//! as its reader needs to find the same object, bit for bit in the normal form.

pub mod coco;
mod digits;
pub mod voc;
pub mod yolo;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::shares::fit;
    use crate::{
        ExactLabels, ExactObject, Labels, coco as read_coco, voc as read_voc, yolo as read_yolo,
    };

    const NAMES: [&str; 2] = ["a & b", "<c>"];

    fn names() -> Vec<String> {
        NAMES.map(String::from).into()
    }

    /// What a reader finds in each of the forms, written for a picture of `size`.
    fn written_and_read(objects: &[ExactObject], (width, height): (u32, u32)) -> [ExactLabels; 3] {
        let lines: String = objects.iter().map(|object| super::yolo::line(object) + "\n").collect();
        let picture = super::coco::Image { id: 7, file_name: "é.png", width, height };
        let annotations = (0..).zip(objects).map(|(id, object)| {
            super::coco::annotation(id, u64::from(object.class) + 1, &picture, object)
        });
        let categories = (1..).zip(NAMES).map(|(id, name)| super::coco::category(id, name));
        let json = format!(
            r#"{{"images": [{}], "annotations": [{}], "categories": [{}]}}"#,
            super::coco::image(&picture),
            annotations.collect::<Vec<_>>().join(",\n"),
            categories.collect::<Vec<_>>().join(",")
        );
        let read = read_coco::parse("c.json", json.as_bytes()).unwrap();
        assert_eq!((&read.names[..], &read.problems[..]), (&names()[..], &[][..]));
        let listed = read.of_pictures(&["x/é.png"]).unwrap().remove(0).unwrap();
        let xml = super::voc::file("é.png", (width, height), &names(), objects);
        [
            read_yolo::parse("l.txt", lines.as_bytes(), 2),
            listed.scale(width, height),
            read_voc::parse("a.xml", xml.as_bytes(), Some(&names())).scale(width, height),
        ]
    }

    fn inside(class: u32, corners: [f64; 4]) -> Option<ExactObject> {
        let (corners, _) = fit(corners).ok()?;
        Some(ExactObject { class, corners, polygon: Vec::new() })
    }

    /// Corners as files have them: any number, few decimals, whole pixels, edges of the picture,
    /// and beyond.
    fn corners(size: (u32, u32)) -> impl Strategy<Value = [f64; 4]> {
        let side = |pixels: u32| {
            let pixels = f64::from(pixels);
            prop_oneof![
                -0.01..1.01,
                (0..=1_000_000_u32).prop_map(|v| f64::from(v) / 1e6),
                (0..=10_000_u32).prop_map(move |v| (f64::from(v) / 1e4 * pixels).round() / pixels),
                (0..=10_000_u16).prop_map(|v| f64::from(f32::from(v) / 1e4)),
                Just(0.0),
                Just(1.0),
                0.0..1e-4,
            ]
        };
        (side(size.0), side(size.1), side(size.0), side(size.1))
            .prop_map(|(a, b, c, d): (f64, f64, f64, f64)| [a.min(c), b.min(d), a.max(c), b.max(d)])
    }

    fn sized_corners() -> impl Strategy<Value = ((u32, u32), Vec<[f64; 4]>)> {
        (1_u32..5000, 1_u32..5000)
            .prop_flat_map(|size| (Just(size), proptest::collection::vec(corners(size), 1..4)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn boxes_are_the_same_in_every_form((size, boxes) in sized_corners()) {
            for corners in boxes {
                let Some(object) = inside(1, corners) else { continue };
                for read in written_and_read(std::slice::from_ref(&object), size) {
                    prop_assert_eq!(&read.problems, &[]);
                    let objects = Labels::from(read).objects;
                    prop_assert_eq!(objects, [object.rounded()]);
                }
            }
        }

        #[test]
        fn outlines_are_the_same_where_the_form_has_them(
            width in 1_u32..5000,
            height in 1_u32..5000,
            points in proptest::collection::vec([0.0..=1.0, 0.0..=1.0], 3..9),
        ) {
            let Some(bounds) = super::yolo::outline_box(&points) else { return Ok(()) };
            let object = ExactObject { class: 0, corners: bounds, polygon: points };
            let expected = ExactLabels {
                objects: vec![object.clone()],
                usable: true,
                ..ExactLabels::default()
            };
            let expected = Labels::from(expected);
            let [yolo, coco, voc] = written_and_read(&[object], (width, height)).map(Labels::from);
            prop_assert_eq!(&yolo.polygons, &expected.polygons);
            prop_assert_eq!(&yolo.objects, &expected.objects);
            prop_assert_eq!(&coco, &expected);
            prop_assert_eq!(voc.objects, expected.objects);
        }
    }

    #[test]
    fn common_boxes_have_common_numbers() {
        let object = inside(1, [0.4, 0.4, 0.6, 0.6]).unwrap();
        assert_eq!(super::yolo::line(&object), "1 0.5 0.5 0.2 0.2");
        let picture = super::coco::Image { id: 3, file_name: "a.jpg", width: 640, height: 480 };
        let entry = super::coco::annotation(5, 2, &picture, &object);
        assert!(entry.contains(r#""bbox":[256,192,128,96],"#), "{entry}");
        let xml = super::voc::file("a.jpg", (640, 480), &names(), &[object]);
        assert!(xml.contains("<xmin>257</xmin>") && xml.contains("<xmax>384</xmax>"), "{xml}");
        assert!(xml.contains("<name>&lt;c&gt;</name>"), "{xml}");
    }

    #[test]
    fn an_outline_that_encloses_nothing_is_written_as_its_box() {
        let polygon = vec![[0.1, 0.5], [0.4, 0.5], [0.9, 0.5]];
        let object = ExactObject { class: 0, corners: [0.1, 0.4, 0.9, 0.6], polygon };
        assert_eq!(super::yolo::line(&object), "0 0.5 0.5 0.8 0.2");
    }

    #[test]
    fn class_names_that_xml_would_change_are_known() {
        for (name, writable) in
            [("a b", true), ("é", true), ("", false), (" a", false), ("a\nb", false)]
        {
            assert_eq!(super::voc::is_writable(name), writable, "{name:?}");
        }
    }
}
