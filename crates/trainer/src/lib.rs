pub mod eval;
pub mod loss;
pub mod optim;
