// Preloaded by scripts/check-portable.sh: lets MKL take this CPU for one of the other maker, with
// the instruction sets that it really has. An emulator without AVX-512 can't show that.

#ifdef INTEL
int mkl_serv_intel_cpu_true(void) { return 1; }
int mkl_serv_intel_cpu(void) { return 1; }
int mkl_serv_cpuiszen(void) { return 0; }
#else
int mkl_serv_intel_cpu_true(void) { return 0; }
int mkl_serv_intel_cpu(void) { return 0; }
int mkl_serv_cpuiszen(void) { return 1; }
#endif
