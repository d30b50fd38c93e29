// A queue between processes, one of which is killed: a thread that stops after any of its steps, and is
// known to be dead from then on. The others go on, and miss nothing but what it was in the middle of.
#include "weft/shared/ring.hpp"

#include <utility>

#include "weft/os/futex.hpp"
#include "weft/shared/members.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::shared {
namespace {

constexpr std::uint64_t capacity = 4;

struct setting {
  members all;
  ring places;
  plain<int> place[capacity];
  atomic<bool> dead{false};  // what the system knows: behind all that the dead one did

  unsigned join(std::uint64_t identity) { return all.attach(identity); }

  /// Locks; frees the lock of a dead one, as see_to_the_dead() does.
  void lock(unsigned me, std::uint64_t identity) {
    while (!all.try_lock(me)) {
      if (!dead.load(order::acquire) || !bury(identity)) cpu_pause();
    }
  }
  bool bury(std::uint64_t identity) {
    for (unsigned i = 0; i < 3; ++i) {
      if (all.who(i) != 1 || !all.take_over(i, 1, identity)) continue;
      all.detach(i);
      return true;
    }
    return false;
  }
  bool put(int value) {
    if (!places.has_room(capacity)) return false;
    place[places.to_write(capacity)].set(value);
    places.commit_put();
    return true;
  }
  int take() {
    if (!places.has_message()) return 0;
    const int value = place[places.to_read(capacity)].get();
    places.commit_take();
    return value;
  }
  /// Puts `value`, and is killed after so many steps. True: it had committed.
  bool put_and_die(unsigned me, int value, int steps) {
    if (steps-- == 0) return false;
    while (!all.try_lock(me)) cpu_pause();
    if (steps-- == 0) return false;
    place[places.to_write(capacity)].set(value);
    if (steps-- == 0) return false;
    places.commit_put();
    if (steps-- == 0) return true;
    static_cast<void>(all.unlock());
    return true;
  }
};

#define DYING_WRITER(steps, ...)                                                  \
  WEFT_MODEL_TEST(shared_queue, writer_killed_after_step_##steps, __VA_ARGS__) {  \
    setting s;                                                                    \
    const unsigned dies = s.join(1);                                              \
    const unsigned a = s.join(2);                                                 \
    const unsigned b = s.join(3);                                                 \
    bool committed = false;                                                       \
    int got[2] = {};                                                              \
    model.thread("killed", [&] {                                                  \
      committed = s.put_and_die(dies, 7, steps);                                  \
      s.dead.store(true, order::release);                                         \
    });                                                                           \
    model.thread("writer", [&] {                                                  \
      s.lock(a, 2);                                                               \
      model.check(s.put(8), "there was no room");                                 \
      static_cast<void>(s.all.unlock());                                          \
    });                                                                           \
    model.thread("reader", [&] {                                                  \
      s.lock(b, 3);                                                               \
      got[0] = s.take();                                                          \
      static_cast<void>(s.all.unlock());                                          \
    });                                                                           \
    model.run();                                                                  \
    int seen = got[0];                                                            \
    s.lock(a, 2);                                                                 \
    while (const int next = s.take()) seen = seen * 10 + next;                    \
    model.check(seen == 8 ? !committed : committed && (seen == 78 || seen == 87), \
                "a message was lost, or there twice, or half");                   \
    model.outcome("done");                                                        \
  }

DYING_WRITER(0, model::reaches("done"))
DYING_WRITER(1, model::reaches("done"), model::kills("members.take_over.leaves_lock"))
DYING_WRITER(2, model::reaches("done"), model::kills("members.take_over.leaves_lock"))
DYING_WRITER(3, model::reaches("done"), model::kills("members.take_over.leaves_lock"))
DYING_WRITER(4, model::reaches("done"),
             model::kills("members.lock.relaxed", "members.unlock.relaxed"))

// A look at the count without the lock, and the message behind it: what a reader relies on that took
// the lock from a dead writer and so has no unlock to see.
WEFT_MODEL_TEST(shared_queue, committed_message_is_there_without_an_unlock,
                model::kills("ring.put.relaxed", "ring.count.relaxed"),
                model::reaches("empty", "there")) {
  setting s;
  model.thread("writer", [&] { static_cast<void>(s.put(7)); });
  model.thread("reader", [&] {
    const int got = s.take();
    model.check(got == 0 || got == 7, "half a message");
    model.outcome(got == 0 ? "empty" : "there");
  });
  model.run();
}

// A reader that finds nothing listens, looks once more, and sleeps. (What a semaphore's look would see in
// any case, being seq_cst, this one sees by P3 of members.hpp alone.)
WEFT_MODEL_TEST(shared_queue, reader_does_not_sleep_while_there_is_a_message,
                model::kills("signal.listen.relaxed", "signal.changed.relaxed"),
                model::spurious_max(0, "whoever is woken looks again, as for nothing"),
                model::reaches("slept", "at once")) {
  setting s;
  signal_word filled;
  model.thread("writer", [&] {
    static_cast<void>(s.put(7));
    if (filled.changed()) os::futex_wake(filled.word(), 8);
  });
  model.thread("reader", [&] {
    bool slept = false;
    for (;;) {
      const std::uint32_t heard = filled.listen();
      if (s.places.has_message()) break;
      slept = true;
      static_cast<void>(os::futex_wait(filled.word(), heard, never_ns));
    }
    model.check(s.take() == 7, "half a message");
    model.outcome(slept ? "slept" : "at once");
  });
  model.run();
}

// Two see to the same dead one, which held the lock: it is freed once, and whoever has it keeps it.
WEFT_MODEL_TEST(shared_queue, two_that_see_to_the_dead_do_not_free_the_lock_of_the_living,
                model::reaches("done")) {
  setting s;
  const unsigned dies = s.join(1);
  const unsigned a = s.join(2);
  const unsigned b = s.join(3);
  model.check(s.all.try_lock(dies), "it is free");
  s.dead.store(true, order::release);
  plain<int> inside(0);
  for (const auto& [me, identity] :
       {std::pair(a, std::uint64_t{2}), std::pair(b, std::uint64_t{3})}) {
    model.thread("heir", [&, me, identity] {
      s.lock(me, identity);
      inside.set(inside.get() + 1);
      static_cast<void>(s.all.unlock());
    });
  }
  model.run();
  model.check(inside.get() == 2, "both were in");
  model.outcome("done");
}

}  // namespace
}  // namespace weft::shared
