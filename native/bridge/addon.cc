// What the add-on exports, and the border's argument checks. The TypeScript side of this file is src/engine/native.ts.
#include <c10/util/Exception.h>

#include <cmath>
#include <stdexcept>

#include "border.h"
#include "handle-table.h"

namespace tandem {

namespace {

Napi::FunctionReference& errorClass() {
  static auto* reference = new Napi::FunctionReference();
  return *reference;
}

[[noreturn]] void wrongArgument(const char* name, const char* expected) {
  throw std::invalid_argument(std::string("argument '") + name + "': expected " + expected);
}

}  // namespace

void setErrorClass(const Napi::CallbackInfo& info) {
  if (info.Length() < 1 || !info[0].IsFunction())
    throw Napi::TypeError::New(info.Env(), "setErrorClass: expected a class");
  errorClass() = Napi::Persistent(info[0].As<Napi::Function>());
}

void throwOperatorError(Napi::Env env, const std::string& op, const std::string& message) {
  if (errorClass().IsEmpty()) throw Napi::Error::New(env, op + ": " + message);
  const Napi::Object error = errorClass().New({Napi::String::New(env, op), Napi::String::New(env, message)});
  throw Napi::Error(env, error);
}

std::string currentExceptionMessage() {
  try {
    throw;
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  } catch (const std::bad_alloc&) {
    return "out of memory";
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown C++ exception";
  }
}

double numberArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsNumber()) wrongArgument(name, "a number");
  return info[index].As<Napi::Number>().DoubleValue();
}

std::string stringArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsString()) wrongArgument(name, "a string");
  return info[index].As<Napi::String>().Utf8Value();
}

bool boolArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsBoolean()) wrongArgument(name, "true or false");
  return info[index].As<Napi::Boolean>().Value();
}

const at::Tensor& tensorArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  return HandleTable::instance().get(numberArgument(info, index, name));
}

std::vector<double> handleListArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (index >= info.Length() || !info[index].IsArray()) wrongArgument(name, "an array of tensors");
  const auto array = info[index].As<Napi::Array>();
  std::vector<double> handles(array.Length());
  for (uint32_t i = 0; i < array.Length(); i++) {
    const Napi::Value item = array.Get(i);
    if (!item.IsNumber()) wrongArgument(name, "an array of tensors");
    handles[i] = item.As<Napi::Number>().DoubleValue();
  }
  return handles;
}

std::vector<int64_t> shapeArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  const std::vector<double> sizes = handleListArgument(info, index, name);
  std::vector<int64_t> shape;
  shape.reserve(sizes.size());
  for (const double size : sizes) {
    if (!(size >= 0) || size > 9007199254740991.0 || size != std::floor(size))
      wrongArgument(name, "sizes that are whole and not negative");
    shape.push_back(static_cast<int64_t>(size));
  }
  return shape;
}

void reportMemory(Napi::Env env) {
  constexpr int64_t kStep = 32 << 20;
  static int64_t reported = 0;
  const int64_t delta = HandleTable::instance().liveBytes() - reported;
  if (delta > -kStep && delta < kStep) return;
  Napi::MemoryManagement::AdjustExternalMemory(env, delta);
  reported += delta;
}

}  // namespace tandem

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports.Set("setErrorClass", Napi::Function::New(env, tandem::setErrorClass));
  tandem::initDispatch(env, exports);
  tandem::initMemory(env, exports);
  tandem::initAutograd(env, exports);
  tandem::initRuntime(env, exports);
  tandem::initProfiler(env, exports);
  tandem::initStores(env, exports);
  tandem::initGroups(env, exports);
  tandem::initReducers(env, exports);
  tandem::initNccl(env, exports);
  tandem::initPulse(env, exports);
  return exports;
}

NODE_API_MODULE(tandem, Init)
