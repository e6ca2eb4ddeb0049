// Records which operators run, with libtorch's own profiler (Kineto): what torch.profiler records, without Python.
#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <torch/csrc/autograd/profiler_kineto.h>

#include <cmath>
#include <set>
#include <stdexcept>

#include "border.h"

namespace tandem {

namespace {

namespace profiler = torch::autograd::profiler;
using torch::profiler::impl::ActivityType;
using torch::profiler::impl::ProfilerConfig;
using torch::profiler::impl::ProfilerState;

// libtorch aborts the process when the profiler is started twice, so this side keeps count.
bool is_recording = false;

Napi::Value startProfiler(const Napi::CallbackInfo& info) {
  return guarded(info, "startProfiler", [&]() -> Napi::Value {
    if (is_recording) throw std::logic_error("the profiler runs already");
    std::set<ActivityType> activities{ActivityType::CPU};
    if (at::hasCUDA()) activities.insert(ActivityType::CUDA);
    const ProfilerConfig config(ProfilerState::KINETO);
    profiler::prepareProfiler(config, activities);
    profiler::enableProfiler(config, activities);
    is_recording = true;
    return info.Env().Undefined();
  });
}

// stopProfiler(origin) → {names, numbers}: a name each, and four numbers each: start in microseconds since `origin`
// (whole milliseconds since 1970: a double can't hold nanoseconds since then), duration in microseconds, thread or
// stream, and the device (-1: the processor).
Napi::Value stopProfiler(const Napi::CallbackInfo& info) {
  return guarded(info, "stopProfiler", [&]() -> Napi::Value {
    const double origin = numberArgument(info, 0, "origin");
    if (!(origin >= 0) || origin > 1e13 || origin != std::floor(origin))
      throw std::invalid_argument("expected whole milliseconds since 1970");
    const auto zero = static_cast<int64_t>(origin) * 1'000'000;
    if (!is_recording) throw std::logic_error("the profiler doesn't run");
    is_recording = false;
    const auto result = profiler::disableProfiler();
    const auto& events = result->events();
    Napi::Array names = Napi::Array::New(info.Env());
    Napi::Float64Array numbers = Napi::Float64Array::New(info.Env(), 4 * events.size());
    uint32_t count = 0;
    for (const auto& event : events) {
      if (event.isHiddenEvent()) continue;
      const bool is_host = event.deviceType() == c10::DeviceType::CPU;
      double* row = numbers.Data() + 4 * count;
      row[0] = static_cast<double>(static_cast<int64_t>(event.startNs()) - zero) / 1e3;
      row[1] = static_cast<double>(event.durationNs()) / 1e3;
      row[2] = is_host ? static_cast<double>(event.startThreadId()) : static_cast<double>(event.deviceResourceId());
      row[3] = is_host ? -1 : static_cast<double>(event.deviceIndex());
      names.Set(count++, event.name());
    }
    Napi::Object recorded = Napi::Object::New(info.Env());
    recorded.Set("names", names);
    recorded.Set("numbers", numbers);
    return recorded;
  });
}

// The number that this thread has in what stopProfiler gives back.
Napi::Value profilerThread(const Napi::CallbackInfo& info) {
  return guarded(info, "profilerThread", [&]() -> Napi::Value {
    return Napi::Number::New(info.Env(), static_cast<double>(at::RecordFunction::currentThreadId()));
  });
}

}  // namespace

Napi::Object initProfiler(Napi::Env env, Napi::Object exports) {
  // libtorch's own teardown dies of a profiler that still runs; a process may end in the middle of a profile.
  env.AddCleanupHook([] {
    if (!is_recording) return;
    is_recording = false;
    try {
      profiler::disableProfiler();
    } catch (...) {
      // The process ends; there is nobody left to tell.
    }
  });
  exports.Set("startProfiler", Napi::Function::New(env, startProfiler));
  exports.Set("stopProfiler", Napi::Function::New(env, stopProfiler));
  exports.Set("profilerThread", Napi::Function::New(env, profilerThread));
  return exports;
}

}  // namespace tandem
