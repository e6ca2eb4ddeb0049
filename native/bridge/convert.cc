#include "convert.h"

#include <ATen/core/jit_type.h>

#include <array>
#include <cmath>
#include <stdexcept>

#include "handle-table.h"

namespace tandem {

namespace {

constexpr double kMaxSafe = 9007199254740991.0;

struct NamedType {
  const char* name;
  at::ScalarType type;
};
constexpr std::array<NamedType, 8> kDtypes = {{{"f64", at::kDouble},
                                               {"f32", at::kFloat},
                                               {"bf16", at::kBFloat16},
                                               {"f16", at::kHalf},
                                               {"i64", at::kLong},
                                               {"i32", at::kInt},
                                               {"u8", at::kByte},
                                               {"bool", at::kBool}}};

[[noreturn]] void wrongType(const Parameter& parameter, const char* expected) {
  throw std::invalid_argument("argument '" + parameter.name + "': expected " + expected + " (" + parameter.type_text +
                              ")");
}

int64_t toInt(const Parameter& parameter, const Napi::Value& value) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (number == std::floor(number) && std::fabs(number) <= kMaxSafe) return static_cast<int64_t>(number);
  } else if (value.IsBigInt()) {
    bool lossless = false;
    const int64_t number = value.As<Napi::BigInt>().Int64Value(&lossless);
    if (lossless) return number;
  }
  wrongType(parameter, "an integer");
}

at::Scalar toScalar(const Parameter& parameter, const Napi::Value& value) {
  if (value.IsBoolean()) return at::Scalar(value.As<Napi::Boolean>().Value());
  if (!value.IsNumber()) wrongType(parameter, "a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  // Integers stay integers, so that they promote as in PyTorch; -0 and numbers beyond 2^53 can only be floats.
  const bool integral =
      number == std::floor(number) && std::fabs(number) <= kMaxSafe && !(number == 0 && std::signbit(number));
  return integral ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
}

double toDouble(const Parameter& parameter, const Napi::Value& value) {
  if (!value.IsNumber()) wrongType(parameter, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

bool toBool(const Parameter& parameter, const Napi::Value& value) {
  if (!value.IsBoolean()) wrongType(parameter, "true or false");
  return value.As<Napi::Boolean>().Value();
}

const at::Tensor& toTensor(const Parameter& parameter, const Napi::Value& value) {
  if (!value.IsNumber()) wrongType(parameter, "a tensor");
  return HandleTable::instance().get(value.As<Napi::Number>().DoubleValue());
}

Napi::Array toArray(const Parameter& parameter, const Napi::Value& value) {
  if (!value.IsArray()) wrongType(parameter, "an array");
  return value.As<Napi::Array>();
}

template <typename T, typename Convert>
c10::List<T> toList(const Parameter& parameter, const Napi::Value& value, Convert convert) {
  c10::List<T> list;
  // PyTorch's int[1]: a bare number stands for a list of one.
  if (value.IsNumber() && parameter.kind != Kind::TensorList && parameter.kind != Kind::OptionalTensorList) {
    list.push_back(convert(parameter, value));
    return list;
  }
  const Napi::Array array = toArray(parameter, value);
  const uint32_t length = array.Length();
  list.reserve(length);
  for (uint32_t i = 0; i < length; i++) list.push_back(convert(parameter, array.Get(i)));
  return list;
}

c10::IValue toOptionalTensorList(const Parameter& parameter, const Napi::Value& value) {
  c10::List<std::optional<at::Tensor>> list;
  const Napi::Array array = toArray(parameter, value);
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value item = array.Get(i);
    if (item.IsNull() || item.IsUndefined())
      list.push_back(std::nullopt);
    else
      list.push_back(toTensor(parameter, item));
  }
  return list;
}

Kind listKind(const c10::TypePtr& element) {
  if (const auto optional = element->cast<c10::OptionalType>())
    return optional->getElementType()->kind() == c10::TypeKind::TensorType ? Kind::OptionalTensorList
                                                                           : Kind::Unsupported;
  switch (element->kind()) {
    case c10::TypeKind::TensorType:
      return Kind::TensorList;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return Kind::IntList;
    case c10::TypeKind::FloatType:
      return Kind::FloatList;
    case c10::TypeKind::BoolType:
      return Kind::BoolList;
    default:
      return Kind::Unsupported;
  }
}

Kind kindOf(const c10::TypePtr& type) {
  switch (type->kind()) {
    case c10::TypeKind::TensorType:
      return Kind::Tensor;
    case c10::TypeKind::NumberType:
      return Kind::Number;
    case c10::TypeKind::IntType:
    case c10::TypeKind::SymIntType:
      return Kind::Int;
    case c10::TypeKind::FloatType:
      return Kind::Float;
    case c10::TypeKind::BoolType:
      return Kind::Bool;
    case c10::TypeKind::StringType:
      return Kind::String;
    case c10::TypeKind::DeviceObjType:
      return Kind::Device;
    case c10::TypeKind::ScalarTypeType:
      return Kind::ScalarType;
    case c10::TypeKind::ListType:
      return listKind(type->castRaw<c10::ListType>()->getElementType());
    default:
      return Kind::Unsupported;
  }
}

}  // namespace

at::ScalarType dtypeFromName(const std::string& name) {
  for (const auto& entry : kDtypes)
    if (name == entry.name) return entry.type;
  throw std::invalid_argument("unknown dtype '" + name + "'; expected f64, f32, bf16, f16, i64, i32, u8 or bool");
}

const char* dtypeName(at::ScalarType type) {
  for (const auto& entry : kDtypes)
    if (type == entry.type) return entry.name;
  return at::toString(type);
}

std::string describeTensor(const at::Tensor& tensor) {
  if (!tensor.defined()) return "none";
  std::string text = std::string(dtypeName(tensor.scalar_type())) + "[";
  for (int64_t d = 0; d < tensor.dim(); d++) text += (d > 0 ? "," : "") + std::to_string(tensor.size(d));
  return text + "]";
}

Parameter readParameter(const c10::Argument& argument) {
  Parameter parameter;
  parameter.name = argument.name();
  // real_type keeps ScalarType, Layout and SymInt apart, which the plain type folds into int.
  c10::TypePtr type = argument.real_type();
  parameter.type_text = type->str();
  if (const auto optional = type->cast<c10::OptionalType>()) {
    parameter.optional = true;
    type = optional->getElementType();
  }
  parameter.kind = kindOf(type);
  if (argument.default_value()) {
    parameter.has_default = true;
    parameter.default_value = *argument.default_value();
  }
  return parameter;
}

c10::IValue toIValue(const Parameter& parameter, const Napi::Value& value) {
  if (value.IsUndefined() && parameter.has_default) return parameter.default_value;
  if (value.IsNull() || value.IsUndefined()) {
    if (parameter.optional) return c10::IValue();
    wrongType(parameter, "a value");
  }
  switch (parameter.kind) {
    case Kind::Tensor:
      return toTensor(parameter, value);
    case Kind::Number:
      return toScalar(parameter, value);
    case Kind::Int:
      return toInt(parameter, value);
    case Kind::Float:
      return toDouble(parameter, value);
    case Kind::Bool:
      return toBool(parameter, value);
    case Kind::String:
      if (!value.IsString()) wrongType(parameter, "a string");
      return value.As<Napi::String>().Utf8Value();
    case Kind::Device:
      if (!value.IsString()) wrongType(parameter, "a device such as cpu or cuda:0");
      return c10::Device(value.As<Napi::String>().Utf8Value());
    case Kind::ScalarType:
      if (!value.IsString()) wrongType(parameter, "a dtype");
      return static_cast<int64_t>(dtypeFromName(value.As<Napi::String>().Utf8Value()));
    case Kind::TensorList:
      return toList<at::Tensor>(parameter, value, toTensor);
    case Kind::OptionalTensorList:
      return toOptionalTensorList(parameter, value);
    case Kind::IntList:
      return toList<int64_t>(parameter, value, toInt);
    case Kind::FloatList:
      return toList<double>(parameter, value, toDouble);
    case Kind::BoolList:
      return toList<bool>(parameter, value, toBool);
    case Kind::Unsupported:
      break;
  }
  wrongType(parameter, "nothing: this type cannot be given from JavaScript");
}

Napi::Value fromIValue(Napi::Env env, const c10::IValue& value) {
  if (value.isTensor()) {
    const at::Tensor& tensor = value.toTensor();
    return Napi::Number::New(env, tensor.defined() ? HandleTable::instance().add(tensor) : 0);
  }
  if (value.isInt()) return Napi::Number::New(env, static_cast<double>(value.toInt()));
  if (value.isDouble()) return Napi::Number::New(env, value.toDouble());
  if (value.isBool()) return Napi::Boolean::New(env, value.toBool());
  if (value.isNone()) return env.Null();
  if (value.isScalar()) return Napi::Number::New(env, value.toScalar().toDouble());
  if (value.isTensorList()) {
    const auto list = value.toTensorVector();
    Napi::Array array = Napi::Array::New(env, list.size());
    for (size_t i = 0; i < list.size(); i++) array.Set(static_cast<uint32_t>(i), fromIValue(env, list[i]));
    return array;
  }
  throw std::invalid_argument("a result of type " + value.tagKind() + " cannot be given to JavaScript");
}

}  // namespace tandem
