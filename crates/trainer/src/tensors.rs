//! From the bytes of the data pipeline to tensors.

use tch::{Device, Kind, Tensor};

use crate::data::{Batch, Prepared};
use crate::loss::Targets;

/// `[B, 3, H, W]` f32 in 0..1.
pub fn images(batch: &Batch, device: Device) -> Tensor {
    let [width, height] = batch.size.sides().map(i64::from);
    normalised(&batch.pixels, &[batch.indices.len() as i64, 3, height, width], device)
}

/// `[1, 3, H, W]` f32 in 0..1.
pub fn image(prepared: &Prepared, device: Device) -> Tensor {
    let size = [1, 3, i64::from(prepared.height), i64::from(prepared.width)];
    normalised(&prepared.pixels, &size, device)
}

/// In the memory order of the model's maps, `[N, H, W, C]`.
fn normalised(pixels: &[u8], size: &[i64], device: Device) -> Tensor {
    let pixels = Tensor::from_slice(pixels).view(size).to_device(device);
    let pixels = pixels.permute([0, 2, 3, 1]).contiguous().to_kind(Kind::Float);
    (pixels / 255.0).permute([0, 3, 1, 2])
}

/// Objects as the loss takes them: index of the picture in the batch, class, box.
pub fn targets(objects: impl Iterator<Item = (usize, u32, [f32; 4])>, device: Device) -> Targets {
    let (mut images, mut classes, mut boxes) = (Vec::new(), Vec::new(), Vec::new());
    for (image, class, bbox) in objects {
        images.push(image as i64);
        classes.push(i64::from(class));
        boxes.extend(bbox);
    }
    Targets {
        batch_idx: Tensor::from_slice(&images).to_device(device),
        cls: Tensor::from_slice(&classes).to_device(device),
        boxes: Tensor::from_slice(&boxes).view([-1, 4]).to_device(device),
    }
}
