// The table that owns every tensor JavaScript can name, and the scopes that free them. JavaScript holds numbers, never
// pointers: a stale or made-up number is an error, not a crash. Not thread-safe: every call comes from the one
// JavaScript thread.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

namespace tandem {

// A handle is slot + generation * 2^26, below 2^53, so that it is exact in a JavaScript number; 0 is "no tensor".
using Handle = double;

class HandleTable {
 public:
  static HandleTable& instance();

  Handle add(at::Tensor tensor);
  // Throws std::invalid_argument when the handle is not live.
  const at::Tensor& get(double handle) const;
  bool live(double handle) const;
  void free(double handle);

  void openScope();
  // Frees what the innermost scope made, except `kept`, which the scope around it then owns.
  void closeScope(const std::vector<double>& kept);
  // Takes a tensor out of every scope: it lives until it is freed by name.
  void keep(double handle);

  size_t liveCount() const { return live_count_; }
  size_t depth() const { return scopes_.size(); }
  int64_t liveBytes() const { return live_bytes_; }

 private:
  struct Slot {
    at::Tensor tensor;
    uint32_t generation = 1;
    bool used = false;
    bool scoped = false;
    int64_t bytes = 0;
  };

  uint32_t slotOf(double handle) const;
  void release(uint32_t slot);

  std::vector<Slot> slots_;
  std::vector<uint32_t> free_slots_;
  std::vector<std::vector<double>> scopes_;
  size_t live_count_ = 0;
  int64_t live_bytes_ = 0;
};

}  // namespace tandem
