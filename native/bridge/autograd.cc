// What operator schemas don't cover of autograd: backward, grad, requires_grad, grad mode and autocast. Grad mode and
// autocast belong to the calling thread, which is the JavaScript thread, always.
#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/variable.h>

#include <stdexcept>

#include "border.h"
#include "convert.h"
#include "handle-table.h"

namespace tandem {

namespace {

using torch::autograd::variable_list;

variable_list tensorList(const std::vector<double>& handles, bool allow_none) {
  variable_list tensors;
  tensors.reserve(handles.size());
  for (const double handle : handles) {
    if (allow_none && handle == 0)
      tensors.emplace_back();
    else
      tensors.push_back(HandleTable::instance().get(handle));
  }
  return tensors;
}

Napi::Value backward(const Napi::CallbackInfo& info) {
  return guarded(info, "backward", [&]() -> Napi::Value {
    const at::Tensor& tensor = tensorArgument(info, 0, "tensor");
    const double gradient = numberArgument(info, 1, "gradient");
    const bool retain = boolArgument(info, 2, "retainGraph");
    variable_list gradients;
    if (gradient != 0) gradients.push_back(HandleTable::instance().get(gradient));
    torch::autograd::backward({tensor}, gradients, retain);
    return info.Env().Undefined();
  });
}

Napi::Value grad(const Napi::CallbackInfo& info) {
  return guarded(info, "grad", [&]() -> Napi::Value {
    const variable_list outputs = tensorList(handleListArgument(info, 0, "outputs"), false);
    const variable_list inputs = tensorList(handleListArgument(info, 1, "inputs"), false);
    const variable_list given = tensorList(handleListArgument(info, 2, "gradOutputs"), true);
    const bool retain = boolArgument(info, 3, "retainGraph");
    const bool create = boolArgument(info, 4, "createGraph");
    const variable_list results = torch::autograd::grad(outputs, inputs, given, retain, create, /*allow_unused=*/true);
    Napi::Array handles = Napi::Array::New(info.Env(), results.size());
    for (size_t i = 0; i < results.size(); i++)
      handles.Set(static_cast<uint32_t>(i), fromIValue(info.Env(), results[i]));
    return handles;
  });
}

Napi::Value gradOf(const Napi::CallbackInfo& info) {
  return guarded(info, "grad", [&]() -> Napi::Value {
    const at::Tensor& gradient = tensorArgument(info, 0, "tensor").grad();
    return Napi::Number::New(info.Env(), gradient.defined() ? HandleTable::instance().add(gradient) : 0);
  });
}

Napi::Value setGrad(const Napi::CallbackInfo& info) {
  return guarded(info, "grad", [&]() -> Napi::Value {
    const at::Tensor& tensor = tensorArgument(info, 0, "tensor");
    const double gradient = numberArgument(info, 1, "gradient");
    const at::Tensor value = gradient == 0 ? at::Tensor() : HandleTable::instance().get(gradient);
    if (value.defined() && (!value.sizes().equals(tensor.sizes()) || value.scalar_type() != tensor.scalar_type()))
      throw std::invalid_argument("a gradient has its tensor's shape and dtype: expected " + describeTensor(tensor) +
                                  ", got " + describeTensor(value));
    tensor.mutable_grad() = value;
    return info.Env().Undefined();
  });
}

Napi::Value zeroGrads(const Napi::CallbackInfo& info) {
  return guarded(info, "zeroGrads", [&]() -> Napi::Value {
    for (const double handle : handleListArgument(info, 0, "tensors"))
      HandleTable::instance().get(handle).mutable_grad() = at::Tensor();
    return info.Env().Undefined();
  });
}

Napi::Value setRequiresGrad(const Napi::CallbackInfo& info) {
  return guarded(info, "requiresGrad", [&]() -> Napi::Value {
    const at::Tensor& tensor = tensorArgument(info, 0, "tensor");
    const bool flag = boolArgument(info, 1, "flag");
    if (flag && !at::isFloatingType(tensor.scalar_type()))
      throw std::invalid_argument(std::string("only floating tensors have gradients; got ") + describeTensor(tensor));
    tensor.set_requires_grad(flag);
    return info.Env().Undefined();
  });
}

Napi::Value requiresGrad(const Napi::CallbackInfo& info) {
  return guarded(info, "requiresGrad", [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), tensorArgument(info, 0, "tensor").requires_grad());
  });
}

Napi::Value setGradMode(const Napi::CallbackInfo& info) {
  return guarded(info, "setGradMode", [&]() -> Napi::Value {
    const bool before = at::GradMode::is_enabled();
    at::GradMode::set_enabled(boolArgument(info, 0, "enabled"));
    return Napi::Boolean::New(info.Env(), before);
  });
}

// enterAutocast(deviceType, dtype) → the dtype before, "" when autocast was off; leaveAutocast(deviceType, before)
// restores.
Napi::Value enterAutocast(const Napi::CallbackInfo& info) {
  return guarded(info, "autocast", [&]() -> Napi::Value {
    const at::DeviceType device = c10::Device(stringArgument(info, 0, "device")).type();
    const at::ScalarType dtype = dtypeFromName(stringArgument(info, 1, "dtype"));
    if (dtype != at::kBFloat16 && dtype != at::kHalf) throw std::invalid_argument("autocast goes to bf16 or f16");
    const std::string before =
        at::autocast::is_autocast_enabled(device) ? dtypeName(at::autocast::get_autocast_dtype(device)) : "";
    at::autocast::set_autocast_enabled(device, true);
    at::autocast::set_autocast_dtype(device, dtype);
    at::autocast::increment_nesting();
    return Napi::String::New(info.Env(), before);
  });
}

Napi::Value leaveAutocast(const Napi::CallbackInfo& info) {
  return guarded(info, "autocast", [&]() -> Napi::Value {
    const at::DeviceType device = c10::Device(stringArgument(info, 0, "device")).type();
    const std::string before = stringArgument(info, 1, "before");
    // Cached casts of weights go with the outermost region, or they would outlive the weights' next update.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device, !before.empty());
    if (!before.empty()) at::autocast::set_autocast_dtype(device, dtypeFromName(before));
    return info.Env().Undefined();
  });
}

}  // namespace

Napi::Object initAutograd(Napi::Env env, Napi::Object exports) {
  exports.Set("backward", Napi::Function::New(env, backward));
  exports.Set("grad", Napi::Function::New(env, grad));
  exports.Set("gradOf", Napi::Function::New(env, gradOf));
  exports.Set("setGrad", Napi::Function::New(env, setGrad));
  exports.Set("zeroGrads", Napi::Function::New(env, zeroGrads));
  exports.Set("setRequiresGrad", Napi::Function::New(env, setRequiresGrad));
  exports.Set("requiresGrad", Napi::Function::New(env, requiresGrad));
  exports.Set("setGradMode", Napi::Function::New(env, setGradMode));
  exports.Set("enterAutocast", Napi::Function::New(env, enterAutocast));
  exports.Set("leaveAutocast", Napi::Function::New(env, leaveAutocast));
  return exports;
}

}  // namespace tandem
