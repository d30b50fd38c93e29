// Protocol
//
// word_   0 EMPTY    nobody waits
//         waiter*    SINGLE: one waits, and is on no list. Whoever changes the word from it by a
//                    compare-exchange owns that waiter; no lock
//         1 MANY     the waiters are on list_, under lock_
//         EMPTY -> SINGLE and SINGLE -> EMPTY without the lock; SINGLE -> MANY and MANY -> EMPTY
//         with it. So while the lock is held and the word is MANY, it stays MANY.
//
// phase_  of a waiter: bits that are only ever added while it waits
//         1 left     add_if() will not touch the waiter or the queue any more. By the adder
//         2 ended    a taker owns it and has filled it. By wake()
//         4 asked    a stopper came while `left` was not set. By withdraw()
//
//   I1  Outside of the lock: MANY if and only if list_ is not empty.
//   I2  A waiter that was published is taken out once: by a taker, by its stopper, or by its adder.
//       Who takes it out ends it, so it ends once.
//   I3  Neither the waiter nor the queue dies before `left`: a taker that meets no `left` does not
//       finish the operation, but leaves that to the adder, which finds `ended` when it wants to
//       leave. (The woken job may destroy the queue, an event in its own frame, say. So without
//       `left`, even to ask must_wait() after publishing would be a use after free.)
//   I4  A stopper that meets no `left` does not look into the queue, where the waiter may not have
//       arrived yet: it leaves `asked`, and the adder takes the waiter out when it finds that.
//   I5  linked_ and the hook are touched under the lock only, while others can see the waiter.
//       take_all() moves the list to itself in one step, still under the lock's guard (a waiter can
//       be unlinked from any list), and unlinks in batches; it wakes when the last is out, so that
//       it does not come back to a queue that a woken job has destroyed.
//
// Orderings
//   P1  publish: CAS EMPTY -> w (release)  ->  CAS w -> ... (acquire) by a taker, or by a second
//       adder, who links it: the waiter's contents. In MANY by the lock.
//   P2  stay: CAS 0 -> left (release)  ->  wake: fetch_or ended (acquire): the adder's last access
//       to queue and waiter, which the woken job may destroy.
//   P3  wake: fetch_or ended (release)  ->  stay fails, leave_to_taker (acquire): what the taker
//       filled in, when the adder itself goes on with it.
//   P4  stay: CAS 0 -> left (release)  ->  withdraw: fetch_or asked (acquire): that it was
//       published: a stopper that does not find it in the queue knows that it was taken.
//   S   publish, then must_wait(), against change, then a look at word_: all four seq_cst.
//
// No wake is lost. In the one order of seq_cst accesses either the change comes before must_wait()
// reads, which then says so and the waiter is taken back; or the taker's look at word_ comes after
// the waiter was published. Then the taker sees SINGLE or MANY, and
//   - claims the waiter;
//   - or fails, because another took it out: a taker, who wakes it, its stopper, or its adder, to
//     whom it was of no use; then the next in line is looked for;
//   - or waits for the lock of an adder that is just making MANY.
//
// That a second adder does not write the word by a seq_cst operation is no gap: it has acquired
// what the first one published by one, so no later look can see EMPTY from before; and who sees the
// stale SINGLE fails to claim it, and looks again.
//
// No stop is lost: see I4. With `left` set the stopper itself takes it out, or it was taken.
//
// Rejected: publish as the last access, and the condition in the same word (the primitive could not
// choose its state's shape). A stopper that waits until the adder has published (a descheduled
// adder would stall it). To search for the waiter by address without touching it (O(n) under the
// lock; and the queue may be gone, too). Handing MANY back to SINGLE when one is left (flapping).
#include "weft/task/wait_queue.hpp"

#include "weft/base/assert.hpp"

namespace weft {
namespace {

constexpr std::uint32_t phase_left = 1;
constexpr std::uint32_t phase_ended = 2;
constexpr std::uint32_t phase_asked = 4;

std::uintptr_t as_word(wait_queue::waiter& w) noexcept {
  return reinterpret_cast<std::uintptr_t>(&w);
}
wait_queue::waiter& as_waiter(std::uintptr_t word) noexcept {
  return *reinterpret_cast<wait_queue::waiter*>(word);
}

}  // namespace

wait_queue::~wait_queue() {
  WEFT_ASSERT(
      word_.load(order::relaxed) == word_empty,
      "a primitive was destroyed while somebody waits in it; stop or join the waiters first");
}

// --- adding ---

bool wait_queue::enter(waiter& w, promise_base& who) noexcept {
  w.queue_ = this;
  w.phase_.store(0, order::relaxed);
  if (who.owner()->arm(w, who) == job::arm_result::stopped) return false;
  publish(w);
  return true;
}

void wait_queue::publish(waiter& w) noexcept {
  std::uintptr_t seen = word_.load(order::relaxed);
  for (;;) {
    if (seen == word_empty) {
      if (word_.compare_exchange(  // P1, S
              seen, as_word(w),
              WEFT_MUTATE("wait_queue.publish.relaxed",
                          WEFT_MUTATE("wait_queue.publish.release", order::seq_cst, order::release),
                          order::relaxed),
              order::relaxed)) {
        return;
      }
      continue;
    }
    spin_guard guard(lock_);
    seen = word_.load(order::relaxed);
    if (seen == word_empty) continue;
    if (seen != word_many) {
      const std::uintptr_t single = seen;
      if (!word_.compare_exchange(  // P1
              seen, word_many,
              WEFT_MUTATE("wait_queue.many.relaxed", order::acquire, order::relaxed),
              order::relaxed)) {
        continue;
      }
      link(as_waiter(single));
    }
    link(w);
    return;
  }
}

void wait_queue::link(waiter& w) noexcept {
  w.linked_.set(true);
  list_.push_back(w);
}

wait_queue::add_result wait_queue::stay(waiter& w) noexcept {
  if (WEFT_MUTATE("wait_queue.asked.ignored", false, true)) {
    return (w.phase_.fetch_or(phase_left, order::acq_rel) & phase_ended) ? end_here(w)
                                                                         : add_result::waiting;
  }
  std::uint32_t seen = 0;
  if (w.phase_.compare_exchange(
          seen, phase_left,
          WEFT_MUTATE("wait_queue.left.relaxed", order::release, order::relaxed),        // P2, P4
          WEFT_MUTATE("wait_queue.granted.relaxed", order::acquire, order::relaxed))) {  // P3
    return add_result::waiting;  // The last access: both may be gone.
  }
  if (seen & phase_ended) return end_here(w);
  if (remove(w)) {  // I4
    w.left_queue();
    w.finish(true);
    return add_result::waiting;
  }
  return leave_to_taker(w);
}

wait_queue::add_result wait_queue::take_back(waiter& w) noexcept {
  if (!remove(w)) return leave_to_taker(w);
  if (w.owner()->disarm(w) == job::disarm_result::disarmed) return add_result::not_needed;
  w.left_queue();
  w.finish(true);  // nothing has happened, and its job is being stopped
  return add_result::waiting;
}

/// Somebody has taken it out, and may still have to fill it.
wait_queue::add_result wait_queue::leave_to_taker(waiter& w) noexcept {
  const std::uint32_t before = w.phase_.fetch_or(  // P2, P3
      phase_left, WEFT_MUTATE("wait_queue.to_taker.relaxed", order::acq_rel, order::relaxed));
  return (before & phase_ended) ? end_here(w) : add_result::waiting;
}

/// A taker has ended it and left the rest to us (I3).
wait_queue::add_result wait_queue::end_here(waiter& w) noexcept {
  if (w.owner()->disarm(w) == job::disarm_result::disarmed) return add_result::granted;
  w.finish(false);  // completion came first
  return add_result::waiting;
}

// --- taking ---

wait_queue::waiter& wait_queue::pop() noexcept {
  waiter& w = list_.pop_front();
  w.linked_.set(false);
  if (list_.empty()) word_.store(word_empty, order::relaxed);  // I1
  return w;
}

wait_queue::waiter* wait_queue::take_one() noexcept {
  std::uintptr_t seen = word_.load(  // S
      WEFT_MUTATE("wait_queue.look.acquire", order::seq_cst, order::acquire));
  while (seen != word_empty) {
    if (seen != word_many) {
      const std::uintptr_t single = seen;
      if (word_.compare_exchange(
              seen, word_empty,
              // P1. The look above acquired, too, but a failed attempt here did not.
              WEFT_MUTATE("wait_queue.claim.relaxed", order::acquire, order::relaxed),
              order::relaxed)) {
        return &as_waiter(single);
      }
      continue;
    }
    spin_guard guard(lock_);
    seen = word_.load(order::relaxed);
    if (seen == word_many) return &pop();
  }
  return nullptr;
}

/// With the lock held if there is one.
wait_queue::waiter* wait_queue::lock_front() noexcept {
  if (word_.load(order::seq_cst) == word_empty) return nullptr;  // S
  lock_.lock();
  std::uintptr_t seen = word_.load(order::relaxed);
  while (seen != word_empty &&
         seen != word_many) {  // a single cannot be looked at before it is ours
    const std::uintptr_t single = seen;
    if (word_.compare_exchange(seen, word_many, order::acquire, order::relaxed)) {  // P1
      link(as_waiter(single));
      seen = word_many;
    }
  }
  if (seen == word_many) return &list_.front();
  lock_.unlock();
  return nullptr;
}

void wait_queue::unlock_front(bool take) noexcept {
  if (take) pop();
  lock_.unlock();
}

void wait_queue::take_all(list& taken) noexcept {
  list mine;                                         // I5
  std::uintptr_t seen = word_.load(order::seq_cst);  // S
  for (;;) {
    if (seen == word_empty) return;
    if (seen != word_many) {
      const std::uintptr_t single = seen;
      if (word_.compare_exchange(seen, word_empty, order::acquire, order::relaxed)) {  // P1
        taken.push_back(as_waiter(single));
        return;
      }
      continue;
    }
    spin_guard guard(lock_);
    seen = word_.load(order::relaxed);
    if (seen != word_many) continue;
    mine.splice_back(list_);
    word_.store(word_empty, order::relaxed);
    break;
  }
  for (bool more = true; more;) {
    spin_guard guard(lock_);
    for (unsigned n = 0; n < batch_max && !mine.empty(); ++n) {
      waiter& w = mine.pop_front();
      w.linked_.set(WEFT_MUTATE("wait_queue.all.still_linked", false, true));
      taken.push_back(w);
    }
    more = !mine.empty();
  }
}

void wait_queue::wake(waiter& taken) noexcept {
  const std::uint32_t before = taken.phase_.fetch_or(  // P2, P3
      phase_ended,
      WEFT_MUTATE("wait_queue.ended.acquire",
                  WEFT_MUTATE("wait_queue.ended.release", order::acq_rel, order::release),
                  order::acquire));
  if (WEFT_MUTATE("wait_queue.wake.does_not_ask", (before & phase_left) == 0, false)) return;  // I3
  taken.finish(false);
}

void wait_queue::wake(list& taken) noexcept {
  while (!taken.empty()) wake(taken.pop_front());
}

bool wait_queue::wake_one() noexcept {
  waiter* const w = take_one();
  if (w == nullptr) return false;
  wake(*w);
  return true;
}

void wait_queue::wake_all() noexcept {
  list taken;
  take_all(taken);
  wake(taken);
}

// --- taking back ---

/// True: it was in the queue, is out, and the caller's to end. Only when it was surely published.
bool wait_queue::remove(waiter& w) noexcept {
  std::uintptr_t seen = as_word(w);
  if (word_.compare_exchange(seen, word_empty, order::relaxed, order::relaxed)) return true;
  spin_guard guard(lock_);
  // It can have become part of the list since, but not a single again.
  if (!w.linked_.get()) return false;
  w.linked_.set(false);
  w.unlink();
  if (seen = word_.load(order::relaxed); seen == word_many && list_.empty()) {  // I1
    word_.store(WEFT_MUTATE("wait_queue.remove.stays_many", word_empty, word_many), order::relaxed);
  }
  return true;
}

void wait_queue::withdraw(waiter& w) noexcept {
  const std::uint32_t before = w.phase_.fetch_or(  // P4
      phase_asked, WEFT_MUTATE("wait_queue.asked.relaxed", order::acquire, order::relaxed));
  if ((before & phase_left) == 0) return;  // I4
  if (!remove(w)) return;                  // taken: completion wins
  w.left_queue();
  w.finish(true);
}

}  // namespace weft
