// The border between C++ and JavaScript: every exported function runs inside `guarded`, so that no exception of
// libtorch's or ours ever leaves C++ as anything but a JavaScript error.
#pragma once

#include <ATen/ATen.h>
#include <napi.h>

#include <string>

namespace tandem {

// Throws an OperatorError (the class that TypeScript registered) with `operator` set, or a plain Error before it is
// registered.
[[noreturn]] void throwOperatorError(Napi::Env env, const std::string& op, const std::string& message);

void setErrorClass(const Napi::CallbackInfo& info);

// The message of whatever is being thrown, without libtorch's C++ backtrace.
std::string currentExceptionMessage();

template <typename Body>
Napi::Value guarded(const Napi::CallbackInfo& info, const char* where, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throwOperatorError(info.Env(), where, currentExceptionMessage());
  }
}

// The argument as a number, or a TypeError of ours (std::invalid_argument, which `guarded` turns into a JavaScript
// error).
double numberArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
std::string stringArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
bool boolArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
const at::Tensor& tensorArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
std::vector<double> handleListArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
std::vector<int64_t> shapeArgument(const Napi::CallbackInfo& info, size_t index, const char* name);

// Tells V8 how much memory the live tensors hold, in steps of 32 MiB: a call for each tensor costs more than a small
// operator.
void reportMemory(Napi::Env env);

Napi::Object initMemory(Napi::Env env, Napi::Object exports);
Napi::Object initDispatch(Napi::Env env, Napi::Object exports);
Napi::Object initAutograd(Napi::Env env, Napi::Object exports);
Napi::Object initRuntime(Napi::Env env, Napi::Object exports);
Napi::Object initProfiler(Napi::Env env, Napi::Object exports);
Napi::Object initStores(Napi::Env env, Napi::Object exports);
Napi::Object initGroups(Napi::Env env, Napi::Object exports);
Napi::Object initReducers(Napi::Env env, Napi::Object exports);
Napi::Object initNccl(Napi::Env env, Napi::Object exports);
Napi::Object initPulse(Napi::Env env, Napi::Object exports);

}  // namespace tandem
