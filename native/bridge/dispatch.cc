// Operators by schema: `resolve(name, overload)` looks one up in libtorch's dispatcher, `call(index, …arguments)`
// converts by its schema, calls it boxed and wraps the results. The trap: callBoxed consumes the stack, so the
// description of the arguments for an error is read again from JavaScript's values.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>

#include <memory>
#include <vector>

#include "border.h"
#include "convert.h"
#include "handle-table.h"

namespace tandem {

namespace {

struct Operator {
  c10::OperatorHandle handle;
  std::string name;
  std::vector<Parameter> parameters;
};

std::vector<std::unique_ptr<Operator>>& operators() {
  static auto* table = new std::vector<std::unique_ptr<Operator>>();
  return *table;
}

Napi::Value resolve(const Napi::CallbackInfo& info) {
  return guarded(info, "resolve", [&]() -> Napi::Value {
    const std::string name = stringArgument(info, 0, "name");
    const std::string overload = stringArgument(info, 1, "overload");
    auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
    if (!handle)
      throw std::invalid_argument("this libtorch has no operator " + name + (overload.empty() ? "" : "." + overload));
    auto entry = std::make_unique<Operator>(Operator{*handle, overload.empty() ? name : name + "." + overload, {}});
    for (const auto& argument : handle->schema().arguments()) entry->parameters.push_back(readParameter(argument));
    operators().push_back(std::move(entry));
    return Napi::Number::New(info.Env(), static_cast<double>(operators().size() - 1));
  });
}

Napi::Value schema(const Napi::CallbackInfo& info) {
  return guarded(info, "schema", [&]() -> Napi::Value {
    const auto handle =
        c10::Dispatcher::singleton().findSchema({stringArgument(info, 0, "name"), stringArgument(info, 1, "overload")});
    if (!handle) return info.Env().Null();
    return Napi::String::New(info.Env(), c10::toString(handle->schema()));
  });
}

// "self f32[4,8], mat2 f32[4,8]": whatever of the arguments are live tensors.
std::string describeArguments(const Operator& op, const Napi::CallbackInfo& info) {
  std::string text;
  const auto append = [&](const std::string& name, const Napi::Value& value) {
    if (!value.IsNumber()) return;
    const double handle = value.As<Napi::Number>().DoubleValue();
    if (!HandleTable::instance().live(handle)) return;
    text += (text.empty() ? "" : ", ") + name + " " + describeTensor(HandleTable::instance().get(handle));
  };
  for (size_t i = 0; i < op.parameters.size() && i + 1 < info.Length(); i++) {
    const Parameter& parameter = op.parameters[i];
    const Napi::Value value = info[i + 1];
    if (parameter.kind == Kind::Tensor) append(parameter.name, value);
    if ((parameter.kind == Kind::TensorList || parameter.kind == Kind::OptionalTensorList) && value.IsArray()) {
      const auto array = value.As<Napi::Array>();
      for (uint32_t j = 0; j < array.Length() && j < 4; j++)
        append(parameter.name + "[" + std::to_string(j) + "]", array.Get(j));
    }
  }
  return text;
}

Napi::Value callOperator(const Operator& op, const Napi::CallbackInfo& info, bool wanted) {
  if (info.Length() > op.parameters.size() + 1)
    throw std::invalid_argument("takes " + std::to_string(op.parameters.size()) + " arguments, got " +
                                std::to_string(info.Length() - 1));
  torch::jit::Stack stack;
  stack.reserve(op.parameters.size());
  for (size_t i = 0; i < op.parameters.size(); i++) stack.push_back(toIValue(op.parameters[i], info[i + 1]));
  op.handle.callBoxed(&stack);
  if (!wanted || stack.empty()) return info.Env().Undefined();
  if (stack.size() == 1) return fromIValue(info.Env(), stack[0]);
  Napi::Array results = Napi::Array::New(info.Env(), stack.size());
  for (size_t i = 0; i < stack.size(); i++) results.Set(static_cast<uint32_t>(i), fromIValue(info.Env(), stack[i]));
  return results;
}

Napi::Value invoke(const Napi::CallbackInfo& info, bool wanted) {
  const Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsNumber())
    throwOperatorError(env, "call", "expected the number of an operator first");
  const double index = info[0].As<Napi::Number>().DoubleValue();
  if (!(index >= 0) || index >= static_cast<double>(operators().size()))
    throwOperatorError(env, "call", "no such operator was resolved");
  const Operator& op = *operators()[static_cast<size_t>(index)];
  try {
    return callOperator(op, info, wanted);
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    const std::string message = currentExceptionMessage();
    const std::string arguments = describeArguments(op, info);
    throwOperatorError(env, op.name, message + (arguments.empty() ? "" : "; arguments " + arguments));
  }
}

Napi::Value call(const Napi::CallbackInfo& info) { return invoke(info, true); }

// For operators that work in place: no handle is made for the result, which is the argument itself.
Napi::Value run(const Napi::CallbackInfo& info) { return invoke(info, false); }

}  // namespace

Napi::Object initDispatch(Napi::Env env, Napi::Object exports) {
  exports.Set("resolve", Napi::Function::New(env, resolve));
  exports.Set("schema", Napi::Function::New(env, schema));
  exports.Set("call", Napi::Function::New(env, call));
  exports.Set("run", Napi::Function::New(env, run));
  return exports;
}

}  // namespace tandem
