// The border between C++ and JavaScript: no exception of FAISS's, the library's or ours ever leaves C++ as anything but
// a JavaScript error, on the JavaScript thread or on a worker's.
#pragma once

#include <napi.h>

#include <string>

namespace tandem {

// What each environment (main thread, worker threads) keeps for itself.
struct Environment {
  Napi::FunctionReference errorClass;
  Napi::FunctionReference indexClass;
};

// The class that TypeScript registered, or a plain Error before it did.
Napi::Error faissError(Napi::Env env, const std::string& message);

// The message of whatever is being thrown. FAISS's own names function, file and condition; only its sentence is kept.
std::string currentExceptionMessage();

template <typename Body>
Napi::Value guarded(const Napi::CallbackInfo& info, Body body) {
  try {
    return body();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw faissError(info.Env(), currentExceptionMessage());
  }
}

// Arguments, or std::invalid_argument, which `guarded` turns into a JavaScript error.
std::string stringArgument(const Napi::CallbackInfo& info, size_t index, const char* name);
int64_t wholeArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t least, int64_t most);
Napi::Float32Array floatsArgument(const Napi::CallbackInfo& info, size_t index, const char* name);

}  // namespace tandem
