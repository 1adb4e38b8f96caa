// What autocast does on a device, in this thread.

#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>
#include <c10/macros/Export.h>

// Declared here because their header brings in all of ATen.
namespace at::autocast {
TORCH_API bool is_autocast_enabled(at::DeviceType);
TORCH_API void set_autocast_enabled(at::DeviceType, bool);
TORCH_API at::ScalarType get_autocast_dtype(at::DeviceType);
TORCH_API void set_autocast_dtype(at::DeviceType, at::ScalarType);
TORCH_API bool is_autocast_cache_enabled();
TORCH_API void set_autocast_cache_enabled(bool);
TORCH_API int increment_nesting();
TORCH_API int decrement_nesting();
TORCH_API void clear_cache();
}  // namespace at::autocast

struct Autocast {
  at::DeviceType device;
  bool enabled;
  at::ScalarType dtype;
  // Whether a weight that was cast is kept for its next use.
  bool cache;

  static Autocast of(at::DeviceType device) {
    namespace autocast = at::autocast;
    return {
        device,
        autocast::is_autocast_enabled(device),
        autocast::get_autocast_dtype(device),
        autocast::is_autocast_cache_enabled()};
  }

  void apply() const {
    at::autocast::set_autocast_enabled(device, enabled);
    at::autocast::set_autocast_dtype(device, dtype);
    at::autocast::set_autocast_cache_enabled(cache);
  }
};
