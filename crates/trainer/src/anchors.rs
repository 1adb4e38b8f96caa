//! Anchor points: the centres of the cells of the three prediction maps, in the order in which
//! predictions are flattened. What is predicted there is left to the head and the loss.

use tch::{Device, Kind, Tensor};

/// Input pixels per cell of the three prediction maps.
pub const STRIDES: [i64; 3] = [8, 16, 32];

/// The anchor points of all maps, level after level, row by row.
#[derive(Debug)]
pub struct Anchors {
    /// `[A, 2]`: x, y of the cell's centre in cells of its own map.
    pub points: Tensor,
    /// `[A, 1]`: input pixels per cell.
    pub strides: Tensor,
}

impl Anchors {
    /// `[A, 2]`: x, y in input pixels.
    pub fn pixels(&self) -> Tensor {
        &self.points * &self.strides
    }
}

/// Anchors of maps with the given `(height, width)`, in fp32 on `device`.
pub fn make_anchors(shapes: &[(i64, i64)], strides: &[i64], device: Device) -> Anchors {
    let points: Vec<_> = shapes.iter().map(|&(h, w)| centres(h, w, device)).collect();
    let strides: Vec<_> = shapes
        .iter()
        .zip(strides)
        .map(|(&(h, w), &stride)| Tensor::full([h * w, 1], stride, (Kind::Float, device)))
        .collect();
    Anchors { points: Tensor::cat(&points, 0), strides: Tensor::cat(&strides, 0) }
}

/// `[h * w, 2]`.
fn centres(height: i64, width: i64, device: Device) -> Tensor {
    let axis = |length: i64| Tensor::arange(length, (Kind::Float, device)) + 0.5;
    let x = axis(width).view([1, -1]).expand([height, width], false);
    let y = axis(height).view([-1, 1]).expand([height, width], false);
    Tensor::stack(&[x, y], -1).view([-1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_cell_centres_in_row_major_order() {
        let anchors = make_anchors(&[(2, 3), (1, 1)], &[8, 16], Device::Cpu);
        let pixels = Vec::<f32>::try_from(anchors.pixels().flatten(0, -1)).unwrap();
        assert_eq!(pixels, [4., 4., 12., 4., 20., 4., 4., 12., 12., 12., 20., 12., 8., 8.]);
    }
}
