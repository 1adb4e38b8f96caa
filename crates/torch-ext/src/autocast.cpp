// Regions of a thread's work in which autocast is on.

#include <c10/util/Exception.h>

#include <memory>

#include "autocast.h"
#include "caught.h"

extern "C" {

// Turns autocast on for the CPU or for CUDA, to bf16 or fp16. What was in force
// goes to `before`, for torch_ext_autocast_leave.
char* torch_ext_autocast_enter(bool cuda, bool bf16, Autocast** before) {
  return caught([=] {
    const at::DeviceType device = cuda ? at::DeviceType::CUDA : at::DeviceType::CPU;
    auto found = std::make_unique<Autocast>(Autocast::of(device));
    const at::ScalarType dtype = bf16 ? at::ScalarType::BFloat16 : at::ScalarType::Half;
    Autocast{device, true, dtype, true}.apply();
    at::autocast::increment_nesting();
    *before = found.release();
  });
}

// Puts back what was in force, and drops the casts of weights at the end of the outermost region:
// the weights may change then.
char* torch_ext_autocast_leave(Autocast* before) {
  const std::unique_ptr<Autocast> owned(before);
  return caught([before] {
    if (at::autocast::decrement_nesting() == 0) {
      at::autocast::clear_cache();
    }
    before->apply();
  });
}

}  // extern "C"
