// Batch normalisation and SiLU as one node of the autograd graph, which keeps the input of both and
// not the map between them: backward computes that again, from the statistics that forward found.

#include <ATen/ops/addcmul.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/native_batch_norm.h>
#include <ATen/ops/native_batch_norm_backward.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/silu_backward.h>
#include <torch/csrc/autograd/custom_function.h>

#include "caught.h"

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

class NormSilu : public torch::autograd::Function<NormSilu> {
 public:
  static at::Tensor forward(
      AutogradContext* context,
      const at::Tensor& x,
      const at::Tensor& weight,
      const at::Tensor& bias,
      const std::optional<at::Tensor>& running_mean,
      const std::optional<at::Tensor>& running_var,
      double momentum,
      double eps) {
    // The kernel itself does not look.
    TORCH_CHECK(x.dim() == 4, "a map has four dimensions, not ", x.dim());
    for (const at::Tensor& t : {weight, bias, running_mean.value_or(weight), running_var.value_or(weight)}) {
      TORCH_CHECK(
          t.dim() == 1 && t.size(0) == x.size(1), "one value per channel is needed, of ", x.size(1));
    }
    auto [normed, mean, invstd] = at::native_batch_norm(
        x, weight, bias, running_mean, running_var, /*training=*/true, momentum, eps);
    context->save_for_backward({x, weight, bias, mean, invstd});
    context->saved_data["eps"] = eps;
    return at::silu_(normed);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &bias = saved[2];
    const at::Tensor &mean = saved[3], &invstd = saved[4];
    const at::Tensor through = at::silu_backward(gradients[0], normed(x, weight, bias, mean, invstd));
    auto [of_x, of_weight, of_bias] = at::native_batch_norm_backward(
        through, x, weight, {}, {}, mean, invstd, /*train=*/true,
        context->saved_data["eps"].toDouble(), {context->needs_input_grad(0), true, true});
    const at::Tensor none;
    return {of_x, of_weight, of_bias, none, none, none, none};
  }

 private:
  static at::Tensor normed(
      const at::Tensor& x,
      const at::Tensor& weight,
      const at::Tensor& bias,
      const at::Tensor& mean,
      const at::Tensor& invstd) {
    const at::Tensor factor = weight.mul(invstd);
    const at::Tensor offset = bias.sub(mean.mul(factor));
    const auto by_channel = [](const at::Tensor& t) { return t.view({1, -1, 1, 1}); };
    return at::addcmul(by_channel(offset), x, by_channel(factor)).to(x.scalar_type());
  }
};

std::optional<at::Tensor> optional(const at::Tensor* tensor) {
  return tensor ? std::optional(*tensor) : std::nullopt;
}

}  // namespace

extern "C" {

// `running_mean` and `running_var` may be NULL. The answer in `output` is for the caller to delete.
char* torch_ext_norm_silu(
    const at::Tensor* x,
    const at::Tensor* weight,
    const at::Tensor* bias,
    const at::Tensor* running_mean,
    const at::Tensor* running_var,
    double momentum,
    double eps,
    at::Tensor** output) {
  return caught([=] {
    *output = new at::Tensor(NormSilu::apply(
        *x, *weight, *bias, optional(running_mean), optional(running_var), momentum, eps));
  });
}

}  // extern "C"
