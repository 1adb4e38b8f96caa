// A node of the autograd graph that keeps the inputs of a segment of the model and runs the segment
// again in backward.
//
// A node of our own rather than a torch::autograd::Function, whose apply() only sees tensors that
// are arguments of their own or in a TensorList, and needs one of them to require a gradient: the
// first segment reads images.

#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "autocast.h"
#include "caught.h"

namespace {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr size_t kMessage = 1024;

extern "C" {
// Runs the segment on `inputs`, which it takes over. NULL if it failed, with the reason in
// `message`, of kMessage bytes; else a tensor for the caller to delete.
typedef at::Tensor* (*Run)(void* segment, at::Tensor** inputs, size_t count, char* message);
typedef void (*Drop)(void* segment);
}

// Backward runs outside of the region that forward ran in. The cache is off while a segment runs
// again: each weight is used once, and a cast that is kept beyond backward would keep a graph alive.
class AutocastGuard {
 public:
  explicit AutocastGuard(Autocast then) : before_(Autocast::of(then.device)) {
    then.cache = false;
    then.apply();
  }
  ~AutocastGuard() {
    before_.apply();
  }
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  Autocast before_;
};

class Recompute : public torch::autograd::Node {
 public:
  Recompute(const variable_list& inputs, std::shared_ptr<void> segment, Run run)
      : Node(torch::autograd::collect_next_edges(inputs)),
        segment_(std::move(segment)),
        run_(run),
        autocast_(Autocast::of(inputs.at(0).device().type())) {
    for (const at::Tensor& input : inputs) {
      inputs_.emplace_back(input, /*is_output=*/false);
    }
  }

  std::string name() const override {
    return "Recompute";
  }

  variable_list apply(variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex_);
    TORCH_CHECK(segment_ != nullptr, "backward through a checkpoint a second time");
    const variable_list inputs = fresh_inputs();
    // Leaves collect their gradients by themselves: the inputs here, the parameters as ever.
    torch::autograd::backward({run(inputs)}, {gradients.at(0)});
    variable_list found;
    for (const at::Tensor& input : inputs) {
      found.push_back(input.requires_grad() ? input.grad() : at::Tensor());
    }
    return found;
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    inputs_.clear();
    segment_.reset();
  }

 private:
  // The inputs as leaves of a graph of their own.
  variable_list fresh_inputs() const {
    variable_list inputs;
    for (const SavedVariable& saved : inputs_) {
      const at::Tensor input = saved.unpack();
      inputs.push_back(input.detach().set_requires_grad(input.requires_grad()));
    }
    return inputs;
  }

  at::Tensor run(const variable_list& inputs) const {
    at::AutoGradMode recording(true);
    AutocastGuard guard(autocast_);
    std::vector<at::Tensor*> given;
    for (const at::Tensor& input : inputs) {
      given.push_back(new at::Tensor(input));
    }
    char message[kMessage] = {};
    const std::unique_ptr<at::Tensor> output(
        run_(segment_.get(), given.data(), given.size(), message));
    if (!output) {
      throw std::runtime_error(message);
    }
    return *output;
  }

  std::mutex mutex_;
  std::vector<SavedVariable> inputs_;
  std::shared_ptr<void> segment_;
  Run run_;
  Autocast autocast_;
};

}  // namespace

extern "C" {

// Makes `output` depend on `inputs` by way of `segment`, which is taken over.
char* torch_ext_checkpoint(
    at::Tensor* const* inputs,
    size_t count,
    at::Tensor* output,
    void* segment,
    Run run,
    Drop drop) {
  return caught([=] {
    std::shared_ptr<void> owned(segment, drop);
    if (!at::GradMode::is_enabled()) {
      return;
    }
    TORCH_CHECK(
        !output->requires_grad() && !output->is_view(), "a segment must give a tensor of its own");
    variable_list given;
    for (size_t i = 0; i < count; ++i) {
      given.push_back(*inputs[i]);
    }
    torch::autograd::set_history(
        *output, c10::make_intrusive<Recompute>(given, std::move(owned), run));
  });
}

}  // extern "C"
