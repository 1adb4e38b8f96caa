//! What NVIDIA's own libraries say: the CUDA driver API and NVML, both loaded at run time. Runs in a
//! process of its own (see `gpu`), because a library that hangs, crashes or prints is no reason for
//! ybox to. Nothing here waits, retries or decides.

use std::any::Any;
use std::ffi::{CStr, OsStr, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

use cudarc::driver::sys::CUdevice_attribute::{
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
};
use cudarc::driver::{DriverError, result, sys};
use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::{P2pCapabilitiesIndex, P2pStatus};
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

use super::facts::{Apart, Fact, Gpu};
use super::version::{CudaVersion, DriverVersion};

/// Both libraries' answers, as one JSON document between the two processes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub cuda: Fact<CudaAnswer>,
    pub nvml: Fact<NvmlAnswer>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CudaAnswer {
    pub version: Fact<CudaVersion>,
    pub devices: Fact<Vec<Gpu>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NvmlAnswer {
    pub driver: Fact<DriverVersion>,
    pub cuda: Fact<CudaVersion>,
    pub devices: Fact<Vec<Gpu>>,
    #[serde(default)]
    pub apart: Vec<Apart>,
}

/// Asks both libraries. Never panics; a missing library is an absent answer.
pub fn answer() -> Answer {
    // A panic of the binding becomes a reason in the answer; its message must not reach a person.
    std::panic::set_hook(Box::new(|_| {}));
    let answer = Answer { cuda: unpanicked(cuda), nvml: unpanicked(nvml) };
    let _ = std::panic::take_hook();
    answer
}

/// The binding panics where a library lacks a function: an older driver does.
fn unpanicked<T>(question: impl FnOnce() -> Fact<T>) -> Fact<T> {
    catch_unwind(AssertUnwindSafe(question)).unwrap_or_else(|panic| Fact::unknown(message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the binding panicked").into()
}

fn cuda() -> Fact<CudaAnswer> {
    // SAFETY: loads and unloads a library, which runs its initialisers: NVIDIA's are made for it.
    if !unsafe { sys::is_culib_present() } {
        return Fact::absent("libcuda.so.1 is not installed");
    }
    Fact::Is(CudaAnswer { version: unpanicked(cuda_version), devices: unpanicked(cuda_devices) })
}

fn cuda_version() -> Fact<CudaVersion> {
    let mut encoded: c_int = 0;
    // SAFETY: writes one integer; allowed before cuInit.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut encoded) };
    match status.result() {
        Ok(()) => CudaVersion::from_driver(encoded)
            .map_or_else(|| Fact::unknown(format!("cuDriverGetVersion said {encoded}")), Fact::Is),
        Err(error) => Fact::unknown(cuda_error("cuDriverGetVersion", error)),
    }
}

fn cuda_devices() -> Fact<Vec<Gpu>> {
    match result::init() {
        Ok(()) => {}
        Err(DriverError(sys::CUresult::CUDA_ERROR_NO_DEVICE)) => return Fact::Is(Vec::new()),
        Err(error) => return Fact::unknown(cuda_error("cuInit", error)),
    }
    match result::device::get_count() {
        Ok(count) => Fact::Is((0..count).map(cuda_device).collect()),
        Err(error) => Fact::unknown(cuda_error("cuDeviceGetCount", error)),
    }
}

fn cuda_device(ordinal: c_int) -> Gpu {
    let device = result::device::get(ordinal);
    let ask = |call: &str, question: &dyn Fn(sys::CUdevice) -> Result<String, DriverError>| {
        unpanicked(|| {
            let answer = device.and_then(question);
            Fact::from_result(answer.map_err(|error| cuda_error(call, error)))
        })
    };
    let capability = ask("cuDeviceGetAttribute", &cuda_capability);
    let memory = ask("cuDeviceTotalMem", &|device| {
        // SAFETY: `device` comes from cuDeviceGet.
        unsafe { result::device::total_mem(device) }.map(|bytes| bytes.to_string())
    });
    Gpu {
        index: u32::try_from(ordinal).unwrap_or(0),
        name: ask("cuDeviceGetName", &result::device::get_name),
        uuid: ask("cuDeviceGetUuid", &|device| result::device::get_uuid(device).map(uuid_text)),
        capability: parsed(capability),
        memory: parsed(memory),
        free: Fact::unknown("CUDA tells it only to who computes"),
        pci: ask("cuDeviceGetPCIBusId", &cuda_pci),
    }
}

fn parsed<T: std::str::FromStr>(fact: Fact<String>) -> Fact<T> {
    match fact.known().map(|text| text.parse()) {
        Some(Ok(value)) => Fact::Is(value),
        Some(Err(_)) => Fact::unknown("the driver's answer makes no sense"),
        None => Fact::unknown(fact.reason()),
    }
}

fn cuda_capability(device: sys::CUdevice) -> Result<String, DriverError> {
    // SAFETY: `device` comes from cuDeviceGet.
    let number = |attribute| unsafe { result::device::get_attribute(device, attribute) };
    let major = number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    Ok(format!("{major}.{}", number(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?))
}

fn cuda_pci(device: sys::CUdevice) -> Result<String, DriverError> {
    let mut text: [c_char; 32] = [0; 32];
    // SAFETY: the driver writes at most the given length, its terminating NUL included.
    unsafe { sys::cuDeviceGetPCIBusId(text.as_mut_ptr(), 32, device) }.result()?;
    // SAFETY: the buffer was zeroed, so it ends in NUL even if the driver wrote none.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    Ok(pci_text(&text.to_string_lossy()))
}

/// The spelling of `nvidia-smi` and NVML.
fn uuid_text(uuid: sys::CUuuid) -> String {
    let hex: String = uuid.bytes.iter().map(|byte| format!("{:02x}", *byte as u8)).collect();
    let at = |from, to| &hex[from..to];
    let groups = [at(0, 8), at(8, 12), at(12, 16), at(16, 20), at(20, 32)];
    format!("GPU-{}", groups.join("-"))
}

/// NVML writes the PCI domain with eight digits, the kernel and CUDA with four.
fn pci_text(text: &str) -> String {
    let text = text.to_lowercase();
    match text.split_once(':') {
        Some((domain, rest)) => {
            format!("{:0>4}:{rest}", domain.trim_start_matches('0'))
        }
        None => text,
    }
}

fn cuda_error(call: &str, error: DriverError) -> String {
    format!("{call}: {:?}", error.0)
}

fn nvml() -> Fact<NvmlAnswer> {
    match load_nvml() {
        Ok(nvml) => Fact::Is(NvmlAnswer {
            driver: parsed(nvml_fact(nvml.sys_driver_version())),
            cuda: nvml_cuda(&nvml),
            devices: unpanicked(|| nvml_devices(&nvml)),
            apart: catch_unwind(AssertUnwindSafe(|| nvml_apart(&nvml))).unwrap_or_default(),
        }),
        Err(NvmlError::LibloadingError(error)) if is_missing(&error.to_string()) => {
            Fact::absent("libnvidia-ml.so.1 is not installed")
        }
        Err(error) => Fact::unknown(format!("NVML: {error}")),
    }
}

/// The name without a number belongs to the development package and is often not there.
fn load_nvml() -> Result<Nvml, NvmlError> {
    let load = |name: &str| Nvml::builder().lib_path(OsStr::new(name)).init();
    match load("libnvidia-ml.so.1") {
        Err(NvmlError::LibloadingError(error)) => {
            load("libnvidia-ml.so").map_err(|_| NvmlError::LibloadingError(error))
        }
        answer => answer,
    }
}

fn is_missing(message: &str) -> bool {
    message.contains("No such file")
}

fn nvml_cuda(nvml: &Nvml) -> Fact<CudaVersion> {
    match nvml.sys_cuda_driver_version() {
        Ok(encoded) => CudaVersion::from_driver(encoded)
            .map_or_else(|| Fact::unknown(format!("NVML said {encoded}")), Fact::Is),
        Err(error) => Fact::unknown(format!("NVML: {error}")),
    }
}

fn nvml_devices(nvml: &Nvml) -> Fact<Vec<Gpu>> {
    match nvml.device_count() {
        Ok(count) => Fact::Is((0..count).map(|index| nvml_device(nvml, index)).collect()),
        Err(error) => Fact::unknown(format!("NVML: {error}")),
    }
}

fn nvml_device(nvml: &Nvml, index: u32) -> Gpu {
    match nvml.device_by_index(index) {
        Ok(device) => {
            let memory = nvml_fact(device.memory_info().map(|info| (info.total, info.free)));
            Gpu {
                index,
                name: nvml_fact(device.name()),
                uuid: nvml_fact(device.uuid()),
                capability: parsed(nvml_fact(
                    device.cuda_compute_capability().map(|c| format!("{}.{}", c.major, c.minor)),
                )),
                memory: memory.clone().map(|(total, _)| total),
                free: memory.map(|(_, free)| free),
                pci: nvml_fact(device.pci_info().map(|info| pci_text(&info.bus_id))),
            }
        }
        Err(error) => {
            let reason = format!("NVML: {error}");
            Gpu {
                index,
                name: Fact::unknown(&reason),
                uuid: Fact::unknown(&reason),
                capability: Fact::unknown(&reason),
                memory: Fact::unknown(&reason),
                free: Fact::unknown(&reason),
                pci: Fact::unknown(&reason),
            }
        }
    }
}

/// The pairs of GPUs that NVML denies access to each other's memory; what it can't tell is no denial.
fn nvml_apart(nvml: &Nvml) -> Vec<Apart> {
    let count = nvml.device_count().unwrap_or(0);
    let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| [a, b]));
    let apart = |gpus: [u32; 2]| {
        let [one, other] = gpus.map(|index| nvml.device_by_index(index).ok());
        match one?.p2p_status(&other?, P2pCapabilitiesIndex::Read) {
            Ok(P2pStatus::Ok | P2pStatus::Unknown) | Err(_) => None,
            Ok(status) => Some(Apart { gpus, reason: format!("{status:?}") }),
        }
    };
    pairs.filter_map(apart).collect()
}

fn nvml_fact<T>(answer: Result<T, NvmlError>) -> Fact<T> {
    Fact::from_result(answer.map_err(|error| format!("NVML: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_libraries_name_a_device_alike() {
        assert_eq!(pci_text("00000000:01:00.0"), "0000:01:00.0");
        assert_eq!(pci_text("0000:01:00.0"), "0000:01:00.0");
        assert_eq!(pci_text("00010000:E3:00.0"), "10000:e3:00.0");
        let uuid = sys::CUuuid { bytes: std::array::from_fn(|i| i as c_char) };
        assert_eq!(uuid_text(uuid), "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f");
    }

    #[test]
    fn a_panic_of_the_binding_is_a_reason() {
        let fact: Fact<u32> = unpanicked(|| panic!("Missing symbol {}", "cuDeviceGetUuid_v2"));
        assert_eq!(fact, Fact::unknown("Missing symbol cuDeviceGetUuid_v2"));
    }
}
