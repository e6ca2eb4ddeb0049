// c10d::Reducer, the core of PyTorch's DistributedDataParallel: it hooks onto the parameters, and while one backward
// pass still runs it already averages the gradients that are ready, bucket by bucket. The trap: between two prepared
// passes gradients add up locally, as under DDP's no_sync; the prepared pass then sends what has added up. A member
// whose pass reaches no parameter at all would leave the others waiting: it must back-propagate a loss of weight zero.
#include <c10/util/Exception.h>

#include <algorithm>
#include <memory>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#include <type_traits>
#include <utility>

#include "../bridge/border.h"
#include "../bridge/handle-table.h"
#include "collectives.h"

namespace tandem {

namespace {

// The reducer writes to its logger without asking whether there is one.
struct WithLogger {
  std::shared_ptr<c10d::Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;
  // What its pass has sent: written by the threads of autograd, while the JavaScript thread waits for them.
  std::shared_ptr<std::vector<c10::intrusive_ptr<c10d::Work>>> sent;
};

Numbered<WithLogger>& reducers() {
  static auto* table = new Numbered<WithLogger>("reducer");
  return *table;
}

// Sums a bucket. The reducer's own hook divides by the number of members, and with it whatever earlier passes of the
// step added up.
class SumHook : public c10d::CppCommHookInterface<c10::intrusive_ptr<c10d::ProcessGroup>> {
 public:
  SumHook(c10::intrusive_ptr<c10d::ProcessGroup> group,
          std::shared_ptr<std::vector<c10::intrusive_ptr<c10d::Work>>> works)
      : CppCommHookInterface(std::move(group)), works_(std::move(works)) {}

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    std::vector<at::Tensor> sent{bucket.getBufferRef()};
    works_->push_back(state_->getBackend(sent[0].device().type())->allreduce(sent));
    return works_->back()->getFuture();
  }

 private:
  std::shared_ptr<std::vector<c10::intrusive_ptr<c10d::Work>>> works_;
};

class Silence : public c10::WarningHandler {
 public:
  void process(const c10::Warning&) override {}
};

using Buckets = std::vector<std::vector<size_t>>;

// PyTorch 2.11 to 2.13 differ in what follows the first bucket's size.
template <typename Reducer = c10d::Reducer>
std::shared_ptr<Reducer> makeReducer(const std::vector<at::Tensor>& parameters, const Buckets& buckets,
                                     const c10::intrusive_ptr<c10d::ProcessGroup>& group, int64_t bucket_bytes) {
  using Tensors = std::vector<at::Tensor>;
  using Group = c10::intrusive_ptr<c10d::ProcessGroup>;
  using Names = std::unordered_map<size_t, std::string>;
  const std::vector<bool> sparse(parameters.size(), false);
  constexpr bool kFindUnused = true;
  constexpr bool kAsView = true;
  const int64_t first = c10d::kDefaultFirstBucketBytes;
  if constexpr (std::is_constructible_v<Reducer, Tensors, Buckets, Group, std::vector<bool>, int64_t, bool, bool, Names,
                                        int64_t, bool, bool, std::vector<int64_t>>) {
    return std::make_shared<Reducer>(parameters, buckets, group, sparse, bucket_bytes, kFindUnused, kAsView, Names{},
                                     first, /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false,
                                     std::vector<int64_t>{});
  } else if constexpr (std::is_constructible_v<Reducer, Tensors, Buckets, Group, std::vector<bool>, int64_t, bool, bool,
                                               Names, int64_t, bool, bool>) {
    return std::make_shared<Reducer>(parameters, buckets, group, sparse, bucket_bytes, kFindUnused, kAsView, Names{},
                                     first, false, false);
  } else if constexpr (std::is_constructible_v<Reducer, Tensors, Buckets, Group, std::vector<bool>, int64_t, bool, bool,
                                               Names, int64_t, bool>) {
    return std::make_shared<Reducer>(parameters, buckets, group, sparse, bucket_bytes, kFindUnused, kAsView, Names{},
                                     first, false);
  } else {
    return std::make_shared<Reducer>(parameters, buckets, group, sparse, bucket_bytes, kFindUnused, kAsView, Names{},
                                     first);
  }
}

// openReducer(group, parameters, bucketBytes) → reducer. Buckets are filled from the last parameter on, whose gradient
// is ready first.
Napi::Value openReducer(const Napi::CallbackInfo& info) {
  return guarded(info, "openReducer", [&]() -> Napi::Value {
    const auto group = groups().get(numberArgument(info, 0, "group"));
    std::vector<at::Tensor> parameters;
    for (const double handle : handleListArgument(info, 1, "parameters"))
      parameters.push_back(HandleTable::instance().get(handle));
    const auto bytes = static_cast<size_t>(numberArgument(info, 2, "bucketBytes"));
    auto buckets = std::get<0>(c10d::compute_bucket_assignment_by_size(
        parameters, {static_cast<size_t>(c10d::kDefaultFirstBucketBytes), bytes}));
    std::reverse(buckets.begin(), buckets.end());
    auto reducer = makeReducer(parameters, buckets, group, static_cast<int64_t>(bytes));
    auto sent = std::make_shared<std::vector<c10::intrusive_ptr<c10d::Work>>>();
    reducer->register_comm_hook(std::make_unique<SumHook>(group, sent));
    auto logger = std::make_shared<c10d::Logger>(reducer);
    reducer->set_logger(logger);
    return Napi::Number::New(info.Env(), reducers().add({std::move(reducer), std::move(logger), std::move(sent)}));
  });
}

// prepareReducer(reducer, outputs): the backward pass that follows starts at `outputs` and sums over the members.
Napi::Value prepareReducer(const Napi::CallbackInfo& info) {
  return guarded(info, "prepareReducer", [&]() -> Napi::Value {
    const auto& [reducer, logger, sent] = reducers().get(numberArgument(info, 0, "reducer"));
    std::vector<at::Tensor> outputs;
    for (const double handle : handleListArgument(info, 1, "outputs"))
      outputs.push_back(HandleTable::instance().get(handle));
    sent->clear();
    reducer->prepare_for_forward();
    // It would advise to look for no unused parameters; whether there are any differs from step to step.
    Silence silence;
    const c10::WarningUtils::WarningHandlerGuard guard(&silence);
    reducer->prepare_for_backward(outputs);
    return info.Env().Undefined();
  });
}

// finishReducer(reducer): after the pass. The reducer has waited for the sums' futures, and with NCCL a future only
// queues its result behind them: it never tells of an error. The works do, so no optimiser steps by what a lost member
// left.
Napi::Value finishReducer(const Napi::CallbackInfo& info) {
  return guarded(info, "finishReducer", [&]() -> Napi::Value {
    const auto sent = std::exchange(*reducers().get(numberArgument(info, 0, "reducer")).sent, {});
    for (const auto& work : sent) work->wait();
    return info.Env().Undefined();
  });
}

Napi::Value closeReducer(const Napi::CallbackInfo& info) {
  return guarded(info, "closeReducer", [&]() -> Napi::Value {
    reducers().remove(numberArgument(info, 0, "reducer"));
    return info.Env().Undefined();
  });
}

}  // namespace

Napi::Object initReducers(Napi::Env env, Napi::Object exports) {
  exports.Set("openReducer", Napi::Function::New(env, openReducer));
  exports.Set("prepareReducer", Napi::Function::New(env, prepareReducer));
  exports.Set("finishReducer", Napi::Function::New(env, finishReducer));
  exports.Set("closeReducer", Napi::Function::New(env, closeReducer));
  return exports;
}

}  // namespace tandem
