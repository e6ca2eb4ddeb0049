// What processes do together: libtorch's own c10d, without Python. Stores (who is where), groups (gloo and NCCL: sums,
// copies, gatherings) and c10d::Reducer, the core of PyTorch's DistributedDataParallel. No collective and no bucketing
// of our own. JavaScript holds numbers, never pointers. The trap: every call here blocks the JavaScript thread until
// the other processes have made the same call. Only a worker process may use it, and whoever watches over workers ends
// one that waits for a process which is gone.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <unordered_map>

namespace tandem {

// Things of one kind by number; 0 is none.
template <typename Thing>
class Numbered {
 public:
  explicit Numbered(const char* name) : name_(name) {}

  uint32_t add(Thing thing) {
    things_.emplace(++last_, std::move(thing));
    return last_;
  }

  Thing& get(double number) {
    const auto found = things_.find(static_cast<uint32_t>(number));
    if (found == things_.end()) throw std::invalid_argument(std::string("this ") + name_ + " is closed");
    return found->second;
  }

  void remove(double number) { things_.erase(static_cast<uint32_t>(number)); }

 private:
  const char* name_;
  std::unordered_map<uint32_t, Thing> things_;
  uint32_t last_ = 0;
};

Numbered<c10::intrusive_ptr<c10d::Store>>& stores();
Numbered<c10::intrusive_ptr<c10d::ProcessGroup>>& groups();

// Gives back what NCCL holds for a group, if it has any part in it.
void leaveNccl(const c10::intrusive_ptr<c10d::ProcessGroup>& group);

}  // namespace tandem
