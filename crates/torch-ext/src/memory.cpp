// What tensors take: the CPU's bytes by way of the reports that libtorch makes to profilers, and a
// GPU's from its caching allocator, which is asked through c10's interface: no CUDA header is needed,
// and the allocator is there once libtorch_cuda was loaded.

#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>

#include "caught.h"

namespace {

class Counter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) {
      return;
    }
    const int64_t now = current_ += bytes;
    int64_t peak = peak_;
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
  }
  bool memoryProfilingEnabled() const override {
    return true;
  }
  int64_t current() const {
    return current_;
  }
  int64_t peak() const {
    return peak_;
  }

 private:
  std::atomic<int64_t> current_{0};
  std::atomic<int64_t> peak_{0};
};

}  // namespace

extern "C" {

// Counts what this thread allocates from now on.
char* torch_ext_count_begin(void** counter) {
  return caught([counter] {
    auto made = std::make_shared<Counter>();
    c10::ThreadLocalDebugInfo::_push(c10::DebugInfoKind::PROFILER_STATE, made);
    *counter = new std::shared_ptr<Counter>(std::move(made));
  });
}

char* torch_ext_count_read(void* counter, int64_t* current, int64_t* peak) {
  return caught([=] {
    const auto& counted = *static_cast<std::shared_ptr<Counter>*>(counter);
    *current = counted->current();
    *peak = counted->peak();
  });
}

char* torch_ext_count_end(void* counter) {
  return caught([counter] {
    std::unique_ptr<std::shared_ptr<Counter>> owned(static_cast<std::shared_ptr<Counter>*>(counter));
    c10::ThreadLocalDebugInfo::_pop(c10::DebugInfoKind::PROFILER_STATE);
  });
}

// bytes: allocated, most ever allocated, most ever reserved, free on the device, all of the device.
char* torch_ext_gpu_memory(int8_t index, uint64_t bytes[5]) {
  return caught([=] {
    c10::DeviceAllocator* allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    const auto stats = allocator->getDeviceStats(index);
    const auto [free, total] = allocator->getMemoryInfo(index);
    bytes[0] = static_cast<uint64_t>(stats.allocated_bytes[0].current);
    bytes[1] = static_cast<uint64_t>(stats.allocated_bytes[0].peak);
    bytes[2] = static_cast<uint64_t>(stats.reserved_bytes[0].peak);
    bytes[3] = free;
    bytes[4] = total;
  });
}

// The most that was ever allocated and reserved is from now on.
char* torch_ext_gpu_forget_peak(int8_t index) {
  return caught([=] { c10::getDeviceAllocator(c10::DeviceType::CUDA)->resetPeakStats(index); });
}

}  // extern "C"
