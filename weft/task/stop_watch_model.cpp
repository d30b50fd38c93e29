// model-sources: weft/task/stop_watch.cpp weft/task/job.cpp weft/task/promise.cpp weft/task/thread_state.cpp
//
// A stop meets the watcher that comes and the end of its job, under all schedules.
#include "weft/task/stop_watch.hpp"

#include "weft/task/task_model_support.hpp"

namespace weft {
namespace {

/// Counts its keepers as a stop_token's state does; when the last one leaves it is overwritten.
class toy_watcher final : public detail::stop_watcher {
 public:
  bool is_told() const noexcept { return told_.load(order::acquire) != 0; }
  bool is_gone() const noexcept { return keepers_.load(order::relaxed) == 0; }

 private:
  void keep() noexcept override { keepers_.fetch_add(1, order::relaxed); }
  void drop() noexcept override {
    if (keepers_.fetch_sub(1, order::acq_rel) == 1) content_.set(0);
  }
  void told() noexcept override {
    static_cast<void>(content_.get());  // a race with drop(), unless it is kept
    told_.store(1, order::release);
  }
  void ended() noexcept override { drop(); }

  plain<int> content_{1};
  atomic<std::uint32_t> keepers_{1};
  atomic<std::uint32_t> told_{0};
};

void stop(model::job_thread& job, detail::stop_watch_table& table) {
  job.stop();
  table.tell(reinterpret_cast<std::uintptr_t>(static_cast<class job*>(&job)));
}

WEFT_MODEL_TEST(stop_watch, who_begins_to_watch_is_told_of_a_stop_before_or_after,
                model::kills("stop_watch.tell.no_fence", "stop_watch.watch.no_fence")) {
  model::job_thread job;
  detail::stop_watch_table table;
  toy_watcher watcher;
  model.thread("job", [&] { table.watch(watcher, job); });
  model.thread("stopper", [&] { stop(job, table); });
  model.run();
  model.check(watcher.is_told(), "nobody told the watcher");
  table.forget(job);
  model.check(watcher.is_gone(), "the watcher was kept for ever");
}

WEFT_MODEL_TEST(stop_watch, end_of_a_stopped_job_leaves_its_watcher_told,
                model::reaches("stopped before the end", "stopped later"),
                model::kills("stop_watch.forget.tells_nobody")) {
  model::job_thread job;
  detail::stop_watch_table table;
  toy_watcher watcher;
  table.watch(watcher, job);
  model.thread("job", [&] {
    const bool stopped = job.stop_requested();
    model.outcome(stopped ? "stopped before the end" : "stopped later");
    // What a token of the job's is: it may be asked after the end.
    table.forget(job);
    model.check(!stopped || watcher.is_told(), "the end of a stopped job was not told");
  });
  model.thread("stopper", [&] { stop(job, table); });
  model.run();
  model.check(watcher.is_gone(), "the watcher was kept for ever");
}

}  // namespace
}  // namespace weft
