// A semaphore between processes under all schedules: nobody sleeps while there are permits, no more are
// had than there are, and those of one that is killed come back.
#include "weft/os/futex.hpp"
#include "weft/shared/members.hpp"
#include "weft/shared/permits.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::shared {
namespace {

#define SHARED_MODEL_LIMITS model::spurious_max(0, "whoever is woken looks again, as for nothing")

/// What processes have in common, and what each does: as semaphore_end and attachment, whose waits are
/// coroutines over these same words.
struct setting {
  members all;
  permits owned;
  atomic<bool> dead{false};  // what the system knows: behind all that the dead one did

  explicit setting(std::uint32_t total) { owned.set_total(total); }
  unsigned join(std::uint64_t identity) { return all.attach(identity); }

  void lock(unsigned me) {
    while (!all.try_lock(me)) {
      std::uint32_t value = 0;
      if (!all.contend(value)) continue;
      static_cast<void>(os::futex_wait(all.lock_word(), value, never_ns));
    }
  }
  void unlock() {
    if (all.unlock()) os::futex_wake(all.lock_word(), 8);
  }
  void tell() {
    if (owned.given().changed()) os::futex_wake(owned.given().word(), 8);
  }

  void acquire(unsigned me, std::uint32_t n) {
    for (;;) {
      lock(me);
      const std::uint32_t heard = owned.given().listen();
      const bool taken = owned.take(me, n);
      unlock();
      if (taken) return;
      static_cast<void>(os::futex_wait(owned.given().word(), heard, never_ns));
    }
  }
  void release(unsigned me, std::uint32_t n) {
    owned.give(me, n);
    tell();
  }
  /// As see_to_the_dead(): of identity 1.
  void bury(unsigned its, std::uint64_t identity) {
    if (all.who(its) != 1 || !all.take_over(its, 1, identity)) return;
    os::futex_wake(all.lock_word(), 8);
    if (owned.give_all(its)) tell();
    all.detach(its);
  }
};

WEFT_MODEL_TEST(shared_semaphore, nobody_sleeps_while_there_is_a_permit,
                model::kills("permits.give.relaxed", "permits.look.relaxed"), SHARED_MODEL_LIMITS) {
  setting s(1);
  const unsigned a = s.join(1);
  const unsigned b = s.join(2);
  plain<int> written(0);
  model.check(s.owned.take(a, 1), "it is free");
  model.thread("releaser", [&] {
    written.set(1);
    s.release(a, 1);
  });
  model.thread("waiter", [&] {
    s.acquire(b, 1);
    model.check(written.get() == 1, "the permit came, what was written before it did not");
  });
  model.run();
  model.check(s.owned.free() == 0 && s.owned.held(b) == 1, "it was taken once");
}

WEFT_MODEL_TEST(shared_semaphore, one_permit_keeps_one_in,
                model::kills("members.lock.relaxed", "members.unlock.relaxed"),
                SHARED_MODEL_LIMITS) {
  setting s(1);
  const unsigned ids[2] = {s.join(1), s.join(2)};
  plain<int> inside(0);
  for (const unsigned me : ids) {
    model.thread("visitor", [&, me] {
      s.acquire(me, 1);
      inside.set(inside.get() + 1);
      s.release(me, 1);
    });
  }
  model.run();
  model.check(inside.get() == 2 && s.owned.free() == 1, "both were in, and are out");
}

WEFT_MODEL_TEST(shared_semaphore, two_wait_and_each_gets_one,
                model::kills("signal.changed.not_counted"),
                model::stale_max(0, "the first one has all"), SHARED_MODEL_LIMITS) {
  setting s(2);
  const unsigned a = s.join(1);
  const unsigned ids[2] = {s.join(2), s.join(3)};
  model.check(s.owned.take(a, 2), "they are free");
  for (const unsigned me : ids) {
    model.thread("waiter", [&, me] { s.acquire(me, 1); });
  }
  model.thread("releaser", [&] {
    s.release(a, 1);
    s.release(a, 1);
  });
  model.run();
  model.check(s.owned.free() == 0, "each permit was taken once");
}

// Killed with a permit, and with or without the lock: both come back, once, and wake who waits.
template <bool has_lock>
void killed(model::world& model) {
  setting s(1);
  const unsigned dies = s.join(1);
  const unsigned a = s.join(2);
  const unsigned b = s.join(3);
  plain<int> written(0);
  model.check(s.all.try_lock(dies) && s.owned.take(dies, 1), "it is free");
  if (!has_lock) s.unlock();
  model.thread("killed", [&] {
    written.set(1);
    s.dead.store(true, order::release);
  });
  model.thread("waiter", [&] {
    s.acquire(a, 1);
    written.set(written.get() + 1);
  });
  model.thread("heir", [&] {  // one that has waited for long, in another process
    while (!s.dead.load(order::acquire)) cpu_pause();
    s.bury(dies, 3);
  });
  model.run();
  model.check(s.owned.held(dies) == 0 && s.owned.held(a) == 1, "the dead one's permit is had once");
  model.check(s.owned.held(b) == 0 && written.get() == 2, "the waiter had it");
}
WEFT_MODEL_TEST(shared_semaphore, killed_with_a_permit, model::kills("permits.give_all.relaxed"),
                SHARED_MODEL_LIMITS) {
  killed<false>(model);
}
WEFT_MODEL_TEST(shared_semaphore, killed_with_a_permit_and_the_lock,
                model::kills("members.take_over.leaves_lock"), SHARED_MODEL_LIMITS) {
  killed<true>(model);
}

}  // namespace
}  // namespace weft::shared
