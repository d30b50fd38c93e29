// heap: what a model's code asks the heap for stays until the execution ends, and is given back then, also
// if the execution is left in the middle. What the checker itself needs meanwhile is the checker's.
//
//   Why  a use after the lifetime meets the dead object, not a new one in its place; and nobody unwinds
//        the stacks of an execution that is left
#pragma once

#include <cstddef>
#include <cstdlib>

namespace weft::model {

class execution_heap {
 public:
  /// The model's code runs, not the checker's.
  static inline bool is_on = false;

  ~execution_heap() {
    give_all_back();
    std::free(blocks_);
  }
  void keep(void* block) noexcept {
    if (count_ == room_) {
      room_ = room_ ? 2 * room_ : 256;
      // No vector: it would ask operator new, which calls this.
      blocks_ = static_cast<void**>(std::realloc(blocks_, room_ * sizeof(void*)));
      if (!blocks_) std::abort();
    }
    blocks_[count_++] = block;
  }
  void give_all_back() noexcept {
    for (std::size_t i = 0; i < count_; ++i) std::free(blocks_[i]);
    count_ = 0;
  }

 private:
  void** blocks_ = nullptr;
  std::size_t count_ = 0;
  std::size_t room_ = 0;
};

/// In a function of the checker that may allocate, and does not let other threads move.
class checker_code {
 public:
  checker_code() noexcept : was_on_(execution_heap::is_on) { execution_heap::is_on = false; }
  checker_code(const checker_code&) = delete;
  checker_code& operator=(const checker_code&) = delete;
  ~checker_code() { execution_heap::is_on = was_on_; }

 private:
  bool was_on_;
};

}  // namespace weft::model
