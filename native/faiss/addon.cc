// libfaiss for Node: create(dimension, factory, metric), read(path), and what this libfaiss is. Indexes are objects of
// index-object.cc. One add-on without libtorch, so that a machine without libfaiss lacks nothing else.
#include <faiss/Index.h>
#include <napi.h>

#include "blas.h"
#include "border.h"
#include "index-object.h"

namespace tandem {

namespace {

Napi::Value setErrorClass(const Napi::CallbackInfo& info) {
  info.Env().GetInstanceData<Environment>()->errorClass = Napi::Persistent(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

// create(dimension, factory, metric) → an empty index. Only the empty tables are made here; training is work.
Napi::Value create(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const int dimension = static_cast<int>(wholeArgument(info, 0, "dimension", 1, 1 << 20));
    const std::string factory = stringArgument(info, 1, "factory");
    const std::string metric = stringArgument(info, 2, "metric");
    if (metric != "inner-product" && metric != "l2")
      throw std::invalid_argument("metric is neither inner-product nor l2");
    return IndexObject::wrap(
        info.Env(), makeIndex(dimension, factory, metric == "l2" ? faiss::METRIC_L2 : faiss::METRIC_INNER_PRODUCT));
  });
}

// externalMemory() → what V8 was told of memory outside its heap, in bytes, by everybody.
Napi::Value externalMemory(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(),
                           static_cast<double>(Napi::MemoryManagement::AdjustExternalMemory(info.Env(), 0)));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  auto* environment = new Environment();
  environment->indexClass = Napi::Persistent(IndexObject::define(env));
  env.SetInstanceData(environment);
  const std::string version = std::to_string(FAISS_VERSION_MAJOR) + "." + std::to_string(FAISS_VERSION_MINOR) + "." +
                              std::to_string(FAISS_VERSION_PATCH);
  exports.Set("version", version);
  exports.Set("blas", blasName());
  exports.Set("setErrorClass", Napi::Function::New(env, setErrorClass, "setErrorClass"));
  exports.Set("externalMemory", Napi::Function::New(env, externalMemory, "externalMemory"));
  exports.Set("create", Napi::Function::New(env, create, "create"));
  exports.Set("read", Napi::Function::New(env, readIndex, "read"));
  return exports;
}

}  // namespace

}  // namespace tandem

Napi::Object initFaiss(Napi::Env env, Napi::Object exports) { return tandem::init(env, exports); }
NODE_API_MODULE(faiss, initFaiss)
