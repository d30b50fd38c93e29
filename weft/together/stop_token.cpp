// Protocol of with_stop: see timeout.cpp. Two parties, the branch's end and the request; the last one
// finishes the operation. A link that was taken back before it was called takes its count with it.
//   I1  While request() calls a link, its owner does not go: joined() leaves the end to called(), and
//       stop_callback's destructor waits.
//   P1  leave: fetch_sub (acq_rel)  ->  leave: fetch_sub (acq_rel): the first party's writes.
//   P2  request: calling_ cleared, or the next one (release)  ->  wait_until_called (acquire): what the
//       callback did. Who waits has found under the lock that its link was taken out, so calling_ was it.
//   P3  request: requested_ (release)  ->  requested (acquire): what the requester did before. Those who
//       look at it under the lock are ordered by that.
//   P4  drop: fetch_sub (release)  ->  the last one's fetch_sub (acquire): what all did with the state.
//   P5  drop_source: fetch_sub (release)  ->  has_source (acquire): the request that a source made before
//       it went. RMWs keep the release sequence together, so that of each source.
#include "weft/together/stop_token.hpp"

#include "weft/task/current.hpp"
#include "weft/task/stop_watch.hpp"
#include "weft/task/thread_state.hpp"

namespace weft::detail {

namespace {

/// The job, where one runs: a callback that awaits in a fiber may be on another thread afterwards.
const void* caller() noexcept {
#if WEFT_MODEL
  return model::hook::this_thread();
#else
  if (const job* const running = current_job()) return running;
  return &this_thread_state();
#endif
}

}  // namespace

bool stop_state::request() noexcept {
  const bool kept = WEFT_MUTATE("stop_token.request.unkept", true, false);
  if (kept) keep();  // a callback may drop the last share
  bool first = false;
  {
    const spin_guard guard(lock_);
    first = !requested_.load(order::relaxed);
    requested_.store(true, WEFT_MUTATE("stop_token.request.relaxed", order::release,
                                       order::relaxed));  // P3
    if (first) caller_.set(caller());
    while (first && !links_.empty()) {
      stop_link& link = links_.pop_front();
      // Who waits for the one before may see no more of it than this.
      calling_.store(&link, WEFT_MUTATE("stop_token.next.relaxed", order::release,
                                        order::relaxed));  // P2
      lock_.unlock();
      link.called_(link);  // the link may be gone afterwards
      calling_.store(nullptr, WEFT_MUTATE("stop_token.called.relaxed", order::release,
                                          order::relaxed));  // P2
      lock_.lock();
    }
  }
  if (kept) drop();
  return first;
}

bool stop_state::add(stop_link& link) noexcept {
  const spin_guard guard(lock_);
  if (!WEFT_MUTATE("stop_token.add.unasked", false, true) && requested_.load(order::relaxed)) {
    return false;
  }
  links_.push_back(link);
  return true;
}

bool stop_state::remove(stop_link& link) noexcept {
  const spin_guard guard(lock_);
  if (!link.is_linked()) return false;
  link.unlink();
  return true;
}

void stop_state::wait_until_called(const stop_link& link) noexcept {
  {
    const spin_guard guard(lock_);
    if (!WEFT_MUTATE("stop_token.wait.for_itself", false, true) && caller_.get() == caller()) {
      return;  // by the callback itself, or after it
    }
  }
  if (WEFT_MUTATE("stop_token.wait.not_at_all", false, true)) return;
  while (calling_.load(order::acquire) == &link) spin_wait_yield();  // P2
}

#if !WEFT_MODEL  // a model has no table of those who watch jobs: see stop_watch_model.cpp
namespace {

/// That of a job. Who watches the job has one share of it, and is its source.
class job_stop_state final : public stop_state, public stop_watcher {
 public:
  explicit job_stop_state(const job& of) noexcept : stop_state(of.kind().told_to_stop != nullptr) {}

 private:
  ~job_stop_state() override = default;
  void keep() noexcept override { stop_state::keep(); }
  void drop() noexcept override { stop_state::drop(); }
  void told() noexcept override { static_cast<void>(request()); }
  void ended() noexcept override {
    drop_source();
    stop_state::drop();
  }
  void look() noexcept override { stop_watches.look(*this); }
};

}  // namespace
#endif

std::coroutine_handle<> with_stop_operation::start_branch(promise_base& waiter) noexcept {
  constexpr std::uint8_t budget_units = 128;
  job& outer = *waiter.owner();
  if (outer.arm(*this, waiter) == job::arm_result::stopped) return unwind(waiter);
  launched_ = true;
  wait_for_unlaunched();
  branch_.set_stopped_by_owner();
  branch_.go_with(outer);
  outer.home().enlist(branch_);
  if (token_.state() == nullptr) {
    parties_.store(1, order::relaxed);
  } else if (!token_.state()->add(*this)) {
    called(*this);  // the branch has not begun, so this is not the last
  }
  branch_.refill_budget(budget_units);
  exchange_current_job(&branch_);
  return branch_.start();
}

void with_stop_operation::joined() noexcept {
  if (token_.state() == nullptr) return leave(1);
  leave(token_.state()->remove(*this) && !WEFT_MUTATE("with_stop.removed.counts", false, true) ? 2
                                                                                               : 1);
}

void with_stop_operation::called(stop_link& link) noexcept {
  auto& self = static_cast<with_stop_operation&>(link);
  self.requested_.set(true);
  if (!WEFT_MUTATE("with_stop.called.stops_nobody", false, true)) self.branch_.stop();
  self.leave(1);
}

void with_stop_operation::leave(std::uint32_t parties) noexcept {
  if (parties_.fetch_sub(parties, WEFT_MUTATE("with_stop.leave.relaxed", order::acq_rel,
                                              order::relaxed)) != parties) {  // P1
    return;
  }
  finish(branch_.was_stopped && !WEFT_MUTATE("with_stop.end.unasked", requested_.get(), false));
}

}  // namespace weft::detail

#if !WEFT_MODEL
weft::stop_token weft::this_task::stop_token() {
  job* const running = current_job();
  if (running == nullptr || running->ended) return {};
  auto* mine = static_cast<detail::job_stop_state*>(detail::stop_watches.find(*running));
  if (mine == nullptr) {
    mine = new detail::job_stop_state(*running);
    detail::stop_watches.watch(*mine, *running);
  }
  mine->stop_state::keep();
  return weft::stop_token(detail::stop_share(mine));
}
#endif
