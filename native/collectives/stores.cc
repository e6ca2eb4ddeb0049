// c10d's TCPStore: a small key-value server in one process, where the members of a group find each other's addresses.
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "../bridge/border.h"
#include "collectives.h"

namespace tandem {

Numbered<c10::intrusive_ptr<c10d::Store>>& stores() {
  static auto* table = new Numbered<c10::intrusive_ptr<c10d::Store>>("store");
  return *table;
}

namespace {

// A socket that listens on one address alone. The store by itself listens on every address of the machine, and whoever
// reaches it may write what the workers believe.
int listenOn(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int failure = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failure != 0) throw std::runtime_error(host + ": " + gai_strerror(failure));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  int error = EADDRNOTAVAIL;
  for (const addrinfo* address = found; address != nullptr; address = address->ai_next) {
    const int descriptor = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC, address->ai_protocol);
    const int yes = 1;
    if (descriptor >= 0 && setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        bind(descriptor, address->ai_addr, address->ai_addrlen) == 0 && listen(descriptor, SOMAXCONN) == 0)
      return descriptor;
    error = errno;
    if (descriptor >= 0) close(descriptor);
  }
  throw std::runtime_error(host + ":" + std::to_string(port) + ": " + std::strerror(error));
}

std::uint16_t portOf(int descriptor) {
  sockaddr_storage bound{};
  socklen_t size = sizeof bound;
  if (getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    throw std::runtime_error(std::string("the store's socket: ") + std::strerror(errno));
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(bound).sin6_port
                                           : reinterpret_cast<sockaddr_in&>(bound).sin_port);
}

// openStore(host, port, isServer, timeoutMs) → {store, port}. A server listens on `host` alone; with port 0 it takes
// any free one.
Napi::Value openStore(const Napi::CallbackInfo& info) {
  return guarded(info, "openStore", [&]() -> Napi::Value {
    c10d::TCPStoreOptions options;
    const std::string host = stringArgument(info, 0, "host");
    options.port = static_cast<std::uint16_t>(numberArgument(info, 1, "port"));
    options.isServer = boolArgument(info, 2, "isServer");
    options.timeout = std::chrono::milliseconds(static_cast<int64_t>(numberArgument(info, 3, "timeout")));
    if (options.isServer) {
      options.masterListenFd = listenOn(host, options.port);
      options.port = portOf(*options.masterListenFd);
    }
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
