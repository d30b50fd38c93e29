// handover: where a thread without a processor waits for one.
//
//   Threads  give: whoever took the waiting thread from the list of spares, or the end of the
//            runtime; take: the thread. One give for a take
//   Memory   all that the giver did to the processor, and saw of it, happens before take() returns
//
// Words
//   word_   0 empty | 1 given. give() writes 1, take() writes 0
//   given_  written before word_ says 1; read after
// Pairings
//   P1  give: word_ = 1 (release)  ->  take: word_ (acquire): given_, and the processor's contents
// Why no wake is lost: the futex compares the word, and give() changes it before it wakes.
#pragma once

#include <cstdint>

#include "weft/base/atomic.hpp"
#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"

namespace weft::detail {

template <class T>
class handover {
 public:
  handover() noexcept = default;
  handover(const handover&) = delete;
  handover& operator=(const handover&) = delete;

  /// nullptr: there will be none any more.
  void give(T* what) noexcept {
    given_.set(what);
    word_.store(1, WEFT_MUTATE("handover.give.relaxed", order::release, order::relaxed));  // P1
    if (!WEFT_MUTATE("handover.give.wakes_nobody", false, true)) os::futex_wake(word_, 1);
  }
  T* take() noexcept {
    while (word_.load(order::acquire) == 0) {  // P1
      static_cast<void>(os::futex_wait(word_, 0, never_ns));
    }
    word_.store(0, order::relaxed);
    return given_.get();
  }

 private:
  atomic<std::uint32_t> word_{0};
  plain<T*> given_{nullptr};
};

}  // namespace weft::detail
