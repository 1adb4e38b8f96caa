//! Facts about this host: GPUs, driver, CPU, engines. No decisions.
