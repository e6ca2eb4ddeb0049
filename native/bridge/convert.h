// JavaScript values to libtorch's IValues and back, by the operator's own schema. Not a general converter: a type that
// no listed operator uses is refused with its name.
#pragma once

#include <ATen/ATen.h>
#include <ATen/core/function_schema.h>
#include <napi.h>

#include <string>

namespace tandem {

enum class Kind {
  Tensor,
  Number,
  Int,
  Float,
  Bool,
  String,
  Device,
  ScalarType,
  Unsupported,
  TensorList,
  OptionalTensorList,
  IntList,
  FloatList,
  BoolList
};

// What the schema says of one argument, read once when the operator is looked up.
struct Parameter {
  std::string name;
  Kind kind = Kind::Unsupported;
  bool optional = false;
  bool has_default = false;
  c10::IValue default_value;
  std::string type_text;
};

Parameter readParameter(const c10::Argument& argument);

// Throws std::invalid_argument naming the parameter when the value has another type.
c10::IValue toIValue(const Parameter& parameter, const Napi::Value& value);

// Tensors become handles (undefined ones 0), numbers numbers, several results an array.
Napi::Value fromIValue(Napi::Env env, const c10::IValue& value);

// "f32[4,8]": for error messages.
std::string describeTensor(const at::Tensor& tensor);

at::ScalarType dtypeFromName(const std::string& name);
const char* dtypeName(at::ScalarType type);

}  // namespace tandem
