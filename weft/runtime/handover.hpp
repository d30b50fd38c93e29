// handover: where a thread without a processor waits for one.
//
//   Threads  give: whoever took the waiting thread from the list of spares; end: the end of the runtime;
//            take: the thread. One give for a take
//   Memory   all that the giver did to the processor, and saw of it, happens before take() returns
//
// Words
//   word_   EMPTY | GIVEN | ENDED. EMPTY -> GIVEN by give(), GIVEN -> EMPTY by take(); ENDED stays
//   given_  written before word_ says GIVEN; read after
// Pairings
//   P1  give: word_ = GIVEN (release)  ->  take: word_ (acquire): given_, and the processor's contents
// Why no wake is lost: the futex compares the word, and give() and end() change it before they wake.
// The end does not wait for a taker that was given something and has not woken yet: that one finds
// ENDED, and what it was given stays where it is, as all work is over.
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

  void give(T& what) noexcept {
    given_.set(&what);
    std::uint32_t seen = EMPTY;
    word_.compare_exchange(
        seen, GIVEN, WEFT_MUTATE("handover.give.relaxed", order::release, order::relaxed),  // P1
        order::relaxed);
    if (!WEFT_MUTATE("handover.give.wakes_nobody", false, true)) os::futex_wake(word_, 1);
  }
  /// nullptr: there will be none any more.
  T* take() noexcept {
    std::uint32_t seen = word_.load(order::relaxed);
    while (seen != ENDED) {
      if (seen == EMPTY) {
        static_cast<void>(os::futex_wait(word_, EMPTY, never_ns));
        seen = word_.load(order::relaxed);
      } else if (word_.compare_exchange(seen, EMPTY, order::acquire, order::relaxed)) {  // P1
        return given_.get();
      }
    }
    return nullptr;
  }
  void end() noexcept {
    word_.store(ENDED, order::relaxed);
    os::futex_wake(word_, 1);
  }

 private:
  enum : std::uint32_t { EMPTY, GIVEN, ENDED };
  atomic<std::uint32_t> word_{EMPTY};
  plain<T*> given_{nullptr};
};

}  // namespace weft::detail
