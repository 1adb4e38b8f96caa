//! Bilinear scaling with pixel centres at one half, like OpenCV's `INTER_LINEAR`, in integers: the
//! same bits on every CPU. No low-pass filter when shrinking, as is customary for detectors.

use super::Picture;

/// Weights are in 2048ths.
const BITS: u32 = 11;
const ONE: u32 = 1 << BITS;

/// The size that a `width` x `height` picture takes to fill a square of `side`: the longer side
/// becomes `side`, the other is rounded to the nearest pixel, and at least 1.
pub fn fit(width: u32, height: u32, side: u32) -> (u32, u32) {
    let longer = u64::from(width.max(height));
    let scaled = |v: u32| {
        let rounded = (u64::from(v) * u64::from(side) + longer / 2) / longer;
        (rounded as u32).max(1)
    };
    (scaled(width), scaled(height))
}

/// Scales to fill a square of `side`, see [`fit`].
pub fn resize_to_fit(picture: Picture, side: u32) -> Picture {
    let (width, height) = fit(picture.width(), picture.height(), side);
    if (width, height) == (picture.width(), picture.height()) {
        return picture;
    }
    resize(&picture, width, height)
}

/// Where an output pixel reads along one axis: two neighbours and the weight of the second.
#[derive(Clone, Copy)]
struct Tap {
    first: usize,
    second: usize,
    weight: u32,
}

/// One tap per output pixel: `(i + 1/2) * from / to - 1/2`, kept within the picture.
fn taps(from: u32, to: u32) -> Vec<Tap> {
    let (from, to) = (i64::from(from), i64::from(to));
    let one = i64::from(ONE);
    (0..to)
        .map(|i| {
            let position = ((2 * i + 1) * from * one / 2 + to / 2) / to - one / 2;
            let position = position.clamp(0, (from - 1) * one);
            let first = position / one;
            let second = (first + 1).min(from - 1);
            let weight = (position % one) as u32;
            Tap { first: first as usize, second: second as usize, weight }
        })
        .collect()
}

/// Scales to exactly `width` x `height`.
pub fn resize(picture: &Picture, width: u32, height: u32) -> Picture {
    let columns = taps(picture.width(), width);
    let mut rows = RowPair::new(width as usize * 3);
    let mut out = Picture::filled(width, height, [0; 3]);
    for (y, tap) in taps(picture.height(), height).into_iter().enumerate() {
        rows.load(picture, tap, &columns);
        blend(&rows.first, &rows.second, tap.weight, out.row_mut(y as u32));
    }
    out
}

/// The two source rows under an output row, scaled horizontally; neighbouring output rows often
/// share them.
struct RowPair {
    first: Vec<u32>,
    second: Vec<u32>,
    loaded: [Option<usize>; 2],
}

impl RowPair {
    fn new(len: usize) -> Self {
        Self { first: vec![0; len], second: vec![0; len], loaded: [None; 2] }
    }

    fn load(&mut self, picture: &Picture, tap: Tap, columns: &[Tap]) {
        if self.loaded[1] == Some(tap.first) {
            std::mem::swap(&mut self.first, &mut self.second);
            self.loaded.swap(0, 1);
        }
        if self.loaded[0] != Some(tap.first) {
            scale_row(picture.row(tap.first as u32), columns, &mut self.first);
        }
        if self.loaded[1] != Some(tap.second) {
            scale_row(picture.row(tap.second as u32), columns, &mut self.second);
        }
        self.loaded = [Some(tap.first), Some(tap.second)];
    }
}

/// Sums in 2048ths of a level.
fn scale_row(row: &[u8], columns: &[Tap], out: &mut [u32]) {
    for (to, tap) in out.chunks_exact_mut(3).zip(columns) {
        let (a, b) = (&row[tap.first * 3..][..3], &row[tap.second * 3..][..3]);
        for c in 0..3 {
            to[c] = u32::from(a[c]) * (ONE - tap.weight) + u32::from(b[c]) * tap.weight;
        }
    }
}

fn blend(first: &[u32], second: &[u32], weight: u32, out: &mut [u8]) {
    let half = 1 << (2 * BITS - 1);
    for ((to, a), b) in out.iter_mut().zip(first).zip(second) {
        *to = ((a * (ONE - weight) + b * weight + half) >> (2 * BITS)) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longer_side_fills_the_square() {
        assert_eq!(fit(640, 480, 640), (640, 480));
        assert_eq!(fit(1920, 1080, 640), (640, 360));
        assert_eq!(fit(100, 333, 640), (192, 640));
        assert_eq!(fit(5000, 2, 320), (320, 1));
        assert_eq!(fit(1, 1, 32), (32, 32));
    }

    #[test]
    fn agrees_with_the_definition_in_floating_point() {
        let (w, h) = (13, 9);
        let pixels = (0..w * h * 3).map(|i: u32| (i * 97 % 251) as u8).collect();
        let picture = Picture::new(w, h, pixels);
        for (nw, nh) in [(7, 5), (26, 18), (13, 9), (40, 3), (1, 1), (6, 4)] {
            let out = resize(&picture, nw, nh);
            for y in 0..nh {
                for x in 0..nw {
                    let expected = sample(&picture, x, y, nw, nh);
                    for (got, want) in out.pixel(x, y).into_iter().zip(expected) {
                        assert!((f64::from(got) - want).abs() <= 0.76, "{got} {want}");
                    }
                }
            }
        }
    }

    fn sample(p: &Picture, x: u32, y: u32, nw: u32, nh: u32) -> [f64; 3] {
        let at = |i: u32, from: u32, to: u32| {
            let v = (f64::from(i) + 0.5) * f64::from(from) / f64::from(to) - 0.5;
            v.clamp(0.0, f64::from(from - 1))
        };
        let (u, v) = (at(x, p.width(), nw), at(y, p.height(), nh));
        let (x0, y0) = (u as u32, v as u32);
        let (x1, y1) = ((x0 + 1).min(p.width() - 1), (y0 + 1).min(p.height() - 1));
        let (fx, fy) = (u.fract(), v.fract());
        std::array::from_fn(|c| {
            let get = |x, y| f64::from(p.pixel(x, y)[c]);
            get(x0, y0) * (1.0 - fx) * (1.0 - fy)
                + get(x1, y0) * fx * (1.0 - fy)
                + get(x0, y1) * (1.0 - fx) * fy
                + get(x1, y1) * fx * fy
        })
    }
}
