// Threads, random generators and facts about the library that is running.
#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/cpu/Utils.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/version.h>

#include <cmath>
#include <mutex>
#include <stdexcept>

#include "border.h"
#include "convert.h"
#include "handle-table.h"

namespace tandem {

namespace {

Napi::Value setThreads(const Napi::CallbackInfo& info) {
  return guarded(info, "setThreads", [&]() -> Napi::Value {
    const double threads = numberArgument(info, 0, "threads");
    if (!(threads >= 1) || threads > 4096 || threads != std::floor(threads))
      throw std::invalid_argument("expected a whole number from 1 to 4096");
    at::set_num_threads(static_cast<int>(threads));
    return info.Env().Undefined();
  });
}

at::Generator generatorOf(const std::string& device_name) {
  return at::globalContext().defaultGenerator(c10::Device(device_name));
}

Napi::Value manualSeed(const Napi::CallbackInfo& info) {
  return guarded(info, "manualSeed", [&]() -> Napi::Value {
    const double seed = numberArgument(info, 0, "seed");
    if (!(seed >= 0) || seed > 9007199254740991.0 || seed != std::floor(seed))
      throw std::invalid_argument("expected a whole number from 0 to 2^53-1");
    at::Generator generator = generatorOf(stringArgument(info, 1, "device"));
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_current_seed(static_cast<uint64_t>(seed));
    return info.Env().Undefined();
  });
}

Napi::Value generatorState(const Napi::CallbackInfo& info) {
  return guarded(info, "generatorState", [&]() -> Napi::Value {
    at::Generator generator = generatorOf(stringArgument(info, 0, "device"));
    const std::lock_guard<std::mutex> lock(generator.mutex());
    return fromIValue(info.Env(), generator.get_state());
  });
}

Napi::Value setGeneratorState(const Napi::CallbackInfo& info) {
  return guarded(info, "setGeneratorState", [&]() -> Napi::Value {
    at::Generator generator = generatorOf(stringArgument(info, 1, "device"));
    const at::Tensor& state = tensorArgument(info, 0, "state");
    const std::lock_guard<std::mutex> lock(generator.mutex());
    generator.set_state(state);
    return info.Env().Undefined();
  });
}

// setDevice(device): the graphics card that is meant where none is named, by memory that is pinned for it for one.
// Without it a worker whose card is another would hold a context on the first one too.
Napi::Value setDevice(const Napi::CallbackInfo& info) {
  return guarded(info, "setDevice", [&]() -> Napi::Value {
    const c10::Device device(stringArgument(info, 0, "device"));
    if (!device.is_cpu()) c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
    return info.Env().Undefined();
  });
}

Napi::Value facts(const Napi::CallbackInfo& info) {
  return guarded(info, "facts", [&]() -> Napi::Value {
    Napi::Object facts = Napi::Object::New(info.Env());
    facts.Set("torchVersion", TORCH_VERSION);
    facts.Set("threads", at::get_num_threads());
    facts.Set("cpuCapability", at::get_cpu_capability());
    facts.Set("cuda", at::hasCUDA());
    facts.Set("cudaDevices",
              static_cast<double>(
                  at::hasCUDA() ? at::globalContext().getAcceleratorHooksInterface(at::kCUDA).deviceCount() : 0));
    facts.Set("mkldnn", at::hasMKLDNN());
    facts.Set("mkl", at::hasMKL());
    return facts;
  });
}

}  // namespace

Napi::Object initRuntime(Napi::Env env, Napi::Object exports) {
  exports.Set("setDevice", Napi::Function::New(env, setDevice));
  exports.Set("setThreads", Napi::Function::New(env, setThreads));
  exports.Set("manualSeed", Napi::Function::New(env, manualSeed));
  exports.Set("generatorState", Napi::Function::New(env, generatorState));
  exports.Set("setGeneratorState", Napi::Function::New(env, setGeneratorState));
  exports.Set("facts", Napi::Function::New(env, facts));
  return exports;
}

}  // namespace tandem
