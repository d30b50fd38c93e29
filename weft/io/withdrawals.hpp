// withdrawals: how a stopper on any thread tells the owner of a completion driver to take an
// operation back, while that operation may be completing.
//
//   Threads  ask: any; everything else: the driver's owner
//   Cost     one read-modify-write for an operation that nobody stops; two more for one that is
//
// Protocol
//   op.phase, four bits that are only ever set, and what the owner does with the operation:
//     asked    a stop came. By the stopper, once (job::stop withdraws an operation once).
//     over     the kernel has answered. By the owner.
//     seen     the owner took the operation out of the inbox, and no cancel that names it is in the kernel, nor
//              to go there. By the owner.
//     nothing  with over: it ends as stopped. By the owner.
//   The inbox: a stack of operations, linked through op.link; pushed by stoppers, taken whole.
//
//   I1  An operation is pushed exactly if `asked` was set before `over`: one of the two fetch_ors
//       comes first. So a stop that comes too late never touches the inbox.
//   I2  An operation that is pushed, or about to be, ends only after the owner took it out and had the last
//       answer to its cancels (over and seen both set, whichever came second): neither the inbox
//       nor a cancel ever names a frame that has gone.
//   I3  The stopper does not touch the operation after the push. (It could: job::stop keeps it
//       alive until withdraw() returns. But the bell, rung next, needs the driver only.)
//   P1  ask: push (release)  ->  take (acquire): the stopper's part of the job, and link.
//   P2  finish: fetch_or over (release)  ->  ask: fetch_or asked (acquire): nothing is read through
//       it; it keeps the stopper's view behind the end, as the stop slot does (job.cpp P2, P3).
//   No stop is lost: the push is followed by a ring of the bell, and the owner looks into the inbox
//   after it took the ring (wait()). An operation between two submissions (a partial send) is asked
//   after `asked` before it is handed over again. One that is between two tries of the kernel's own is
//   found by no cancel, which says so: then the owner cancels again, until it is over.
//   Rejected: cancelling from the stopper's thread (the submission queue has one owner); an inbox
//   of allocated notes (a stop must not fail); ending at once and letting the kernel finish later
//   (it still writes to the buffer).
#pragma once

#include "weft/base/atomic.hpp"
#include "weft/io/driver.hpp"

namespace weft::io {

class withdrawals {
 public:
  /// Before the operation is armed in its job.
  static void prepare(io_operation& op) noexcept { op.phase.store(0, order::relaxed); }

  enum class ask_result : std::uint8_t { queued, too_late };
  /// By a stopper. queued: ring the bell.
  [[nodiscard]] ask_result ask(io_operation& op) noexcept {
    const std::uint32_t before = op.phase.fetch_or(asked, order::acq_rel);  // P2
    if (!WEFT_MUTATE("withdrawals.ask.always_pushes", (before & over) == 0, true)) {
      return ask_result::too_late;  // I1
    }
    io_operation* top = inbox_.load(order::relaxed);
    do {
      op.link = top;
    } while (!inbox_.compare_exchange_weak(
        top, &op, WEFT_MUTATE("withdrawals.push.relaxed", order::release, order::relaxed),  // P1
        order::relaxed));
    return ask_result::queued;
  }

  bool was_asked(const io_operation& op) const noexcept {
    return (op.phase.load(order::relaxed) & asked) != 0;
  }

  enum class finish_result : std::uint8_t { end_it, wait_for_inbox };
  /// The kernel has answered, or never had it: the operation is over.
  [[nodiscard]] finish_result finish(io_operation& op, bool stopped) noexcept {
    const std::uint32_t before =
        op.phase.fetch_or(over | (stopped ? nothing : 0), order::acq_rel);  // P2
    if (WEFT_MUTATE("withdrawals.finish.ends_at_once", false, true)) return finish_result::end_it;
    const bool in_inbox = (before & asked) != 0 && (before & seen) == 0;
    return in_inbox ? finish_result::wait_for_inbox : finish_result::end_it;  // I2
  }

  /// All that were asked for since, linked through `link`; look() at each.
  [[nodiscard]] io_operation* take() noexcept {
    if (inbox_.load(order::relaxed) == nullptr) return nullptr;  // usual; a push rings the bell
    return inbox_.exchange(nullptr, order::acquire);             // P1
  }

  enum class look_result : std::uint8_t { cancel_it, end_it, end_stopped };
  /// The operation is out of the inbox, and no cancel of it is under way: what to do with it.
  /// cancel_it: look() again when that was answered.
  [[nodiscard]] look_result look(io_operation& op) noexcept {
    if (WEFT_MUTATE("withdrawals.look.sees_too_early", false, true)) answered(op);
    const std::uint32_t now = op.phase.load(order::relaxed);  // all but `asked` is the owner's
    if ((now & over) == 0) return look_result::cancel_it;
    return (now & nothing) != 0 ? look_result::end_stopped : look_result::end_it;  // I2
  }
  /// No more cancels: the operation ends when it is over.
  void answered(io_operation& op) noexcept { op.phase.fetch_or(seen, order::relaxed); }
  bool empty() const noexcept { return inbox_.load(order::relaxed) == nullptr; }

 private:
  static constexpr std::uint32_t asked = 1;
  static constexpr std::uint32_t over = 2;
  static constexpr std::uint32_t seen = 4;
  static constexpr std::uint32_t nothing = 8;

  atomic<io_operation*> inbox_{nullptr};
};

}  // namespace weft::io
