//! Pictures in memory: decoded within limits, scaled, drawn on, laid out in sheets, saved with the
//! same bytes every time. What to draw is the caller's choice.

mod boxes;
pub mod canvas;
mod decode;
mod picture;
mod resize;
mod save;
mod sheet;

pub use boxes::{LabelledBox, colour, draw_boxes};
pub use decode::{DecodeError, decode, size};
pub use picture::{PADDING, Picture};
pub use resize::{fit, resize_to_fit};
pub use save::{SaveError, save};
pub use sheet::{PER_SHEET, TILE_SIDE, sheet};
