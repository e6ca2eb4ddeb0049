// The methods of an index and the work behind them. The traps: OpenMP's number of threads belongs to the thread that
// opens a parallel part, so each piece of work sets its own; an exception inside a parallel part of FAISS's ends the
// process, so everything that can be wrong is looked at before.
#include "index-object.h"

#include <faiss/Index.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <vector>

#include "blas.h"
#include "border.h"

namespace tandem {

namespace {

constexpr int64_t mostThreads = 4096;

// Work on libuv's pool whose end settles a promise. `run` throws what it likes; `finish` is on the JavaScript thread.
class Work : public Napi::AsyncWorker {
 public:
  using Run = std::function<void()>;
  using Finish = std::function<Napi::Value(Napi::Env)>;

  Work(Napi::Env env, Run run, Finish finish)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        run_(std::move(run)),
        finish_(std::move(finish)) {}

  // Keeps an object alive until the end.
  Work& keep(Napi::Object object) {
    kept_.push_back(Napi::Persistent(object));
    return *this;
  }

  Napi::Value start() {
    const Napi::Promise promise = deferred_.Promise();
    Queue();
    return promise;
  }

  void Execute() override {
    try {
      run_();
    } catch (...) {
      SetError(currentExceptionMessage());
    }
  }
  void OnOK() override {
    try {
      deferred_.Resolve(finish_(Env()));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    } catch (...) {
      deferred_.Reject(faissError(Env(), currentExceptionMessage()).Value());
    }
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(faissError(Env(), error.Message()).Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Run run_;
  Finish finish_;
  std::vector<Napi::ObjectReference> kept_;
};

Rows rowsOf(const Napi::Float32Array& array, int64_t dimension) {
  const int64_t length = static_cast<int64_t>(array.ElementLength());
  if (length % dimension != 0)
    throw std::invalid_argument(std::to_string(length) + " numbers are no rows of dimension " +
                                std::to_string(dimension));
  const auto* data = static_cast<const float*>(array.ArrayBuffer().Data());
  return {data == nullptr ? nullptr : data + array.ByteOffset() / sizeof(float), length / dimension, dimension};
}

void requireNumbers(const Rows& rows, const char* what) {
  for (int64_t row = 0; row < rows.count; row++) {
    const float* values = rows.data + row * rows.dimension;
    // A sum of finite numbers times zero is zero; one that isn't finite makes it NaN. Adding keeps the loop without a
    // branch.
    float sum = 0;
    for (int64_t i = 0; i < rows.dimension; i++) sum += values[i] * 0.0F;
    if (sum != 0)
      throw std::invalid_argument(std::string(what) + " " + std::to_string(row) + " holds what is no finite number");
  }
}

struct Found {
  std::vector<float> scores;
  std::vector<int64_t> rows;
};

// Best first, equal scores by row, and what wasn't found (-1) last with the worst score there is.
void order(float* scores, int64_t* rows, int64_t k, bool larger, int64_t size) {
  const float worst = larger ? -std::numeric_limits<float>::infinity() : std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < k; i++) {
    if (rows[i] < -1 || rows[i] >= size)
      throw std::runtime_error("the index names rows that it doesn't hold: it is damaged");
    if (rows[i] == -1 || std::isnan(scores[i])) {
      rows[i] = -1;
      scores[i] = worst;
    }
  }
  std::vector<int64_t> places(k);
  std::iota(places.begin(), places.end(), 0);
  const auto before = [&](int64_t a, int64_t b) {
    if ((rows[a] < 0) != (rows[b] < 0)) return rows[b] < 0;
    if (scores[a] != scores[b]) return larger ? scores[a] > scores[b] : scores[a] < scores[b];
    return rows[a] < rows[b];
  };
  if (std::is_sorted(places.begin(), places.end(), before)) return;
  std::sort(places.begin(), places.end(), before);
  std::vector<float> sortedScores(k);
  std::vector<int64_t> sortedRows(k);
  for (int64_t i = 0; i < k; i++) {
    sortedScores[i] = scores[places[i]];
    sortedRows[i] = rows[places[i]];
  }
  std::copy(sortedScores.begin(), sortedScores.end(), scores);
  std::copy(sortedRows.begin(), sortedRows.end(), rows);
}

void requireSearchable(const faiss::Index& index) {
  if (!index.is_trained) throw std::invalid_argument("the index isn't trained");
}

Found searchRows(const faiss::Index& index, const Rows& queries, int64_t k) {
  Found found;
  found.scores.resize(static_cast<size_t>(queries.count * k));
  found.rows.resize(static_cast<size_t>(queries.count * k));
  if (queries.count == 0) return found;
  index.search(queries.count, queries.data, k, found.scores.data(), found.rows.data());
  const bool larger = index.metric_type == faiss::METRIC_INNER_PRODUCT;
  for (int64_t query = 0; query < queries.count; query++)
    order(found.scores.data() + query * k, found.rows.data() + query * k, k, larger, index.ntotal);
  return found;
}

Napi::Value handedOut(Napi::Env env, const Found& found) {
  const size_t count = found.rows.size();
  Napi::Float32Array scores = Napi::Float32Array::New(env, count);
  Napi::Int32Array ids = Napi::Int32Array::New(env, count);
  std::copy(found.scores.begin(), found.scores.end(), scores.Data());
  std::transform(found.rows.begin(), found.rows.end(), ids.Data(),
                 [](int64_t row) { return static_cast<int32_t>(row); });
  Napi::Object result = Napi::Object::New(env);
  result.Set("scores", scores);
  result.Set("ids", ids);
  return result;
}

void addRows(faiss::Index& index, const Rows& rows) {
  if (!index.is_trained) throw std::invalid_argument("the index isn't trained");
  if (index.ntotal + rows.count >= std::numeric_limits<int32_t>::max())
    throw std::invalid_argument("an index holds fewer than 2^31 rows");
  requireNumbers(rows, "row");
  if (rows.count == 0) return;
  if (!takesIds(index)) return index.add(rows.count, rows.data);
  std::vector<int64_t> ids(static_cast<size_t>(rows.count));
  std::iota(ids.begin(), ids.end(), index.ntotal);
  index.add_with_ids(rows.count, rows.data, ids.data());
}

}  // namespace

Napi::Function IndexObject::define(Napi::Env env) {
  return DefineClass(
      env, "FaissIndex",
      {InstanceMethod<&IndexObject::facts>("facts"), InstanceMethod<&IndexObject::setParameters>("setParameters"),
       InstanceMethod<&IndexObject::train>("train"), InstanceMethod<&IndexObject::add>("add"),
       InstanceMethod<&IndexObject::search>("search"), InstanceMethod<&IndexObject::write>("write"),
       InstanceMethod<&IndexObject::dispose>("dispose")});
}

Napi::Object IndexObject::wrap(Napi::Env env, std::unique_ptr<faiss::Index> index) {
  const Napi::Object object = env.GetInstanceData<Environment>()->indexClass.New({});
  IndexObject* self = Unwrap(object);
  self->held_ = std::make_shared<HeldIndex>();
  self->held_->index = std::move(index);
  self->report(env, bytesOf(*self->held_->index));
  return object;
}

void IndexObject::report(Napi::Env env, int64_t bytes) {
  Napi::MemoryManagement::AdjustExternalMemory(env, bytes - reported_);
  reported_ = bytes;
}

std::shared_ptr<HeldIndex> IndexObject::held() const {
  if (held_ == nullptr) throw std::invalid_argument("the index is disposed of");
  return held_;
}

// facts() → {dimension, size, isTrained, metric, centroids, hasGraph, bytes}; throws while work changes the index.
Napi::Value IndexObject::facts(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto held = this->held();
    const std::shared_lock lock(held->mutex, std::try_to_lock);
    if (!lock.owns_lock()) throw std::invalid_argument("the index is being changed");
    faiss::Index& index = *held->index;
    Napi::Object facts = Napi::Object::New(info.Env());
    facts.Set("dimension", index.d);
    facts.Set("size", static_cast<double>(index.ntotal));
    facts.Set("isTrained", index.is_trained);
    facts.Set("metric", index.metric_type == faiss::METRIC_L2 ? "l2" : "inner-product");
    facts.Set("centroids", static_cast<double>(centroidsOf(index)));
    facts.Set("hasGraph", hasGraph(index));
    facts.Set("bytes", static_cast<double>(bytesOf(index)));
    return facts;
  });
}

// setParameters("nprobe=16,efSearch=64"); throws while work uses the index.
Napi::Value IndexObject::setParameters(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const std::string parameters = stringArgument(info, 0, "parameters");
    const auto held = this->held();
    const std::unique_lock lock(held->mutex, std::try_to_lock);
    if (!lock.owns_lock()) throw std::invalid_argument("the index is in use");
    tandem::setParameters(*held->index, parameters);
    return info.Env().Undefined();
  });
}

// train(vectors, threads) → promise.
Napi::Value IndexObject::train(const Napi::CallbackInfo& info) {
  return change(info, [](faiss::Index& index, const Rows& rows) {
    requireNumbers(rows, "row");
    const QuietTraining quiet(index);
    index.train(rows.count, rows.data);
  });
}

// add(vectors, threads) → promise; the rows are numbered on.
Napi::Value IndexObject::add(const Napi::CallbackInfo& info) { return change(info, addRows); }

Napi::Value IndexObject::change(const Napi::CallbackInfo& info, void (*body)(faiss::Index&, const Rows&)) {
  return guarded(info, [&]() -> Napi::Value {
    const auto held = this->held();
    const Napi::Float32Array vectors = floatsArgument(info, 0, "vectors");
    const int threads = static_cast<int>(wholeArgument(info, 1, "threads", 1, mostThreads));
    const Rows rows = rowsOf(vectors, held->index->d);
    auto bytes = std::make_shared<int64_t>(0);
    auto* work = new Work(
        info.Env(),
        [held, rows, threads, bytes, body] {
          const std::unique_lock lock(held->mutex);
          const Threads scope(threads);
          body(*held->index, rows);
          *bytes = bytesOf(*held->index);
        },
        [this, bytes](Napi::Env env) {
          if (held_ != nullptr) report(env, *bytes);
          return env.Undefined();
        });
    return work->keep(vectors).keep(Value()).start();
  });
}

// search(queries, k, threads) → promise of {scores, ids}, row-major; ids of -1 fill what wasn't found.
Napi::Value IndexObject::search(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto held = this->held();
    const Napi::Float32Array queries = floatsArgument(info, 0, "queries");
    const int64_t k = wholeArgument(info, 1, "k", 1, std::numeric_limits<int32_t>::max());
    const int threads = static_cast<int>(wholeArgument(info, 2, "threads", 1, mostThreads));
    const Rows rows = rowsOf(queries, held->index->d);
    auto found = std::make_shared<Found>();
    auto* work = new Work(
        info.Env(),
        [held, rows, k, threads, found] {
          const std::shared_lock lock(held->mutex);
          const Threads scope(threads);
          requireSearchable(*held->index);
          requireNumbers(rows, "query");
          *found = searchRows(*held->index, rows, k);
        },
        [found](Napi::Env env) { return handedOut(env, *found); });
    return work->keep(queries).keep(Value()).start();
  });
}

// write(path) → promise; FAISS's own format.
Napi::Value IndexObject::write(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const auto held = this->held();
    const std::string path = stringArgument(info, 0, "path");
    auto* work = new Work(
        info.Env(),
        [held, path] {
          const std::shared_lock lock(held->mutex);
          writeIndexFile(*held->index, path);
        },
        [](Napi::Env env) { return env.Undefined(); });
    return work->keep(Value()).start();
  });
}

// dispose(): frees the index, or leaves that to the work that still uses it.
Napi::Value IndexObject::dispose(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    held_.reset();
    report(info.Env(), 0);
    return info.Env().Undefined();
  });
}

Napi::Value readIndex(const Napi::CallbackInfo& info) {
  return guarded(info, [&]() -> Napi::Value {
    const std::string path = stringArgument(info, 0, "path");
    auto index = std::make_shared<std::unique_ptr<faiss::Index>>();
    auto* work = new Work(
        info.Env(), [index, path] { *index = readIndexFile(path); },
        [index](Napi::Env env) { return IndexObject::wrap(env, std::move(*index)); });
    return work->start();
  });
}

}  // namespace tandem
