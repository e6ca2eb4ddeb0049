// Which graphics card a device is: `cuda:0` of one process may be `cuda:1` of another, or a card of another machine. A
// file of its own, because it declares a function of CUDA's for itself: libtorch for cards brings CUDA's library along,
// and its headers not always.
#include "card-names.h"

#include <c10/core/Device.h>

#include <fstream>

#include "../bridge/border.h"

// Of CUDA's runtime; null where libtorch is one for processors.
extern "C" __attribute__((weak)) int cudaDeviceGetPCIBusId(char* id, int length, int device);

namespace tandem {

namespace {

// The kernel that runs here. Unlike a host's name it is the same in all containers of a machine and nowhere else.
std::string machine() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

}  // namespace

Napi::Value cardOf(const Napi::CallbackInfo& info) {
  return guarded(info, "cardOf", [&]() -> Napi::Value {
    const c10::Device device(stringArgument(info, 0, "device"));
    char bus[32] = "";
    const std::string where = machine();
    const bool is_known = device.is_cuda() && device.has_index() && cudaDeviceGetPCIBusId != nullptr &&
                          !where.empty() && cudaDeviceGetPCIBusId(bus, sizeof bus, device.index()) == 0;
    return Napi::String::New(info.Env(), is_known ? where + " " + bus : "");
  });
}

}  // namespace tandem
