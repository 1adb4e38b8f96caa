//! A GPU as an engine is asked for it.

use crate::cdi;

/// A GPU of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// As `nvidia-smi` counts.
    pub index: u32,
    pub uuid: Option<String>,
}

impl Gpu {
    /// What NVIDIA's runtime knows it by. Indexes can change with the driver's mood, UUIDs can't.
    pub fn id(&self) -> String {
        self.uuid.clone().unwrap_or_else(|| self.index.to_string())
    }

    /// Its CDI name among `have`, or the name that it would have.
    pub fn cdi_name(&self, have: &[String]) -> Result<String, String> {
        let found = cdi::device_name(have, self.index, self.uuid.as_deref());
        found.ok_or_else(|| format!("nvidia.com/gpu={}", self.index))
    }
}
