#include "handle-table.h"

#include <cmath>
#include <stdexcept>
#include <unordered_set>

namespace tandem {

namespace {
constexpr uint64_t kSlotBits = 26;
constexpr uint64_t kSlotMask = (1ULL << kSlotBits) - 1;
constexpr uint32_t kMaxGeneration = (1U << 27) - 1;
constexpr uint32_t kNoSlot = UINT32_MAX;
}  // namespace

HandleTable& HandleTable::instance() {
  // Leaked on purpose: tensors that outlive the environment must not be destroyed after libtorch's own statics.
  static HandleTable* table = new HandleTable();
  return *table;
}

Handle HandleTable::add(at::Tensor tensor) {
  uint32_t slot;
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else {
    if (slots_.size() > kSlotMask) throw std::runtime_error("too many live tensors; close a scope or dispose of some");
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  }
  Slot& entry = slots_[slot];
  entry.bytes = tensor.is_sparse() ? 0 : static_cast<int64_t>(tensor.nbytes());
  entry.tensor = std::move(tensor);
  entry.used = true;
  entry.scoped = !scopes_.empty();
  live_count_++;
  live_bytes_ += entry.bytes;
  const auto handle = static_cast<double>((static_cast<uint64_t>(entry.generation) << kSlotBits) | slot);
  if (entry.scoped) scopes_.back().push_back(handle);
  return handle;
}

uint32_t HandleTable::slotOf(double handle) const {
  if (!(handle >= 1) || handle > 9007199254740991.0 || handle != std::floor(handle)) return kNoSlot;
  const auto bits = static_cast<uint64_t>(handle);
  const uint64_t slot = bits & kSlotMask;
  if (slot >= slots_.size()) return kNoSlot;
  const Slot& entry = slots_[slot];
  return entry.used && entry.generation == (bits >> kSlotBits) ? static_cast<uint32_t>(slot) : kNoSlot;
}

bool HandleTable::live(double handle) const { return slotOf(handle) != kNoSlot; }

const at::Tensor& HandleTable::get(double handle) const {
  const uint32_t slot = slotOf(handle);
  if (slot == kNoSlot)
    throw std::invalid_argument("the tensor was freed by its scope or by dispose(), or is no tensor");
  return slots_[slot].tensor;
}

void HandleTable::release(uint32_t slot) {
  Slot& entry = slots_[slot];
  live_bytes_ -= entry.bytes;
  live_count_--;
  entry.tensor = at::Tensor();
  entry.used = false;
  // A slot whose generations are used up is retired: a handle is never given out twice.
  if (entry.generation++ < kMaxGeneration) free_slots_.push_back(slot);
}

void HandleTable::free(double handle) {
  const uint32_t slot = slotOf(handle);
  if (slot != kNoSlot) release(slot);
}

void HandleTable::keep(double handle) {
  const uint32_t slot = slotOf(handle);
  if (slot == kNoSlot)
    throw std::invalid_argument("the tensor was freed by its scope or by dispose(), or is no tensor");
  slots_[slot].scoped = false;
}

void HandleTable::openScope() { scopes_.emplace_back(); }

void HandleTable::closeScope(const std::vector<double>& kept) {
  if (scopes_.empty()) throw std::logic_error("no scope is open");
  const std::vector<double> made = std::move(scopes_.back());
  scopes_.pop_back();
  const std::unordered_set<double> survivors(kept.begin(), kept.end());
  for (const double handle : made) {
    const uint32_t slot = slotOf(handle);
    if (slot == kNoSlot || !slots_[slot].scoped) continue;
    if (survivors.count(handle) == 0) {
      release(slot);
    } else if (scopes_.empty()) {
      slots_[slot].scoped = false;
    } else {
      scopes_.back().push_back(handle);
    }
  }
}

}  // namespace tandem
