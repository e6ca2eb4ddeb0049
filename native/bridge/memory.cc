// Bytes in and out, and the lifetime of handles. `fromMapped` shares the caller's memory: such a tensor must never be
// written to (a write to a read-only map kills the process), so only frozen data comes in this way.
#include <ATen/ATen.h>

#include <cstring>
#include <mutex>
#include <stdexcept>
#include <vector>

#include "border.h"
#include "convert.h"
#include "handle-table.h"

namespace tandem {

namespace {

struct Bytes {
  uint8_t* data;
  size_t length;
};

Bytes bytesArgument(const Napi::CallbackInfo& info, size_t index) {
  if (index >= info.Length() || !info[index].IsTypedArray())
    throw std::invalid_argument("argument 'data': expected a typed array");
  const auto array = info[index].As<Napi::TypedArray>();
  return {static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset(), array.ByteLength()};
}

size_t checkedByteCount(const std::vector<int64_t>& shape, at::ScalarType dtype, size_t available) {
  size_t count = c10::elementSize(dtype);
  for (const int64_t size : shape)
    if (__builtin_mul_overflow(count, static_cast<size_t>(size), &count))
      throw std::invalid_argument("the shape is too large");
  if (count != available)
    throw std::invalid_argument("the shape and dtype need " + std::to_string(count) + " bytes, the data has " +
                                std::to_string(available));
  return count;
}

Napi::Value fromBytes(const Napi::CallbackInfo& info) {
  return guarded(info, "fromBytes", [&]() -> Napi::Value {
    const Bytes bytes = bytesArgument(info, 0);
    const at::ScalarType dtype = dtypeFromName(stringArgument(info, 1, "dtype"));
    const auto shape = shapeArgument(info, 2, "shape");
    const size_t count = checkedByteCount(shape, dtype, bytes.length);
    at::Tensor tensor = at::empty(shape, at::TensorOptions().dtype(dtype));
    if (count > 0) std::memcpy(tensor.data_ptr(), bytes.data, count);
    return Napi::Number::New(info.Env(), HandleTable::instance().add(std::move(tensor)));
  });
}

// References to mapped arrays whose tensors are gone. libtorch may drop a tensor on any thread, JavaScript references
// may only be dropped on theirs: so they wait here for the next call.
std::mutex& releasedMutex() {
  static auto* mutex = new std::mutex();
  return *mutex;
}

std::vector<Napi::Reference<Napi::Value>*>& released() {
  static auto* list = new std::vector<Napi::Reference<Napi::Value>*>();
  return *list;
}

void dropReleased() {
  std::vector<Napi::Reference<Napi::Value>*> gone;
  {
    const std::lock_guard<std::mutex> lock(releasedMutex());
    gone.swap(released());
  }
  for (auto* reference : gone) delete reference;
}

Napi::Value fromMapped(const Napi::CallbackInfo& info) {
  return guarded(info, "fromMapped", [&]() -> Napi::Value {
    dropReleased();
    const Bytes bytes = bytesArgument(info, 0);
    const at::ScalarType dtype = dtypeFromName(stringArgument(info, 1, "dtype"));
    const auto shape = shapeArgument(info, 2, "shape");
    checkedByteCount(shape, dtype, bytes.length);
    if (reinterpret_cast<uintptr_t>(bytes.data) % c10::elementSize(dtype) != 0)
      throw std::invalid_argument("the data is not aligned to its dtype; copy it with fromBytes");
    auto* reference = new Napi::Reference<Napi::Value>(Napi::Reference<Napi::Value>::New(info[0], 1));
    const auto release = [reference](void*) {
      const std::lock_guard<std::mutex> lock(releasedMutex());
      released().push_back(reference);
    };
    at::Tensor tensor = at::from_blob(bytes.data, shape, release, at::TensorOptions().dtype(dtype));
    return Napi::Number::New(info.Env(), HandleTable::instance().add(std::move(tensor)));
  });
}

Napi::Value toBytes(const Napi::CallbackInfo& info) {
  return guarded(info, "toBytes", [&]() -> Napi::Value {
    const at::Tensor tensor = tensorArgument(info, 0, "tensor").detach().to(at::kCPU).contiguous();
    const size_t count = tensor.nbytes();
    Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(info.Env(), count);
    if (count > 0) std::memcpy(buffer.Data(), tensor.const_data_ptr(), count);
    return buffer;
  });
}

Napi::Value item(const Napi::CallbackInfo& info) {
  return guarded(info, "item", [&]() -> Napi::Value {
    const at::Tensor& tensor = tensorArgument(info, 0, "tensor");
    return Napi::Number::New(info.Env(), tensor.item().toDouble());
  });
}

Napi::Value shape(const Napi::CallbackInfo& info) {
  return guarded(info, "shape", [&]() -> Napi::Value {
    const at::Tensor& tensor = tensorArgument(info, 0, "tensor");
    Napi::Array sizes = Napi::Array::New(info.Env(), static_cast<size_t>(tensor.dim()));
    for (int64_t d = 0; d < tensor.dim(); d++) sizes.Set(static_cast<uint32_t>(d), static_cast<double>(tensor.size(d)));
    return sizes;
  });
}

Napi::Value dtype(const Napi::CallbackInfo& info) {
  return guarded(info, "dtype", [&]() -> Napi::Value {
    return Napi::String::New(info.Env(), dtypeName(tensorArgument(info, 0, "tensor").scalar_type()));
  });
}

Napi::Value device(const Napi::CallbackInfo& info) {
  return guarded(info, "device", [&]() -> Napi::Value {
    return Napi::String::New(info.Env(), tensorArgument(info, 0, "tensor").device().str());
  });
}

Napi::Value isLive(const Napi::CallbackInfo& info) {
  return guarded(info, "isLive", [&]() -> Napi::Value {
    return Napi::Boolean::New(info.Env(), HandleTable::instance().live(numberArgument(info, 0, "tensor")));
  });
}

Napi::Value freeTensor(const Napi::CallbackInfo& info) {
  return guarded(info, "dispose", [&]() -> Napi::Value {
    HandleTable::instance().free(numberArgument(info, 0, "tensor"));
    return info.Env().Undefined();
  });
}

Napi::Value keep(const Napi::CallbackInfo& info) {
  return guarded(info, "keep", [&]() -> Napi::Value {
    HandleTable::instance().keep(numberArgument(info, 0, "tensor"));
    return info.Env().Undefined();
  });
}

Napi::Value openScope(const Napi::CallbackInfo& info) {
  return guarded(info, "scope", [&]() -> Napi::Value {
    HandleTable::instance().openScope();
    return info.Env().Undefined();
  });
}

Napi::Value closeScope(const Napi::CallbackInfo& info) {
  return guarded(info, "scope", [&]() -> Napi::Value {
    HandleTable::instance().closeScope(handleListArgument(info, 0, "kept"));
    dropReleased();
    reportMemory(info.Env());
    return info.Env().Undefined();
  });
}

Napi::Value liveTensors(const Napi::CallbackInfo& info) {
  return guarded(info, "liveTensors", [&]() -> Napi::Value {
    Napi::Object counts = Napi::Object::New(info.Env());
    counts.Set("tensors", static_cast<double>(HandleTable::instance().liveCount()));
    counts.Set("bytes", static_cast<double>(HandleTable::instance().liveBytes()));
    counts.Set("depth", static_cast<double>(HandleTable::instance().depth()));
    return counts;
  });
}

}  // namespace

Napi::Object initMemory(Napi::Env env, Napi::Object exports) {
  exports.Set("fromBytes", Napi::Function::New(env, fromBytes));
  exports.Set("fromMapped", Napi::Function::New(env, fromMapped));
  exports.Set("toBytes", Napi::Function::New(env, toBytes));
  exports.Set("item", Napi::Function::New(env, item));
  exports.Set("shape", Napi::Function::New(env, shape));
  exports.Set("dtype", Napi::Function::New(env, dtype));
  exports.Set("device", Napi::Function::New(env, device));
  exports.Set("isLive", Napi::Function::New(env, isLive));
  exports.Set("dispose", Napi::Function::New(env, freeTensor));
  exports.Set("keep", Napi::Function::New(env, keep));
  exports.Set("openScope", Napi::Function::New(env, openScope));
  exports.Set("closeScope", Napi::Function::New(env, closeScope));
  exports.Set("liveTensors", Napi::Function::New(env, liveTensors));
  return exports;
}

}  // namespace tandem
