//! NVIDIA's driver as it is seen from where the trainer runs: the few questions that are asked
//! before libtorch's CUDA part is opened, through the driver's own C interface.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const LIBRARY: &CStr = c"libcuda.so.1";
const CAPABILITY_MAJOR: c_int = 75;
const CAPABILITY_MINOR: c_int = 76;

/// What the driver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Driver {
    /// The newest CUDA that it serves, as 13000 for 13.0; 0 where it does not tell.
    pub cuda: i32,
    /// Its GPUs, or what it failed with.
    pub gpus: Result<Vec<Gpu>, Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    pub name: String,
    /// Compute capability, as (7, 5).
    pub capability: (i32, i32),
}

/// A call of the driver that failed, with the driver's number for why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub call: &'static str,
    pub code: i32,
}

/// Why there is no answer at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// The library is not there, or can't be opened: the loader's words.
    NoLibrary(String),
    /// It lacks a function.
    Incomplete(&'static str),
    /// It did not answer in time.
    Hung,
}

/// Asks the driver, but not longer than `patience`: one whose hardware is stuck never answers.
pub fn ask(patience: Duration) -> Result<Driver, NoAnswer> {
    let (answer, answered) = mpsc::channel();
    // Nobody waits for it after that: the process ends with the refusal.
    let asking = thread::spawn(move || {
        let _ = answer.send(asked());
    });
    let said = answered.recv_timeout(patience).map_err(|_| NoAnswer::Hung)?;
    let _ = asking.join();
    said
}

type Init = unsafe extern "C" fn(c_uint) -> c_int;
type Number = unsafe extern "C" fn(*mut c_int) -> c_int;
type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;

/// The driver's functions.
struct Calls {
    init: Init,
    version: Number,
    count: Number,
    get: Get,
    name: Name,
    attribute: Attribute,
}

fn asked() -> Result<Driver, NoAnswer> {
    let calls = Calls::open()?;
    let mut cuda = 0;
    // SAFETY: `cuda` is a place for one number; this call needs no initialisation.
    let told = unsafe { (calls.version)(&raw mut cuda) };
    Ok(Driver { cuda: if told == 0 { cuda } else { 0 }, gpus: calls.gpus() })
}

impl Calls {
    fn open() -> Result<Self, NoAnswer> {
        let library = torch_ext::open_library(LIBRARY).map_err(NoAnswer::NoLibrary)?;
        let find = |name: &'static CStr| {
            // SAFETY: `library` is open and stays so; `name` is a C string.
            let found = unsafe { libc::dlsym(library.as_ptr(), name.as_ptr()) };
            let text = name.to_str().unwrap_or("a function");
            if found.is_null() { Err(NoAnswer::Incomplete(text)) } else { Ok(found) }
        };
        // SAFETY: the types are those that NVIDIA documents for these functions.
        unsafe {
            Ok(Self {
                init: std::mem::transmute::<*mut c_void, Init>(find(c"cuInit")?),
                version: std::mem::transmute::<*mut c_void, Number>(find(c"cuDriverGetVersion")?),
                count: std::mem::transmute::<*mut c_void, Number>(find(c"cuDeviceGetCount")?),
                get: std::mem::transmute::<*mut c_void, Get>(find(c"cuDeviceGet")?),
                name: std::mem::transmute::<*mut c_void, Name>(find(c"cuDeviceGetName")?),
                attribute: std::mem::transmute::<*mut c_void, Attribute>(find(
                    c"cuDeviceGetAttribute",
                )?),
            })
        }
    }

    fn gpus(&self) -> Result<Vec<Gpu>, Failure> {
        // SAFETY: takes a plain value.
        succeeded("cuInit", unsafe { (self.init)(0) })?;
        let mut count = 0;
        // SAFETY: `count` is a place for one number.
        succeeded("cuDeviceGetCount", unsafe { (self.count)(&raw mut count) })?;
        (0..count).map(|ordinal| self.gpu(ordinal)).collect()
    }

    fn gpu(&self, ordinal: c_int) -> Result<Gpu, Failure> {
        let mut device = 0;
        // SAFETY: `device` is a place for one number.
        succeeded("cuDeviceGet", unsafe { (self.get)(&raw mut device, ordinal) })?;
        let mut name: [c_char; 128] = [0; 128];
        // SAFETY: at most the given number of bytes is written, one less than there are.
        let named = unsafe { (self.name)(name.as_mut_ptr(), 127, device) };
        succeeded("cuDeviceGetName", named)?;
        // SAFETY: it was zeroed, and its last byte was not written.
        let name = unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
        let half = |attribute| {
            let mut value = 0;
            // SAFETY: `value` is a place for one number, `device` comes from cuDeviceGet.
            let told = unsafe { (self.attribute)(&raw mut value, attribute, device) };
            succeeded("cuDeviceGetAttribute", told).map(|()| value)
        };
        Ok(Gpu { name, capability: (half(CAPABILITY_MAJOR)?, half(CAPABILITY_MINOR)?) })
    }
}

fn succeeded(call: &'static str, code: c_int) -> Result<(), Failure> {
    if code == 0 { Ok(()) } else { Err(Failure { call, code }) }
}

/// The CUDA that libtorch was built for, as 13000 for 13.0, from the runtime library that is part of
/// it. `None` where there is none.
pub fn runtime() -> Option<i32> {
    type Version = unsafe extern "C" fn(*mut c_int) -> c_int;
    // SAFETY: looks among the libraries that are loaded; the name is a C string.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"cudaRuntimeGetVersion".as_ptr()) };
    if found.is_null() {
        return None;
    }
    let mut version = 0;
    // SAFETY: the type is the documented one; the call asks nothing of a driver.
    let told = unsafe { std::mem::transmute::<*mut c_void, Version>(found)(&raw mut version) };
    (told == 0).then_some(version)
}
