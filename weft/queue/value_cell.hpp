// value_cell: room for one value that a queue's protocol fills and empties. It keeps no flag of its
// own: the protocol knows. The interleaving checker does: it sees a cell filled twice, emptied
// twice, and a cell that one thread fills while another may still be emptying it.
//
//   Threads  whoever owns the cell at the moment, as the queue has decided
//   Cost     that of T's move
#pragma once

#include <new>
#include <type_traits>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"

namespace weft {

/// What can go through a queue by value: after a slot is claimed there is no way back, so a move
/// must not throw.
template <class T>
concept queue_value = std::is_nothrow_move_constructible_v<T> &&
                      std::is_nothrow_move_assignable_v<T> && std::is_nothrow_destructible_v<T>;

template <queue_value T>
class value_cell {
 public:
  value_cell() noexcept = default;
  value_cell(const value_cell&) = delete;
  value_cell& operator=(const value_cell&) = delete;

  void fill(T&& value) noexcept {
    watch(false, true);
    ::new (static_cast<void*>(bytes_)) T(static_cast<T&&>(value));
  }
  void empty_into(T& out) noexcept {
    watch(true, false);
    out = static_cast<T&&>(value());
    value().~T();
  }
  void drop() noexcept {
    watch(true, false);
    value().~T();
  }

 private:
  T& value() noexcept { return *std::launder(reinterpret_cast<T*>(bytes_)); }

#if WEFT_MODEL
  void watch(bool before, bool after) noexcept {
    WEFT_ASSERT(full_.get() == before, "a cell of a queue was filled or emptied twice");
    full_.set(after);
  }
  plain<bool> full_;
#else
  void watch(bool, bool) noexcept {}
#endif
  alignas(T) unsigned char bytes_[sizeof(T)];
};

}  // namespace weft
