pub mod data;
pub mod draw;
