// local_queue: items of one thread, first in, first out. No bound, no allocation, no atomics: what a
// worker keeps for itself and no thief may have.
//
//   Threads  the owner
#pragma once

#include <utility>

#include "weft/base/assert.hpp"

namespace weft {

/// T has a member `next`; an item is in one queue at a time.
template <class T>
class local_queue {
 public:
  local_queue() noexcept = default;
  ~local_queue() { WEFT_ASSERT(empty(), "a local queue was destroyed with work in it"); }
  local_queue(const local_queue&) = delete;
  local_queue& operator=(const local_queue&) = delete;

  void push_back(T* item) noexcept {
    item->next = nullptr;
    (first_ != nullptr ? last_->next : first_) = item;
    last_ = item;
  }
  /// The oldest, or null.
  [[nodiscard]] T* pop() noexcept {
    T* const item = first_;
    if (item != nullptr) first_ = item->next;
    return item;
  }
  /// All of `before` comes first; that is empty then.
  void prepend(local_queue& before) noexcept {
    if (before.empty()) return;
    before.last_->next = first_;
    if (first_ == nullptr) last_ = before.last_;
    first_ = std::exchange(before.first_, nullptr);
  }
  bool empty() const noexcept { return first_ == nullptr; }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;  // valid unless empty
};

}  // namespace weft
