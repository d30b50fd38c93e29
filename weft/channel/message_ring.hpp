// message_ring: the messages in line in a channel, first in, first out. Bounded: one block of slots,
// made at the beginning. Unbounded: a ring of such blocks that grows by one where it is full, and keeps
// what it has, so that it allocates no more once it has been as long as it gets.
//
//   Threads  none of its own: guarded by the channel's lock
//   Cost     that of T's move; of `segment_slots` messages one goes on to the next block
//   Memory   the slots; given back at the end
#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <type_traits>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"

namespace weft::detail {

/// What can go through a channel: it is moved while a spin lock is held and the other side waits for
/// it, so there is no way back from a move that throws.
template <class T>
concept message = std::is_object_v<T> && std::is_nothrow_move_constructible_v<T> &&
                  std::is_nothrow_destructible_v<T>;

/// A message of this type is refused with a reason that says what to do.
template <class T>
constexpr void require_message() noexcept {
  static_assert(!std::is_void_v<T>, "a channel of nothing: send an empty struct");
  static_assert(!std::is_reference_v<T>, "a channel of references: send a pointer");
  static_assert(std::is_void_v<T> || std::is_reference_v<T> || message<T>,
                "the move constructor and the destructor of a message must be noexcept: a message "
                "is moved where nothing can be undone. Send a std::unique_ptr of it");
}

template <message T>
class message_ring {
 public:
  static constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t segment_slots = 64;

  /// Its slots follow it.
  struct segment {
    segment* next = nullptr;
    void* slot(std::size_t i) noexcept {
      return reinterpret_cast<unsigned char*>(this) + header + i * sizeof(T);
    }
  };

  /// `slots` for a bounded one: 0 is allowed, it holds nothing. no_limit: grows.
  explicit message_ring(std::size_t slots)
      : slots_(slots == no_limit ? segment_slots : slots), grows_(slots == no_limit) {
    if (slots_ == 0) return;
    head_ = tail_ = make_segment();
    head_->next = head_;
  }
  ~message_ring() {
    while (count_.get() != 0) pop([](T&&) noexcept {});
    if (head_ == nullptr) return;
    segment* const first = head_;
    for (segment* s = first->next; s != first;) free_segment(std::exchange(s, s->next));
    free_segment(first);
  }
  message_ring(const message_ring&) = delete;
  message_ring& operator=(const message_ring&) = delete;

  std::size_t count() const noexcept { return count_.get(); }

  /// False: there is no slot: it must grow first. Otherwise the caller has seen that there is room.
  [[nodiscard]] bool push(T&& value) noexcept {
    if (WEFT_UNLIKELY(tail_at_ == slots_) && !step_tail()) return false;
    ::new (tail_->slot(tail_at_)) T(std::move(value));
    ++tail_at_;
    count_.set(count_.get() + 1);
    return true;
  }
  /// Calls take(T&&) for the oldest, which then is no more. The caller has seen that there is one.
  template <class Take>
  void pop(Take take) noexcept {
    if (WEFT_UNLIKELY(head_at_ == slots_)) {
      head_ = head_->next;
      head_at_ = 0;
    }
    T* const oldest = std::launder(static_cast<T*>(head_->slot(head_at_)));
    take(std::move(*oldest));
    oldest->~T();
    ++head_at_;
    count_.set(count_.get() - 1);
  }

  /// A segment more, for grow(). Not under the lock. Errors: std::bad_alloc.
  segment* make_segment() const {
    WEFT_ASSERT(slots_ <= no_limit / 4 / sizeof(T), "a channel of that capacity fits no memory");
    const std::size_t bytes = header + slots_ * sizeof(T);
    return ::new (::operator new(bytes, align)) segment;
  }
  /// Room for more messages at the end.
  void grow(segment* more) noexcept {
    more->next = tail_->next;
    tail_->next = more;
  }

 private:
  static constexpr std::size_t header = (sizeof(void*) + alignof(T) - 1) / alignof(T) * alignof(T);
  static constexpr std::align_val_t align{alignof(T) > cache_line ? alignof(T) : cache_line};

  static void free_segment(segment* s) noexcept { ::operator delete(s, align); }

  WEFT_NOINLINE bool step_tail() noexcept {
    // The next block of a growing one may hold the oldest messages; a bounded one's only block has
    // free slots at its front, or there would be no room.
    if (grows_ && count_.get() != 0 && tail_->next == head_) return false;
    if (count_.get() == 0) head_ = tail_->next, head_at_ = 0;
    tail_ = tail_->next;
    tail_at_ = 0;
    return true;
  }

  // One cache line, with the lock in front of it: what every send and receive writes.
  plain<std::size_t> count_{0};
  std::size_t head_at_ = 0;  // may stand behind the last slot
  std::size_t tail_at_ = 0;  // the same
  const std::size_t slots_;  // of a segment
  segment* head_ = nullptr;
  segment* tail_ = nullptr;
  const bool grows_;
};

}  // namespace weft::detail
