// Process groups: what the members send each other. A group is a c10d::ProcessGroup with a backend for each kind of
// device, because that is what Reducer wants; calls go to the backend. It begins with gloo for both kinds; NCCL may
// take over the tensors on graphics cards (nccl.cc). The trap: members match their calls by order alone, so every
// member must make the same calls with the same shapes, whatever its data.
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "../bridge/border.h"
#include "../bridge/convert.h"
#include "../bridge/handle-table.h"
#include "collectives.h"

namespace tandem {

Numbered<c10::intrusive_ptr<c10d::ProcessGroup>>& groups() {
  static auto* table = new Numbered<c10::intrusive_ptr<c10d::ProcessGroup>>("process group");
  return *table;
}

namespace {

using Works = std::vector<c10::intrusive_ptr<c10d::Work>>;

// On a graphics card the results are ready in the order of a stream of the backend's own; wait() makes the current
// stream, on which all that follows is queued, wait for them. So no result is read before it.
void waitFor(const Works& works) {
  for (const auto& work : works) work->wait();
}

// Gloo takes dense tensors only.
at::Tensor dense(const at::Tensor& tensor) { return tensor.detach().contiguous(); }

// What was sent in place of a strided tensor has the result.
void copyBack(const std::vector<at::Tensor>& tensors, const std::vector<std::vector<at::Tensor>>& sent) {
  for (size_t i = 0; i < tensors.size(); i++)
    if (!tensors[i].is_contiguous()) tensors[i].detach().copy_(sent[i][0]);
}

std::vector<at::Tensor> tensorsArgument(const Napi::CallbackInfo& info, size_t index) {
  std::vector<at::Tensor> tensors;
  for (const double handle : handleListArgument(info, index, "tensors"))
    tensors.push_back(HandleTable::instance().get(handle));
  return tensors;
}

c10::intrusive_ptr<c10d::Backend> backendFor(const Napi::CallbackInfo& info, const at::Tensor& tensor) {
  return groups().get(numberArgument(info, 0, "group"))->getBackend(tensor.device().type());
}

// openGroup(store, name, rank, size, address, timeoutMs) → group. `address` is this member's own, as the others reach
// it.
Napi::Value openGroup(const Napi::CallbackInfo& info) {
  return guarded(info, "openGroup", [&]() -> Napi::Value {
    const std::string name = stringArgument(info, 1, "name");
    const int rank = static_cast<int>(numberArgument(info, 2, "rank"));
    const int size = static_cast<int>(numberArgument(info, 3, "size"));
    const auto timeout = std::chrono::milliseconds(static_cast<int64_t>(numberArgument(info, 5, "timeout")));
    auto store = c10::make_intrusive<c10d::PrefixStore>(name, stores().get(numberArgument(info, 0, "store")));
    auto options = c10d::ProcessGroupGloo::Options::create(timeout);
    options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(stringArgument(info, 4, "address")));
    auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
    auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
    group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
    group->setBackend(c10::DeviceType::CPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
    group->setBackend(c10::DeviceType::CUDA, c10d::ProcessGroup::BackendType::GLOO, gloo);
    group->setGroupName(name);
    return Napi::Number::New(info.Env(), groups().add(std::move(group)));
  });
}

Napi::Value closeGroup(const Napi::CallbackInfo& info) {
  return guarded(info, "closeGroup", [&]() -> Napi::Value {
    const double group = numberArgument(info, 0, "group");
    leaveNccl(groups().get(group));
    groups().remove(group);
    return info.Env().Undefined();
  });
}

// allReduce(group, tensors): each becomes the sum of all members'.
Napi::Value allReduce(const Napi::CallbackInfo& info) {
  return guarded(info, "allReduce", [&]() -> Napi::Value {
    const std::vector<at::Tensor> tensors = tensorsArgument(info, 1);
    std::vector<std::vector<at::Tensor>> sent;
    Works works;
    for (const at::Tensor& tensor : tensors) {
      sent.push_back({dense(tensor)});
      works.push_back(backendFor(info, tensor)->allreduce(sent.back()));
    }
    waitFor(works);
    copyBack(tensors, sent);
    return info.Env().Undefined();
  });
}

// broadcast(group, tensors, root): each becomes the root's.
Napi::Value broadcast(const Napi::CallbackInfo& info) {
  return guarded(info, "broadcast", [&]() -> Napi::Value {
    const std::vector<at::Tensor> tensors = tensorsArgument(info, 1);
    c10d::BroadcastOptions options;
    options.rootRank = static_cast<int64_t>(numberArgument(info, 2, "root"));
    std::vector<std::vector<at::Tensor>> sent;
    Works works;
    for (const at::Tensor& tensor : tensors) {
      sent.push_back({dense(tensor)});
      works.push_back(backendFor(info, tensor)->broadcast(sent.back(), options));
    }
    waitFor(works);
    copyBack(tensors, sent);
    return info.Env().Undefined();
  });
}

// allGather(group, tensor) → every member's tensor, in the order of ranks; all have one shape and dtype.
Napi::Value allGather(const Napi::CallbackInfo& info) {
  return guarded(info, "allGather", [&]() -> Napi::Value {
    const at::Tensor own = dense(tensorArgument(info, 1, "tensor"));
    const auto backend = backendFor(info, own);
    std::vector<std::vector<at::Tensor>> found(1);
    for (int rank = 0; rank < backend->getSize(); rank++) found[0].push_back(at::empty_like(own));
    std::vector<at::Tensor> sent{own};
    backend->allgather(found, sent)->wait();
    Napi::Array handles = Napi::Array::New(info.Env(), found[0].size());
    for (size_t i = 0; i < found[0].size(); i++)
      handles.Set(static_cast<uint32_t>(i), HandleTable::instance().add(found[0][i]));
    reportMemory(info.Env());
    return handles;
  });
}

// allGatherSmall(group, tensor) → every member's tensor, one below the other (size × length); all have one length and
// dtype. One message from each to each, in one round, where a ring takes as many as there are members: for what is so
// small that only the waiting counts. On the processor always.
Napi::Value allGatherSmall(const Napi::CallbackInfo& info) {
  return guarded(info, "allGatherSmall", [&]() -> Napi::Value {
    const at::Tensor own = dense(tensorArgument(info, 1, "tensor"));
    if (own.dim() != 1) throw std::invalid_argument("expected one dimension, got " + describeTensor(own));
    const auto backend = groups().get(numberArgument(info, 0, "group"))->getBackend(c10::DeviceType::CPU);
    at::Tensor sent = own.unsqueeze(0).repeat({backend->getSize(), 1});
    at::Tensor found = at::empty_like(sent);
    // Empty: equal parts.
    std::vector<int64_t> counts;
    backend->alltoall_base(found, sent, counts, counts)->wait();
    const double handle = HandleTable::instance().add(found);
    reportMemory(info.Env());
    return Napi::Number::New(info.Env(), handle);
  });
}

// On the processor always: it orders processes, not streams.
Napi::Value barrier(const Napi::CallbackInfo& info) {
  return guarded(info, "barrier", [&]() -> Napi::Value {
    groups().get(numberArgument(info, 0, "group"))->getBackend(c10::DeviceType::CPU)->barrier()->wait();
    return info.Env().Undefined();
  });
}

}  // namespace

Napi::Object initGroups(Napi::Env env, Napi::Object exports) {
  exports.Set("openGroup", Napi::Function::New(env, openGroup));
  exports.Set("closeGroup", Napi::Function::New(env, closeGroup));
  exports.Set("allReduce", Napi::Function::New(env, allReduce));
  exports.Set("broadcast", Napi::Function::New(env, broadcast));
  exports.Set("allGather", Napi::Function::New(env, allGather));
  exports.Set("allGatherSmall", Napi::Function::New(env, allGatherSmall));
  exports.Set("barrier", Napi::Function::New(env, barrier));
  return exports;
}

}  // namespace tandem
