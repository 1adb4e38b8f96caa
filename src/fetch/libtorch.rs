//! A libtorch to build the trainer against.
#[derive(Debug, thiserror::Error)]
pub enum LibtorchError {}
impl LibtorchError {
    pub fn hint(&self) -> Option<String> {
        None
    }
    pub fn exit(&self) -> u8 {
        2
    }
}
