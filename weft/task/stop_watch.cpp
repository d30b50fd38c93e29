// Protocol
//   I1  A watcher in the table has a job that has not ended: forget() takes it out before the job may be
//       gone. So who has the bucket's lock may look at the job of a watcher that it finds there.
//   I2  said_ is set once, by whoever then calls told(), without the lock. The job's end calls told() as
//       well, and does not wait for that one: who joined a stopped job finds its watcher told.
//   I3  What stands at an address may be another job than the one that was stopped there. It is told
//       only if itself was stopped.
//   P1  stop: slot = stopped, then (fence) watched_  ||  watch: watched_ up and the watcher in its bucket,
//       then (fence) the slot: the stopper sees that there is a watcher, or that one the stop. If it came
//       to the bucket before the watcher did, the lock's order shows that one the stop.
#include "weft/task/stop_watch.hpp"

#include "weft/task/job.hpp"

namespace weft::detail {

#if !WEFT_MODEL
constinit stop_watch_table stop_watches;  // and never destroyed: jobs may end after the statics
#endif

/// What points to the watcher of the job at that place, or to nullptr.
stop_watcher** stop_watch_table::bucket::link_to(std::uintptr_t at) noexcept {
  stop_watcher** link = &first;
  while (*link != nullptr && (*link)->at_ != at) link = &(*link)->next_;
  return link;
}

/// Under the lock. True: told() is to be called, after that, and then drop().
bool stop_watch_table::is_due(stop_watcher& w) noexcept {
  if (w.said_ || w.watched_ == nullptr || !w.watched_->stop_requested()) return false;
  w.keep();
  return w.said_ = true;
}

void stop_watch_table::watch(stop_watcher& by, job& running) noexcept {
  by.at_ = reinterpret_cast<std::uintptr_t>(&running);
  by.watched_ = &running;
  bucket& in = bucket_of(by.at_);
  watched_.fetch_add(1, order::relaxed);
  {
    const spin_guard guard(in.lock);
    by.next_ = in.first;
    in.first = &by;
  }
  if (!WEFT_MUTATE("stop_watch.watch.no_fence", false, true)) fence(order::seq_cst);  // P1
  look(by);
}

stop_watcher* stop_watch_table::find_in_bucket(const job& running) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(&running);
  bucket& in = bucket_of(at);
  const spin_guard guard(in.lock);
  return *in.link_to(at);
}

void stop_watch_table::look(stop_watcher& at) noexcept {
  {
    const spin_guard guard(bucket_of(at.at_).lock);
    if (!is_due(at)) return;
  }
  at.told();
  at.drop();
}

void stop_watch_table::tell_watcher(std::uintptr_t address) noexcept {
  stop_watcher* due = nullptr;
  bucket& in = bucket_of(address);
  {
    const spin_guard guard(in.lock);
    due = *in.link_to(address);
    if (due == nullptr || !is_due(*due)) return;
  }
  due->told();
  due->drop();
}

void stop_watch_table::forget_watcher(job& ended) noexcept {
  const auto at = reinterpret_cast<std::uintptr_t>(&ended);
  stop_watcher* gone = nullptr;
  bool stopped = false;
  bucket& in = bucket_of(at);
  {
    const spin_guard guard(in.lock);
    stop_watcher** const link = in.link_to(at);
    gone = *link;
    if (gone == nullptr) return;
    *link = gone->next_;
    stopped = gone->said_ || ended.stop_requested();
    gone->said_ = true;
    gone->watched_ = nullptr;
  }
  watched_.fetch_sub(1, order::relaxed);
  ended.ended = true;  // also of jobs that do not say so themselves: I1
  if (WEFT_MUTATE("stop_watch.forget.tells_nobody", stopped, false)) gone->told();  // I2
  gone->ended();
}

}  // namespace weft::detail
