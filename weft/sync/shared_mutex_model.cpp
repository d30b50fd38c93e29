// model-sources: weft/sync/shared_mutex.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// Readers and writers under all schedules. What it guards is a plain variable: a writer beside
// anybody is a data race.
#include "weft/sync/shared_mutex.hpp"

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

template <bool Writes, class F>
bool with(shared_mutex::locking<Writes>&& locking, model::job_thread& me, F f) {
  if (!model::await(me, locking)) return false;
  const auto held = locking.await_resume();
  f();
  return true;
}

WEFT_MODEL_TEST(shared_mutex, writer_is_alone,
                model::kills("shared_mutex.enter.relaxed", "shared_mutex.leave.relaxed",
                             "shared_mutex.let_in.writer_beside_readers",
                             "wait_list.crowded.forgotten"),
                model::bound_max(2, "at 3 complete, too, in 30 s"), SYNC_MODEL_LIMITS) {
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

WEFT_MODEL_TEST(shared_mutex, stopped_writer_lets_readers_in,
                model::kills("shared_mutex.left.lets_nobody_in"), model::reaches("stopped"),
                model::never("wrote"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[2];
  shared_mutex m;
  auto held = m.try_lock_shared();
  plain<int> value(0);
  model.thread("writer", [&] {
    const bool wrote = with(m.lock(), jobs[0], [&] { value.set(1); });
    model.outcome(wrote ? "wrote" : "stopped");
  });
  bool read = false;
  model.thread("reader", [&] { with(m.lock_shared(), jobs[1], [&] { read = value.get() <= 1; }); });
  model.thread("stopper", [&] { jobs[0].stop(); });
  model.run_until_idle();  // the first reader is still in
  model.check(read, "the reader waits behind a writer that was stopped");
  held.unlock();
  model.run();
  model.check(bool(m.try_lock()), "all are out");
}

}  // namespace
}  // namespace weft
