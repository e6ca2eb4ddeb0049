// An index as JavaScript holds it. Training, adding, searching and writing run on a worker's thread and give promises;
// the JavaScript thread never waits for FAISS.
#pragma once

#include <napi.h>

#include <memory>
#include <shared_mutex>
#include <string>

#include "faiss-parts.h"

namespace tandem {

// What object and running work share. Searches run beside each other; what changes the index waits for all of them, on
// the worker's thread.
struct HeldIndex {
  std::unique_ptr<faiss::Index> index;
  std::shared_mutex mutex;
};

// Rows of f32 that JavaScript owns; the work keeps their array.
struct Rows {
  const float* data;
  int64_t count;
  int64_t dimension;
};

class IndexObject : public Napi::ObjectWrap<IndexObject> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Object wrap(Napi::Env env, std::unique_ptr<faiss::Index> index);

  explicit IndexObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<IndexObject>(info) {}
  void Finalize(Napi::Env env) override { report(env, 0); }

  // Tells V8 how much memory the index holds now.
  void report(Napi::Env env, int64_t bytes);

 private:
  Napi::Value facts(const Napi::CallbackInfo& info);
  Napi::Value setParameters(const Napi::CallbackInfo& info);
  Napi::Value train(const Napi::CallbackInfo& info);
  Napi::Value add(const Napi::CallbackInfo& info);
  Napi::Value search(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value dispose(const Napi::CallbackInfo& info);
  Napi::Value change(const Napi::CallbackInfo& info, void (*body)(faiss::Index&, const Rows&));
  std::shared_ptr<HeldIndex> held() const;

  std::shared_ptr<HeldIndex> held_;
  int64_t reported_ = 0;
};

// read(path) → promise of an index.
Napi::Value readIndex(const Napi::CallbackInfo& info);

}  // namespace tandem
