// Arguments in and errors out.
#include "border.h"

#include <cmath>
#include <new>
#include <stdexcept>

namespace tandem {

Napi::Error faissError(Napi::Env env, const std::string& message) {
  auto* environment = env.GetInstanceData<Environment>();
  if (environment == nullptr || environment->errorClass.IsEmpty()) return Napi::Error::New(env, message);
  const Napi::Object error = environment->errorClass.New({Napi::String::New(env, message)});
  return Napi::Error(env, error);
}

namespace {

// "Error in <function> at <file>:<line>: Error: '<condition>' failed: <sentence>" → the sentence, or the condition
// where there is no sentence.
std::string sentenceOf(const std::string& message) {
  const size_t failed = message.rfind("failed: ");
  if (failed != std::string::npos && failed + 8 < message.size()) return message.substr(failed + 8);
  const size_t error = message.find("Error: ");
  if (error != std::string::npos) return message.substr(error + 7);
  const size_t place = message.rfind(".cpp:");
  if (message.rfind("Error in ", 0) == 0 && place != std::string::npos) {
    const size_t colon = message.find(": ", place + 5);
    if (colon != std::string::npos) return message.substr(colon + 2);
  }
  return message;
}

}  // namespace

std::string currentExceptionMessage() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return "there isn't enough memory";
  } catch (const std::length_error&) {
    return "there isn't enough memory";
  } catch (const std::exception& error) {
    return sentenceOf(error.what());
  } catch (...) {
    return "unknown failure in faiss.node";
  }
}

std::string stringArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsString()) throw std::invalid_argument(std::string(name) + " is not a string");
  std::string value = info[index].As<Napi::String>().Utf8Value();
  if (value.find('\0') != std::string::npos) throw std::invalid_argument(std::string(name) + " holds a null character");
  return value;
}

int64_t wholeArgument(const Napi::CallbackInfo& info, size_t index, const char* name, int64_t least, int64_t most) {
  const double value = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : NAN;
  if (!(value >= static_cast<double>(least) && value <= static_cast<double>(most)) || std::floor(value) != value)
    throw std::invalid_argument(std::string(name) + " is not a whole number from " + std::to_string(least) + " to " +
                                std::to_string(most));
  return static_cast<int64_t>(value);
}

Napi::Float32Array floatsArgument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (!info[index].IsTypedArray() || info[index].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    throw std::invalid_argument(std::string(name) + " is not a Float32Array");
  return info[index].As<Napi::Float32Array>();
}

}  // namespace tandem
