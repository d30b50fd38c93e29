// model-sources: weft/sync/barrier.cpp weft/task/wait_list.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// A barrier under all schedules: nobody is a phase ahead.
#include "weft/sync/barrier.hpp"

#include "weft/sync/sync_model_support.hpp"

namespace weft {
namespace {

#define SYNC_MODEL_LIMITS model::spurious_max(0, "the sleep is not what is looked at")

template <int parties>
void nobody_is_a_phase_ahead(model::world& model) {
  model::job_thread jobs[parties];
  barrier b(parties);
  plain<int> phase[parties];
  plain<int> lasts[3];
  for (int i = 0; i < parties; ++i) {
    model.thread("party", [&, i] {
      for (int p = 0; p < 3; ++p) {
        phase[i].set(p);
        auto arriving = b.arrive_and_wait();
        model.check(model::await(jobs[i], arriving), "nobody stops it");
        if (arriving.await_resume()) lasts[p].set(lasts[p].get() + 1);
        // The others may have begun the next phase, and not the one after it; in the last one nobody
        // writes any more.
        if (p != 2) continue;
        for (auto& other : phase) model.check(other.get() == 2, "a phase behind");
      }
    });
  }
  model.run();
  for (auto& last : lasts) model.check(last.get() == 1, "one was the last of each phase");
}

WEFT_MODEL_TEST(barrier, two_parties_three_phases,
                model::kills("wait_list.lock.relaxed", "wait_list.unlock.relaxed"),
                model::stale_max(1, "the words are under the list's hold"), SYNC_MODEL_LIMITS) {
  nobody_is_a_phase_ahead<2>(model);
}

WEFT_MODEL_TEST(barrier, three_parties_three_phases, model::kills("wait_list.unlock.relaxed"),
                model::stale_max(0, "the words are under the list's hold"), SYNC_MODEL_LIMITS) {
  nobody_is_a_phase_ahead<3>(model);
}

WEFT_MODEL_TEST(barrier, stopped_one_has_not_arrived, model::kills("barrier.left.still_counts"),
                model::reaches("stopped", "through"), SYNC_MODEL_LIMITS) {
  model::job_thread jobs[3];
  barrier b(2);
  plain<int> through(0);
  bool stopped = false;
  model.thread("stopped", [&] {
    stopped = !model::await(jobs[0], b.arrive_and_wait());
    model.outcome(stopped ? "stopped" : "through");
  });
  model.thread("party", [&] {
    model.check(model::await(jobs[1], b.arrive_and_wait()), "nobody stops it");
    through.set(1);
  });
  model.thread("stopper", [&] { jobs[0].stop(); });
  const int asleep = model.run_until_idle();
  model.check((asleep == 1) == stopped, "who was stopped has not let the other one through");
  if (asleep != 0) {
    model.thread("late", [&] {
      model.check(model::await(jobs[2], b.arrive_and_wait()), "nobody stops it");
    });
  }
  model.wind_down();
}

}  // namespace
}  // namespace weft
