// NCCL for tensors on graphics cards. Compiled to anything only where the build found
// NCCL's and CUDA's headers beside a libtorch that has NCCL (TANDEM_NCCL, set by native/bridge/CMakeLists.txt); without
// them gloo carries such tensors through main memory. Who may use NCCL is decided in src/distributed/graphics-cards.ts.
// The trap: an object of ProcessGroupNCCL::Options is laid out by nccl.h, so a header of another version than
// libtorch's would corrupt memory. It is refused at run time.
#include <c10/core/Device.h>

#include <cstdlib>
#include <stdexcept>

#ifdef TANDEM_NCCL
#include <torch/csrc/cuda/nccl.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include "../bridge/border.h"
#include "card-names.h"
#include "collectives.h"

namespace tandem {

namespace {

std::string ncclVersion() {
#ifdef TANDEM_NCCL
  const std::uint64_t of_libtorch = torch::cuda::nccl::version();
  constexpr std::uint64_t kOfHeader = (std::uint64_t{NCCL_MAJOR} << 32) | (NCCL_MINOR << 16) | NCCL_PATCH;
  if (of_libtorch != kOfHeader) return "";
  return std::to_string(NCCL_MAJOR) + "." + std::to_string(NCCL_MINOR) + "." + std::to_string(NCCL_PATCH);
#else
  return "";
#endif
}

// ncclVersion() → of the NCCL that can be used, or "".
Napi::Value ncclVersionFor(const Napi::CallbackInfo& info) {
  return guarded(info, "ncclVersion", [&]() -> Napi::Value { return Napi::String::New(info.Env(), ncclVersion()); });
}

#ifdef TANDEM_NCCL
// A lost member must be an error of the call that waits for it. ProcessGroupNCCL reads these when it is made:
// - BLOCKING_WAIT: wait() looks for NCCL's errors and for the timeout every millisecond or so and throws from this
//   thread, after it has aborted the communicator; and no watchdog thread is made. That thread's answer to an error
//   is to end the process (ASYNC_ERROR_HANDLING, 3 by default), its other modes go on with whatever numbers are there.
//   The price: this thread waits for the card once a collective, where it could have queued further kernels.
// - ENABLE_MONITORING: the thread that ends a process whose watchdog shows no heartbeat has nothing to watch then.
// What the user set already stays as it is. No thread of NCCL's reads the environment yet.
void errorsAreThrown() {
  setenv("TORCH_NCCL_BLOCKING_WAIT", "1", 0);
  setenv("TORCH_NCCL_ENABLE_MONITORING", "0", 0);
}

c10::intrusive_ptr<c10d::ProcessGroupNCCL> connected(const c10::intrusive_ptr<c10d::Store>& store,
                                                     const c10d::ProcessGroup& group, c10::Device device,
                                                     std::chrono::milliseconds timeout) {
  errorsAreThrown();
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(store, group.getRank(), group.getSize(), options);
  // Now, when all members are here, rather than in the first step: cards that can't reach each other are told of
  // before anything was computed. A member that dies in between isn't noticed by NCCL; its driver notices.
  nccl->eagerConnectSingleDevice(device);
  return nccl;
}
#endif

// useNccl(group, store, name, device, timeoutMs): from here on tensors on graphics cards go over NCCL. All members call
// it, each with a card of its own. Tensors on the processor and the barrier stay with gloo.
Napi::Value useNccl(const Napi::CallbackInfo& info) {
  return guarded(info, "useNccl", [&]() -> Napi::Value {
    const auto& group = groups().get(numberArgument(info, 0, "group"));
    const auto& store = stores().get(numberArgument(info, 1, "store"));
    const std::string name = stringArgument(info, 2, "name");
    const c10::Device device(stringArgument(info, 3, "device"));
    const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(numberArgument(info, 4, "timeout")));
    if (ncclVersion().empty()) throw std::runtime_error("NCCL isn't there");
    if (!device.is_cuda() || !device.has_index())
      throw std::invalid_argument("argument 'device': expected cuda:0 or another graphics card");
#ifdef TANDEM_NCCL
    auto nccl = connected(c10::make_intrusive<c10d::PrefixStore>(name + "/nccl", store), *group, device, timeout);
    group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::NCCL, nccl);
#else
    (void)group, (void)store, (void)timeout;
#endif
    return info.Env().Undefined();
  });
}

}  // namespace

void leaveNccl(const c10::intrusive_ptr<c10d::ProcessGroup>& group) {
#ifdef TANDEM_NCCL
  const auto backend = group->getBackend(c10::DeviceType::CUDA);
  // Not shutdown(): that waits for the others, who may be gone, or wait for this one to say that it failed. What was
  // called here has been waited for.
  if (auto* nccl = dynamic_cast<c10d::ProcessGroupNCCL*>(backend.get())) nccl->abort();
#else
  (void)group;
#endif
}

Napi::Object initNccl(Napi::Env env, Napi::Object exports) {
  exports.Set("cardOf", Napi::Function::New(env, cardOf));
  exports.Set("ncclVersion", Napi::Function::New(env, ncclVersionFor));
  exports.Set("useNccl", Napi::Function::New(env, useNccl));
  return exports;
}

}  // namespace tandem
