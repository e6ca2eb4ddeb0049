// The few names of gloo that PyTorch's ProcessGroupGloo.hpp speaks of, for a compiler that has no gloo. PyTorch's
// wheels carry the library inside libtorch_cpu and not its headers. Nothing here is ever made, called or taken apart by
// Tandem: objects of these classes are made inside libtorch and held by pointer alone. The trap: a member that inline
// code of PyTorch's header calls must be declared with gloo's own signature, or that code would not compile; it is
// never emitted here, because no class of that header is derived from or constructed inline. Source: gloo/context.h,
// gloo/rendezvous/store.h, gloo/transport/{device,unbound_buffer}.h of github.com/facebookincubator/gloo.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

namespace rendezvous {

class Store {
 public:
  virtual ~Store() = default;
  virtual void set(const std::string& key, const std::vector<char>& data) = 0;
  virtual std::vector<char> get(const std::string& key) = 0;
  virtual void wait(const std::vector<std::string>& keys) = 0;
  virtual void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) = 0;
};

}  // namespace rendezvous

namespace transport {

class Device;

class UnboundBuffer {
 public:
  virtual ~UnboundBuffer() = default;
};

}  // namespace transport

}  // namespace gloo
