// libtorch's fused AdamW behind checks: the raw operator trusts its lists, and lists that don't match would read past
// their ends. AdamW is Loshchilov & Hutter 2019 (arXiv 1711.05101), decoupled decay, as torch.optim.AdamW(fused=True).
#include <ATen/ATen.h>
#include <ATen/ops/_fused_adamw.h>
#include <torch/library.h>

namespace tandem {

namespace {

void checkList(const char* name, at::TensorList list, at::TensorList parameters) {
  TORCH_CHECK(list.size() == parameters.size(), "expected ", parameters.size(), " tensors in ", name, ", got ",
              list.size());
  for (size_t i = 0; i < list.size(); i++) {
    TORCH_CHECK(list[i].defined() && list[i].sizes().equals(parameters[i].sizes()) &&
                    list[i].scalar_type() == parameters[i].scalar_type() && list[i].device() == parameters[i].device(),
                name, "[", i, "] has not its parameter's shape, dtype and device");
    TORCH_CHECK(list[i].is_non_overlapping_and_dense() && list[i].strides().equals(parameters[i].strides()), name, "[",
                i, "] is not laid out as its parameter");
  }
}

void adamw(at::TensorList parameters, at::TensorList gradients, at::TensorList first_moments,
           at::TensorList second_moments, at::TensorList steps, double lr, double beta1, double beta2,
           double weight_decay, double eps) {
  for (size_t i = 0; i < parameters.size(); i++) {
    TORCH_CHECK(parameters[i].defined() && at::isFloatingType(parameters[i].scalar_type()), "parameter ", i,
                " is not a floating tensor");
    TORCH_CHECK(parameters[i].is_non_overlapping_and_dense(), "parameter ", i, " is a view with gaps");
  }
  std::vector<at::Tensor> dense;
  dense.reserve(gradients.size());
  for (size_t i = 0; i < gradients.size(); i++) {
    const bool same =
        i < parameters.size() && gradients[i].defined() && gradients[i].sizes().equals(parameters[i].sizes());
    // Autograd may hand out expanded or transposed gradients; the kernel walks raw memory.
    dense.push_back(same && !gradients[i].strides().equals(parameters[i].strides())
                        ? at::empty_like(parameters[i]).copy_(gradients[i])
                        : gradients[i]);
  }
  checkList("gradients", dense, parameters);
  checkList("first_moments", first_moments, parameters);
  checkList("second_moments", second_moments, parameters);
  TORCH_CHECK(steps.size() == parameters.size(), "expected ", parameters.size(), " steps, got ", steps.size());
  for (size_t i = 0; i < steps.size(); i++)
    TORCH_CHECK(steps[i].defined() && steps[i].numel() == 1 && steps[i].scalar_type() == at::kFloat &&
                    steps[i].device() == parameters[i].device(),
                "steps[", i, "] is not one f32 number on its parameter's device");
  if (parameters.empty()) return;
  at::_fused_adamw_(parameters, dense, first_moments, second_moments, {}, steps, lr, beta1, beta2, weight_decay, eps,
                    /*amsgrad=*/false,
                    /*maximize=*/false);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tandem, library) {
  library.def(
      "fused_adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] first_moments, Tensor(c!)[] "
      "second_moments, Tensor[] steps, float lr, float "
      "beta1, float beta2, float weight_decay, float eps) -> ()");
}
TORCH_LIBRARY_IMPL(tandem, CompositeExplicitAutograd, library) { library.impl("fused_adamw_", adamw); }

}  // namespace tandem
