// c10d's TCPStore: a small key-value server in one process, where the members of a group find each other's addresses.
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "../bridge/border.h"
#include "collectives.h"

namespace tandem {

Numbered<c10::intrusive_ptr<c10d::Store>>& stores() {
  static auto* table = new Numbered<c10::intrusive_ptr<c10d::Store>>("store");
  return *table;
}

namespace {

// openStore(host, port, isServer, timeoutMs) → {store, port}. A server with port 0 takes any free one.
Napi::Value openStore(const Napi::CallbackInfo& info) {
  return guarded(info, "openStore", [&]() -> Napi::Value {
    c10d::TCPStoreOptions options;
    const std::string host = stringArgument(info, 0, "host");
    options.port = static_cast<std::uint16_t>(numberArgument(info, 1, "port"));
    options.isServer = boolArgument(info, 2, "isServer");
    options.timeout = std::chrono::milliseconds(static_cast<int64_t>(numberArgument(info, 3, "timeout")));
    // Whoever waits for members does so by joining a group.
    options.waitWorkers = false;
    auto store = c10::make_intrusive<c10d::TCPStore>(host, options);
    const auto port = store->getPort();
    Napi::Object made = Napi::Object::New(info.Env());
    made.Set("store", stores().add(std::move(store)));
    made.Set("port", static_cast<uint32_t>(port));
    return made;
  });
}

Napi::Value closeStore(const Napi::CallbackInfo& info) {
  return guarded(info, "closeStore", [&]() -> Napi::Value {
    stores().remove(numberArgument(info, 0, "store"));
    return info.Env().Undefined();
  });
}

}  // namespace

Napi::Object initStores(Napi::Env env, Napi::Object exports) {
  exports.Set("openStore", Napi::Function::New(env, openStore));
  exports.Set("closeStore", Napi::Function::New(env, closeStore));
  return exports;
}

}  // namespace tandem
