pub mod model;
pub mod weights;
