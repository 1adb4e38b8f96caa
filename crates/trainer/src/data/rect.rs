//! Pictures of similar shape together: the batches of `rect=true`, each in one rectangle. When an
//! epoch comes to which of them is `batching`'s.

use std::cmp::Ordering;

use ybox_picture::fit;

use super::letterbox::smallest_frame;
use super::size::Size;

/// Pictures, by their number, sorted from the widest to the tallest and cut into batches of
/// `batch`; the last one may be smaller. Of two of one shape the earlier comes first.
pub fn groups(pictures: &[Size], batch: usize) -> Vec<Vec<usize>> {
    let mut sorted: Vec<usize> = (0..pictures.len()).collect();
    sorted.sort_by(|a, b| by_shape(pictures[*a], pictures[*b]));
    sorted.chunks(batch).map(<[_]>::to_vec).collect()
}

/// By height over width, exactly.
fn by_shape(a: Size, b: Size) -> Ordering {
    let product = |height: u32, width: u32| u64::from(height) * u64::from(width);
    product(a.height, b.width).cmp(&product(b.height, a.width))
}

/// The rectangle for `pictures` that are scaled to a longer side of `side`.
pub fn rectangle(pictures: impl Iterator<Item = Size>, side: u32) -> Size {
    smallest_frame(pictures.map(|size| fit(size.width, size.height, side).into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::letterbox::STRIDE;
    use super::*;

    #[test]
    fn wide_ones_come_first_and_tall_ones_last() {
        let sizes = [(30, 40), (640, 480), (9, 9), (4, 3), (900, 9), (9, 900), (3, 4)];
        let groups = groups(&sizes.map(Size::from), 3);
        assert_eq!(groups, [vec![4, 1, 3], vec![2, 0, 6], vec![5]]);
        let of = |group: usize| rectangle(groups[group].iter().map(|&i| sizes[i].into()), 320);
        assert_eq!([0, 1, 2].map(|g| of(g).sides()), [[320, 256], [320, 320], [32, 320]]);
    }

    proptest! {
        #[test]
        fn every_picture_is_in_one_batch_in_the_smallest_rectangle(
            sizes in proptest::collection::vec((1u32..2000, 1u32..2000), 0..40),
            batch in 1usize..9,
            side in (1u32..11).prop_map(|strides| strides * STRIDE),
        ) {
            let sizes: Vec<Size> = sizes.into_iter().map(Size::from).collect();
            let groups = groups(&sizes, batch);
            prop_assert!(groups.iter().rev().skip(1).all(|group| group.len() == batch));
            let mut seen = groups.concat();
            let tallness = |i: &usize| f64::from(sizes[*i].height) / f64::from(sizes[*i].width);
            prop_assert!(seen.is_sorted_by(|a, b| tallness(a) <= tallness(b)));
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..sizes.len()).collect::<Vec<_>>());
            for group in &groups {
                let frame = rectangle(group.iter().map(|&i| sizes[i]), side);
                prop_assert_eq!(frame.longer(), side);
                for axis in [0, 1] {
                    let fitted = |&i: &usize| {
                        let (width, height) = fit(sizes[i].width, sizes[i].height, side);
                        [width, height][axis]
                    };
                    let (edge, largest) = (frame.sides()[axis], group.iter().map(fitted).max());
                    prop_assert_eq!(edge % STRIDE, 0);
                    prop_assert!(largest <= Some(edge) && largest > Some(edge - STRIDE));
                }
            }
        }
    }
}
