// A sign of life: one byte every so often into a pipe that the driver reads, from a thread of its own. A worker blocks
// in a step for seconds and in a collective for as long as the others take, so its JavaScript thread can't say that it
// lives; a process that is stopped (SIGSTOP) says nothing at all.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <thread>

#include "../bridge/border.h"

namespace tandem {

namespace {

// startPulse(descriptor, everyMs): goes on until the process ends, or nobody reads any more.
Napi::Value startPulse(const Napi::CallbackInfo& info) {
  return guarded(info, "startPulse", [&]() -> Napi::Value {
    const double descriptor_number = numberArgument(info, 0, "descriptor");
    const double every_ms = numberArgument(info, 1, "everyMs");
    struct stat kind {};
    const int descriptor = static_cast<int>(descriptor_number);
    // Whatever a wrong number names must not be written into, the standard streams least of all.
    if (!(descriptor_number > STDERR_FILENO) || fstat(descriptor, &kind) != 0 ||
        !(S_ISFIFO(kind.st_mode) || S_ISSOCK(kind.st_mode)))
      throw std::invalid_argument("argument 'descriptor': expected an open pipe behind the standard streams");
    if (!(every_ms >= 1 && every_ms <= 3600000))
      throw std::invalid_argument("argument 'everyMs': expected 1 to 3600000");
    const auto every = std::chrono::milliseconds(static_cast<int64_t>(every_ms));
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
