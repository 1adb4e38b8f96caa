//! Many pictures on one: a sheet of tiles in rows.

use super::Picture;
use super::canvas::Canvas;

/// Pictures on a sheet: 4 by 4.
pub const PER_SHEET: usize = 16;
const COLUMNS: usize = 4;

/// Largest side of a picture on a sheet, for its caller to scale it to.
pub const TILE_SIDE: u32 = 480;
const GAP: u32 = 4;

/// `tiles` in rows of four, each tile in the middle of a square that the largest fits in.
pub fn sheet(tiles: &[Picture]) -> Picture {
    let side = tiles.iter().map(|t| t.width().max(t.height())).max().unwrap_or(1);
    let (columns, rows) = (COLUMNS.min(tiles.len()).max(1), tiles.len().div_ceil(COLUMNS).max(1));
    let extent = |count: usize| count as u32 * (side + GAP) + GAP;
    let mut canvas = Canvas::new(extent(columns), extent(rows));
    for (i, tile) in tiles.iter().enumerate() {
        let corner = |place: usize, size: u32| extent(place) + (side - size) / 2;
        let at = [corner(i % COLUMNS, tile.width()), corner(i / COLUMNS, tile.height())];
        canvas.paste(tile, at);
    }
    canvas.into_picture()
}
