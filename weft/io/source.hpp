// source: what the epoll driver keeps beside a descriptor: one word for each direction, in which
// readiness, the waiting operation and a stop meet.
//
//   Threads  submitters, the driver that waits, and stoppers, all at once: who may do what is below
//   Memory   type-stable: a source is used again but never freed, so a late event finds a source,
//            perhaps of another descriptor, and all it can do there is to cause a vain try
//   Cost     a wait that has to wait: three compare-exchanges, no lock, no allocation
//   After    Go's netpoll (pollDesc: one word a direction); tokio's scheduled_io (generations)
//
// Protocol
//   The word: an operation's address and three bits.
//     0                      nobody waits, nothing happened
//     event                  the kernel reported readiness since the last submitter's try
//     op                     armed: whoever takes op out of the word owns it
//     op|held (|event|stop)  somebody is trying the call for op: its submitter before it is armed,
//                            the driver after an event; meanwhile an event came or a stop was
//                            asked for
//   Transitions, and who makes them:
//     reserve   0 -> op|held; event -> 0             submitter, after its try said "not yet"
//     put_back  op|held -> op; op|held|event -> op|held; op|held|stop -> 0      the holder
//     release   op|held|.. -> 0                      the holder: the call is done
//     event     0 -> event; op -> op|held; op|held -> op|held|event             the driver
//     withdraw  op -> 0; op|held -> op|held|stop     the stopper
//
//   I1  From job::arm() until the operation is ended, the word holds its address: a stop that comes
//       between arming and publishing finds op|held and leaves its wish there. So does one that
//       comes while the driver tries the call.
//   I2  Only the holder touches the operation; op alone has no holder, and taking it (event,
//       withdraw) is one compare-exchange that exactly one wins. So it ends exactly once.
//   I3  Whoever gives up the hold, or took op out by withdraw, touches the operation afterwards
//       only to end it; after a put_back that says `armed`, not at all.
//   P1  put_back: op|held -> op (release)  ->  event, withdraw: op -> (acquire): op's fields, such
//       as how many bytes were moved so far.
//   P2  event: sets event (release)  ->  reserve, put_back: take it (acquire): the try that follows
//       sees the readiness, or the failed registration, that was reported.
//   No wake is lost: readiness that comes after a try and before the word becomes op is an event
//   that meets 0 or op|held, leaves its bit, and makes reserve or put_back send the submitter back
//   to try again; one that comes later finds op. Events dropped by release and by a stop came
//   before the next submitter's first try, which sees what they told of. No stop is lost: I1.
//   D1  A receive that was given less than it has room for has emptied the socket. The next try is left
//       out then, a system call that would say "not yet"; an event that came since lies in the word, or
//       was forgotten by release(), which says so: then the call is tried. What the kernel tells of once
//       and a short receive leaves behind (the end of the stream, an error, urgent data) is no state in
//       which a receive says `drained`: the driver sees to that.
//   Rejected: publishing op only after arming it (a stop in between finds nothing, and the
//   operation cannot be asked because it may be gone); a lock (held across the call, by a thread
//   that may be descheduled); a count of registrations (a close has nobody in flight by contract).
#pragma once

#include <cstdint>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/io/attempt.hpp"
#include "weft/io/driver.hpp"

namespace weft::io {

/// One direction of a source.
class readiness {
 public:
  enum class reserve_result : std::uint8_t { held, try_again };
  /// By the submitter: the direction is op's, which it holds.
  [[nodiscard]] reserve_result reserve(io_operation& op) noexcept {
    std::uintptr_t seen = 0;
    if (word_.compare_exchange(seen, address(op) | held_bit, order::relaxed, order::relaxed)) {
      return reserve_result::held;
    }
    WEFT_ASSERT(seen == event_bit,
                "two tasks wait for the same direction of one descriptor; give it to one of them");
    if (WEFT_MUTATE("source.reserve.ignores_event", false, true)) {
      word_.store(address(op) | held_bit, order::relaxed);
      return reserve_result::held;
    }
    word_.exchange(0, order::acquire);  // P2; only this thread takes an event out
    return reserve_result::try_again;
  }

  enum class put_back_result : std::uint8_t {
    armed,      // it waits for an event; hands off
    try_again,  // an event came during the try; still held
    stopped,    // taken out for a stop that came during the try: end it
  };
  /// By the holder, whose try said "not yet".
  [[nodiscard]] put_back_result put_back(io_operation& op) noexcept {
    std::uintptr_t seen = address(op) | held_bit;
    if (word_.compare_exchange(
            seen, address(op),
            WEFT_MUTATE("source.put_back.relaxed", order::release, order::relaxed),  // P1
            order::relaxed)) {
      return put_back_result::armed;
    }
    if (seen & stop_bit) {
      word_.store(0, order::relaxed);  // with op|held|stop nobody else writes but more event bits
      return put_back_result::stopped;
    }
    if (WEFT_MUTATE("source.put_back.ignores_event", false, true)) {
      word_.store(address(op), order::release);
      return put_back_result::armed;
    }
    word_.fetch_and(~event_bit, order::acquire);  // P2
    return put_back_result::try_again;
  }

  /// By the holder: the call is done; the direction is free for the next operation.
  void release(attempt how = attempt::done) noexcept {
    const bool event_forgotten = (word_.exchange(0, order::relaxed) & event_bit) != 0;
    drained_ = how == attempt::drained &&
               (!event_forgotten || WEFT_MUTATE("source.release.forgets", false, true));  // D1
  }
  /// By the submitter, who has not reserved it: its try gave this.
  void tried(attempt how) noexcept { drained_ = how == attempt::drained; }
  /// By the submitter: whether a first try would be in vain, unless reserve() says otherwise.
  [[nodiscard]] bool take_drained() noexcept { return std::exchange(drained_, false); }
  /// By the holder: whether a stop was asked for.
  bool stop_asked() const noexcept { return (word_.load(order::relaxed) & stop_bit) != 0; }

  /// By the driver: the kernel reports readiness. Result: the operation to try, now held, or null.
  [[nodiscard]] io_operation* event() noexcept {
    std::uintptr_t seen = word_.load(order::relaxed);
    for (;;) {
      const bool waits = seen > bits && (seen & held_bit) == 0;
      const std::uintptr_t next = seen | (waits ? held_bit : event_bit);
      // The word must be written even if it does not change: the write is what carries P2.
      if (word_.compare_exchange_weak(
              seen, WEFT_MUTATE("source.event.forgets", next, waits ? next : seen),
              WEFT_MUTATE("source.event.relaxed", order::acq_rel, order::relaxed),  // P1, P2
              order::relaxed)) {
        return waits ? reinterpret_cast<io_operation*>(seen) : nullptr;
      }
    }
  }

  enum class withdraw_result : std::uint8_t {
    taken,  // the operation is the caller's, to end it
    asked,  // its holder ends it, one way or the other
    gone,   // it has ended, or its holder is ending it
  };
  /// By the stopper.
  [[nodiscard]] withdraw_result withdraw(io_operation& op) noexcept {
    std::uintptr_t seen = address(op);
    if (word_.compare_exchange(seen, 0, order::acquire, order::relaxed)) {  // P1
      return withdraw_result::taken;
    }
    while ((seen & ~bits) == address(op)) {
      if (WEFT_MUTATE("source.withdraw.forgets", false, true)) return withdraw_result::asked;
      if ((seen & held_bit) == 0) {
        if (word_.compare_exchange(seen, 0, order::acquire, order::relaxed)) {  // P1
          return withdraw_result::taken;
        }
      } else if (word_.compare_exchange(seen, seen | stop_bit, order::relaxed, order::relaxed)) {
        return withdraw_result::asked;
      }
    }
    return withdraw_result::gone;
  }

  /// When the source changes hands. An event that is under way may still be noted afterwards.
  void reset() noexcept {
    WEFT_ASSERT(word_.exchange(0, order::relaxed) <= event_bit,
                "a descriptor was closed while an operation was in flight; stop its task first");
    drained_ = false;
  }

 private:
  static constexpr std::uintptr_t event_bit = 1;
  static constexpr std::uintptr_t stop_bit = 2;
  static constexpr std::uintptr_t held_bit = 4;
  static constexpr std::uintptr_t bits = event_bit | stop_bit | held_bit;
  static std::uintptr_t address(io_operation& op) noexcept {
    static_assert(alignof(io_operation) > bits);
    return reinterpret_cast<std::uintptr_t>(&op);
  }

  atomic<std::uintptr_t> word_{0};
  bool drained_ = false;  // of whoever submits, and after that of the holder
};

/// The operation was stopped and is the caller's: ends it. Bytes that a `whole` one has moved
/// already are not denied: it is told as an error of its own, with `moved` saying how many.
inline void end_stopped(io_operation& op) noexcept {
  const bool had_effect = op.whole && op.moved != 0;
  op.answer = io_operation::answer_interrupted;
  op.end(!had_effect);
}

enum class held_end : std::uint8_t {
  ended,  // the operation was completed, or stopped
  armed,  // an event will come
  held,   // attempt::more: keep it in a backlog and call carry_on() again
};

/// The driver's side: `op` is held; tries the call until it ends or waits again.
template <class Try>
[[nodiscard]] held_end carry_on(readiness& word, io_operation& op, Try try_call) noexcept {
  for (;;) {
    const attempt how = try_call(op);
    switch (how) {
      case attempt::done:
      case attempt::drained:
        word.release(how);
        op.end(false);
        return held_end::ended;
      case attempt::more:
        if (!word.stop_asked()) return held_end::held;
        word.release();
        end_stopped(op);
        return held_end::ended;
      case attempt::not_yet:
        break;
    }
    switch (word.put_back(op)) {
      case readiness::put_back_result::armed:
        return held_end::armed;
      case readiness::put_back_result::try_again:
        break;
      case readiness::put_back_result::stopped:
        end_stopped(op);
        return held_end::ended;
    }
  }
}

enum class start_result : std::uint8_t {
  done,     // as submitted::done
  pending,  // as submitted::pending
  stopped,  // as submitted::stopped
  held,     // pending, and the driver must carry_on() with it: attempt::more
};

/// The submitter's side. `watch(op)` makes sure that events come, or sets op.answer and says false.
template <class Try, class Watch>
[[nodiscard]] start_result start(readiness& word, io_operation& op, promise_base& waiter,
                                 Try try_call, Watch watch) noexcept {
  attempt tried = word.take_drained() ? attempt::not_yet : try_call(op);  // D1
  while (!is_done(tried) && word.reserve(op) == readiness::reserve_result::try_again) {
    tried = try_call(op);
  }
  if (is_done(tried)) {
    word.tried(tried);
    return start_result::done;
  }
  job& owner = *waiter.owner();
  if (owner.arm(op, waiter) == job::arm_result::stopped) {
    word.release();
    if (!(op.whole && op.moved != 0)) return start_result::stopped;
    op.answer = io_operation::answer_interrupted;
    return start_result::done;
  }
  for (;;) {  // armed in the job and held here: stops and events leave their bits (I1)
    // Watched also when there is more to move at once: the driver goes on with it, and may come to
    // the point where it has to wait.
    if (WEFT_MUTATE("source.start.more_unwatched", false, tried == attempt::more)) {
      return start_result::held;
    }
    if (is_done(tried) || !watch(op)) break;
    if (tried == attempt::more) return start_result::held;
    switch (word.put_back(op)) {
      case readiness::put_back_result::armed:
        return start_result::pending;
      case readiness::put_back_result::try_again:
        tried = try_call(op);
        break;
      case readiness::put_back_result::stopped:
        end_stopped(op);
        return start_result::pending;
    }
  }
  word.release(tried);
  if (owner.disarm(op) == job::disarm_result::disarmed) return start_result::done;
  op.end(false);
  return start_result::pending;
}

/// A watched descriptor's state.
struct alignas(cache_line) source {
  readiness reading;
  readiness writing;
  atomic<driver*> home{nullptr};        // whose epoll watches it; set by the first that has to wait
  atomic<std::uint32_t> generation{0};  // counts the descriptors that it stood for
  atomic<bool> short_means_empty{false};  // of a receive that gave less than was asked for: D1
  std::uint32_t index = 0;                // in the slab
  source* next_free = nullptr;

  /// What its events carry.
  std::uint64_t tag() const noexcept {
    return std::uint64_t{generation.load(order::relaxed)} << 32 | index;
  }
};

/// All sources of the process. Threads: any.
source* allocate_source() noexcept;  // nullptr: no memory
void free_source(source& s) noexcept;
/// The source of an event, or nullptr if it has come to stand for another descriptor.
source* find_source(std::uint64_t tag) noexcept;

}  // namespace weft::io
