// model-sources: weft/sync/shared_mutex.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Readers and writers under all schedules. What it guards is a plain variable: a writer beside
// anybody is a data race. Here one may overtake, and then it is handed over.
#include "weft/sync/shared_mutex.hpp"

#include <memory>

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")
#define SYNC_MODEL_STALE model::stale_max(1, "other models cover it")

enum class end { locked, stopped, stopped_when_woken };

/// Locks, does it, unlocks.
template <bool Writes, class F, class Waits>
end visit(shared_mutex::locking<Writes>&& locking, model::job_thread& me, F f, Waits waits) {
  if (!model::await(me, locking, waits)) {
    return locking.owner() == nullptr || locking.was_stopped() ? end::stopped
                                                               : end::stopped_when_woken;
  }
  const auto held = locking.await_resume();
  f();
  return end::locked;
}
/// False: stopped.
template <bool Writes, class F>
bool with(shared_mutex::locking<Writes>&& locking, model::job_thread& me, F f) {
  return visit(std::move(locking), me, f, [] {}) == end::locked;
}

WEFT_MODEL_TEST(shared_mutex, writer_is_alone,
                model::kills("shared_mutex.enter.relaxed", "shared_mutex.leave.relaxed",
                             "shared_mutex.came_up.writer_beside_readers",
                             "shared_mutex.leave.last_reader_lets_nobody_in",
                             "shared_mutex.leave.hold_forgotten", "wait_list.crowded.forgotten"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  shared_mutex m;
  plain<int> value(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("writer",
                 [&, i] { with(m.lock(), jobs[i], [&] { value.set(value.get() + 1); }); });
  }
  model.thread("reader", [&] {
    with(m.lock_shared(), jobs[2], [&] { model.check(value.get() <= 2, "a value of no writer"); });
  });
  model.run();
  model.check(value.get() == 2 && m.try_lock(), "both wrote, and it is free");
}

WEFT_MODEL_TEST(shared_mutex, writer_waits_for_all_readers,
                model::kills("shared_mutex.enter_beside.relaxed",
                             "shared_mutex.writer_leaves_beside.relaxed",
                             "shared_mutex.entered_while_it_is_left"),
                SYNC_MODEL_STALE, SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  shared_mutex m;
  plain<int> value(0);
  for (int i = 0; i < 2; ++i) {
    model.thread("reader", [&, i] {
      with(m.lock_shared(), jobs[i],
           [&] { model.check(value.get() % 3 == 0, "half a write was read"); });
    });
  }
  model.thread("writer", [&] {
    for (int i = 0; i < 2; ++i) {
      with(m.lock(), jobs[2], [&] {
        value.set(value.get() + 1);
        value.set(value.get() + 2);
      });
    }
  });
  model.run();
  model.check(value.get() == 6 && m.try_lock(), "it wrote, and it is free");
}

WEFT_MODEL_TEST(shared_mutex, stopped_writer_lets_readers_in,
                model::kills("shared_mutex.left.lets_nobody_in"),
                model::reaches("stopped", "waited"), model::never("wrote"), SYNC_MODEL_STALE,
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  shared_mutex m;
  auto held = m.try_lock_shared();
  plain<int> value(0);
  model.thread("writer", [&] {
    const bool wrote = with(m.lock(), jobs[0], [&] { value.set(1); });
    model.outcome(wrote ? "wrote" : "stopped");
  });
  int read = 0;
  model.thread("reader", [&] {
    for (int i = 0; i < 2; ++i) {  // one may overtake
      visit(
          m.lock_shared(), jobs[1], [&] { read += value.get() == 0; },
          [&] { model.outcome("waited"); });
    }
  });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run_until_idle();  // the first reader is still in
  model.check(read == 2, "the reader waits behind a writer that was stopped");
  held.unlock();
  model.run();
  model.check(bool(m.try_lock()), "all are out");
}

WEFT_MODEL_TEST(shared_mutex, stopped_one_does_not_keep_the_lock,
                model::kills("wait_list.taken.still_waits", "shared_mutex.came_up.lets_nobody_in"),
                model::reaches("locked", "stopped", "stopped when woken"), SYNC_MODEL_STALE,
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  shared_mutex m;
  plain<int> inside(0);
  const auto adds = [&] { inside.set(inside.get() + 1); };
  model.thread("writer", [&] {
    const end how = visit(m.lock(), jobs[0], adds, [] {});
    model.outcome(how == end::locked    ? "locked"
                  : how == end::stopped ? "stopped"
                                        : "stopped when woken");
  });
  model.thread("reader", [&] {
    model.check(with(m.lock_shared(), jobs[1], [&] { static_cast<void>(inside.get()); }),
                "only the first one is stopped");
  });
  model.thread("writer", [&] { model.check(with(m.lock(), jobs[2], adds), "only the first one"); });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(inside.get() >= 1 && m.try_lock(), "the others were in, and are out");
}

WEFT_MODEL_TEST(shared_mutex, stopped_reader_does_not_keep_the_lock,
                model::kills("shared_mutex.came_up.lets_nobody_in"),
                model::reaches("locked", "stopped", "stopped when woken"), SYNC_MODEL_STALE,
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  shared_mutex m;
  plain<int> inside(0);
  const auto adds = [&] { inside.set(inside.get() + 1); };
  model.thread("reader", [&] {
    const end how =
        visit(m.lock_shared(), jobs[0], [&] { static_cast<void>(inside.get()); }, [] {});
    model.outcome(how == end::locked    ? "locked"
                  : how == end::stopped ? "stopped"
                                        : "stopped when woken");
  });
  for (int i = 1; i < 3; ++i) {
    model.thread("writer", [&, i] { model.check(with(m.lock(), jobs[i], adds), "not stopped"); });
  }
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
  model.check(inside.get() == 2 && m.try_lock(), "the others were in, and are out");
}

/// `Waits` waits, once, while one of the other kind, or of both, runs on and on; perhaps beside a reader
/// that stays in for a while.
template <bool Waits>
void overtaking(model::world& w, bool (*runner_writes)(int turn), bool one_stays = false) {
  model::job_thread jobs[2];
  shared_mutex m;
  shared_mutex_guard<false> staying;
  if (one_stays) {
    staying = m.try_lock_shared();
    w.thread("stays", [&] { staying.unlock(); });
  }
  plain<int> inside(0);
  atomic<bool> waits(false);  // relaxed: a value that is not the newest only hides overtaking
  atomic<unsigned> overtaken(0);
  w.thread("waiter", [&] {
    shared_mutex::locking<Waits> locking(m);
    const bool locked = model::await(jobs[0], locking, [&] { waits.store(true, order::relaxed); });
    w.check(locked, "nobody stops it");
    const auto held = locking.await_resume();
    waits.store(false, order::relaxed);
    if constexpr (Waits) {
      inside.set(inside.get() + 1);
    } else {
      static_cast<void>(inside.get());
    }
    const unsigned n = overtaken.load(order::relaxed);
    w.outcome(n != 0 ? "overtaken" : "first");
    // One had locked before this one waited.
    w.check(n <= shared_mutex::overtakes_max + 1, "overtaken too often");
  });
  w.thread("runner", [&] {
    const auto counts = [&] {
      if (waits.load(order::relaxed)) overtaken.fetch_add(1, order::relaxed);
    };
    for (int i = 0; i < 4; ++i) {
      const bool locked = runner_writes(i) ? with(m.lock(), jobs[1],
                                                  [&] {
                                                    inside.set(inside.get() + 1);
                                                    counts();
                                                  })
                                           : with(m.lock_shared(), jobs[1], [&] {
                                               static_cast<void>(inside.get());
                                               counts();
                                             });
      w.check(locked, "nobody stops it");
    }
  });
  w.run();
  w.check(bool(m.try_lock()), "both are out");
}

WEFT_MODEL_TEST(shared_mutex, writer_is_not_overtaken_without_end,
                model::kills("shared_mutex.overtakes.without_end"),
                model::reaches("overtaken", "first"), SYNC_MODEL_LIMITS) {
  overtaking<true>(model, [](int) { return false; });
}
WEFT_MODEL_TEST(shared_mutex, writer_that_waits_for_a_reader_is_not_overtaken_without_end,
                model::kills("shared_mutex.overtakes.of_those_in_line_uncounted"),
                model::reaches("overtaken", "first"), SYNC_MODEL_STALE, SYNC_MODEL_LIMITS) {
  overtaking<true>(model, [](int) { return false; }, true);
}
WEFT_MODEL_TEST(shared_mutex, writer_is_not_overtaken_by_writers_without_end,
                model::kills("shared_mutex.overtakes.without_end",
                             "shared_mutex.hand_over.frees_it"),
                model::reaches("overtaken", "first"), SYNC_MODEL_LIMITS) {
  overtaking<true>(model, [](int turn) { return turn % 2 == 0; });
}
WEFT_MODEL_TEST(shared_mutex, reader_is_not_overtaken_without_end,
                model::kills("shared_mutex.overtakes.without_end",
                             "shared_mutex.hand_over.frees_it"),
                model::reaches("overtaken", "first"), SYNC_MODEL_LIMITS) {
  overtaking<false>(model, [](int) { return true; });
}

/// Of two that wait the first is in first, whatever a runner does that comes and goes.
template <bool FirstWrites>
void first_come(model::world& w) {
  model::job_thread jobs[3];
  shared_mutex m;
  plain<int> inside(0);
  atomic<bool> first_waits(false);
  plain<bool> first_was_in(false);
  w.thread("first", [&] {
    shared_mutex::locking<FirstWrites> locking(m);
    const bool locked =
        model::await(jobs[0], locking, [&] { first_waits.store(true, order::release); });
    w.check(locked, "nobody stops it");
    const auto held = locking.await_resume();
    first_was_in.set(true);
  });
  w.thread("second", [&] {
    const bool comes_later = first_waits.load(order::acquire);
    bool waited = false;
    auto locking = m.lock();
    w.check(model::await(jobs[1], locking, [&] { waited = true; }), "nobody stops it");
    const auto held = locking.await_resume();
    if (!comes_later || !waited) return;
    w.outcome("both waited");
    w.check(first_was_in.get(), "who waited first is in first");
  });
  w.thread("runner", [&] {
    for (int i = 0; i < 2; ++i) {
      const bool locked = with(m.lock(), jobs[2], [&] { inside.set(inside.get() + 1); });
      w.check(locked, "nobody stops it");
    }
  });
  w.run();
}

WEFT_MODEL_TEST(shared_mutex, who_came_up_in_vain_is_the_oldest_still,
                model::kills("shared_mutex.in_vain.goes_to_the_back"),
                model::reaches("both waited"), SYNC_MODEL_STALE, SYNC_MODEL_LIMITS) {
  first_come<true>(model);
}
WEFT_MODEL_TEST(shared_mutex, reader_that_is_coming_is_older_than_a_writer_that_waits,
                model::kills("shared_mutex.in_vain.goes_to_the_back",
                             "shared_mutex.called.beside_coming_readers"),
                model::reaches("both waited"), SYNC_MODEL_STALE, SYNC_MODEL_LIMITS) {
  first_come<false>(model);
}

WEFT_MODEL_TEST(shared_mutex, last_owner_may_destroy_it, model::kills("shared_mutex.leave.relaxed"),
                SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  auto m = std::make_unique<shared_mutex>();
  shared_mutex* const known = m.get();
  atomic<int> uses(0);
  plain<int> value(0);
  model.thread("reader", [&] {
    bool last = false;
    with(known->lock_shared(), jobs[0], [&] {
      static_cast<void>(value.get());
      last = uses.fetch_add(1, order::relaxed) == 1;
    });
    if (last) m.reset();
  });
  model.thread("writer", [&] {
    bool last = false;
    with(known->lock(), jobs[1], [&] {
      value.set(1);
      last = uses.fetch_add(1, order::relaxed) == 1;
    });
    if (last) m.reset();
  });
  model.run();
}

/// A reader that leaves for one who waits, and is stopped meanwhile, comes too late to let anybody in.
WEFT_MODEL_TEST(shared_mutex, next_owner_may_destroy_it_though_a_reader_still_leaves,
                model::kills("wait_list.looked_at_again", "shared_mutex.left.frees_it"),
                model::reaches("wrote", "stopped"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  auto m = std::make_unique<shared_mutex>();
  auto reading = m->try_lock_shared();
  model.thread("reader", [&] { reading.unlock(); });
  model.thread("writer", [&] {
    const bool wrote = with(m->lock(), jobs[0], [] {});
    model.outcome(wrote ? "wrote" : "stopped");
    model.check(with(m->lock(), jobs[1], [] {}), "nobody stops this one");
    m.reset();
  });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run();
}

WEFT_MODEL_TEST(shared_mutex, next_owner_may_destroy_it_though_two_readers_still_leave,
                model::kills("shared_mutex.leave_beside.looks_again"),
                model::reaches("waited", "at once"), SYNC_MODEL_LIMITS) {
  model::job_thread job;
  auto m = std::make_unique<shared_mutex>();
  shared_mutex_guard<false> reading[2] = {m->try_lock_shared(), m->try_lock_shared()};
  for (auto& one : reading) {
    model.thread("reader", [&] { one.unlock(); });
  }
  model.thread("writer", [&] {
    bool waited = false;
    const end how = visit(m->lock(), job, [] {}, [&] { waited = true; });
    model.check(how == end::locked, "nobody stops it");
    model.outcome(waited ? "waited" : "at once");
    m.reset();
  });
  model.run();
}

}  // namespace
}  // namespace weft
