// A sign of life: one byte every so often into a pipe that the driver reads, from a thread of its own. A worker blocks
// in a step for seconds and in a collective for as long as the others take, so its JavaScript thread can't say that it
// lives; a process that is stopped (SIGSTOP) says nothing at all.
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "../bridge/border.h"

namespace tandem {

namespace {

// startPulse(descriptor, everyMs): goes on until the process ends, or nobody reads any more.
Napi::Value startPulse(const Napi::CallbackInfo& info) {
  return guarded(info, "startPulse", [&]() -> Napi::Value {
    const int descriptor = static_cast<int>(numberArgument(info, 0, "descriptor"));
    const auto every = std::chrono::milliseconds(static_cast<int64_t>(numberArgument(info, 1, "everyMs")));
    std::thread([descriptor, every] {
      const char sign = '.';
      for (;;) {
        // A pipe that is full is a driver that doesn't read just now. Without one the write fails with EPIPE; Node
        // ignores SIGPIPE.
        if (write(descriptor, &sign, 1) < 0 && errno != EINTR && errno != EAGAIN) return;
        std::this_thread::sleep_for(every);
      }
    }).detach();
    return info.Env().Undefined();
  });
}

}  // namespace

Napi::Object initPulse(Napi::Env env, Napi::Object exports) {
  exports.Set("startPulse", Napi::Function::New(env, startPulse));
  return exports;
}

}  // namespace tandem
