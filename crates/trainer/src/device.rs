//! Which device a task runs on, as the command line says it.

use std::str::FromStr;

use tch::Device;

/// `cpu`, or one GPU as `cuda:0`, counted among those that are visible here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceArg(pub Device);

/// The argument that a command takes for it.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct On {
    /// Where to compute: cpu, or a GPU like cuda:0, counted among those that are visible here
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: DeviceArg,
}

impl On {
    pub fn device(self) -> Device {
        self.device.0
    }
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "cpu" {
            return Ok(Self(Device::Cpu));
        }
        let index = text.strip_prefix("cuda:").unwrap_or(text);
        if index.contains(',') {
            return Err(
                "a task runs on one device: several GPUs at a time are not supported".into()
            );
        }
        let index = index.parse::<u8>().map_err(|_| "say cpu, or a GPU like cuda:0".to_owned())?;
        Ok(Self(Device::Cuda(index.into())))
    }
}

/// As [`DeviceArg`] reads it.
pub fn name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        _ => "cpu".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_device_is_read_and_several_are_refused() {
        let read = |text: &str| text.parse::<DeviceArg>().map(|device| device.0);
        assert_eq!(read("cpu"), Ok(Device::Cpu));
        for text in ["cuda:1", "1"] {
            assert_eq!(read(text), Ok(Device::Cuda(1)));
            assert_eq!(name(Device::Cuda(1)).parse(), Ok(DeviceArg(Device::Cuda(1))));
        }
        assert!(read("cuda:0,1").unwrap_err().contains("one device"));
        for wrong in ["", "cuda", "gpu", "cuda:-1", "cuda:999"] {
            assert!(read(wrong).unwrap_err().contains("cuda:0"), "{wrong}");
        }
    }
}
