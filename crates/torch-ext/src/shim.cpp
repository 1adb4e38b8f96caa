// The flags of libtorch's global context that tch does not bind.
//
// Every function catches what libtorch throws and returns its message, which the caller frees with
// torch_ext_free; NULL means success. Only light headers: the big ATen ones cost 20 s each build.

#include <ATen/Context.h>

#include <cstdlib>

#include "caught.h"

extern "C" {

void torch_ext_free(char* message) {
  std::free(message);
}

char* torch_ext_set_deterministic(bool on) {
  return caught([on] {
    at::Context& context = at::globalContext();
    context.setDeterministicAlgorithms(on, /*warn_only=*/false);
    context.setDeterministicCuDNN(on);
    context.setDeterministicMkldnn(on);
    // By default the flag above also fills every fresh tensor with NaN, a pass over memory per
    // allocation that only helps to find reads of uninitialised memory.
    context.setDeterministicFillUninitializedMemory(false);
  });
}

char* torch_ext_set_sdp_backends(bool flash, bool mem_efficient, bool math) {
  return caught([=] {
    at::Context& context = at::globalContext();
    context.setSDPUseFlash(flash);
    context.setSDPUseMemEfficient(mem_efficient);
    context.setSDPUseMath(math);
    // cuDNN's kernels are refused in deterministic mode; nothing here chooses them.
    context.setSDPUseCuDNN(false);
  });
}

char* torch_ext_set_tf32(bool allowed) {
  return caught([allowed] {
    at::Context& context = at::globalContext();
    context.setAllowTF32CuDNN(allowed);
    context.setAllowTF32CuBLAS(allowed);
  });
}

char* torch_ext_set_reduced_precision(bool allowed) {
  return caught([allowed] {
    at::Context& context = at::globalContext();
    context.setAllowFP16ReductionCuBLAS(allowed, /*allow_splitk=*/allowed);
    context.setAllowBF16ReductionCuBLAS(allowed, /*allow_splitk=*/allowed);
    context.setAllowFP16AccumulationCuBLAS(false);
  });
}

char* torch_ext_set_cudnn_benchmark(bool on) {
  return caught([on] { at::globalContext().setBenchmarkCuDNN(on); });
}

// flags: deterministic algorithms, deterministic as errors, flash, mem-efficient, math, TF32,
// cuDNN benchmark, reduced precision.
char* torch_ext_flags(bool flags[8]) {
  return caught([flags] {
    at::Context& context = at::globalContext();
    flags[0] = context.deterministicAlgorithms();
    flags[1] = flags[0] && !context.deterministicAlgorithmsWarnOnly();
    flags[2] = context.userEnabledFlashSDP();
    flags[3] = context.userEnabledMemEfficientSDP();
    flags[4] = context.userEnabledMathSDP();
    flags[5] = context.allowTF32CuDNN() || context.allowTF32CuBLAS();
    flags[6] = context.benchmarkCuDNN();
    const auto none = at::CuBLASReductionOption::DisallowReducedPrecisionDisallowSplitK;
    flags[7] = context.allowFP16ReductionCuBLAS() != none ||
        context.allowBF16ReductionCuBLAS() != none || context.allowFP16AccumulationCuBLAS();
  });
}

}  // extern "C"
