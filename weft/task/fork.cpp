// Protocol
//   taker_   0 nobody began it | 1 asked to stop before it began | the job that runs it
//   pending_ minus how many taken branches have ended, plus, once the forking job waits, how many
//            were taken: it waits while this is above zero
//
//   I1  A branch runs once: whoever takes it from the deque (work_deque's promise), or the forking
//       job that takes it back, or, where there is no deque, the job that it was given.
//   I2  A forked_job lives until the forking job has seen its end, so ask_to_stop() may stop it at
//       any time before.
//   I3  The forking job is woken by the arrival that brings pending_ from 1 to 0, and only by that:
//       before the wait began pending_ is never above zero.
//   P1  begin: CAS 0 -> job (release)  ->  ask_to_stop: CAS fails (acquire): the job.
//   P2  arrive: fetch_sub (release)  ->  wait: fetch_add, and the last arrival's fetch_sub (acquire):
//       results, stopped_ and job_ of all branches. RMWs keep the release sequence together.
//   P3  wait: fetch_add (release)  ->  the last arrival (acquire): wait_ and the armed operation.
#include "weft/task/fork.hpp"

#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/census.hpp"
#include "weft/base/spin_lock.hpp"

namespace weft::detail {
namespace {

constexpr std::uintptr_t taker_none = 0;
constexpr std::uintptr_t taker_stopped = 1;  // alone, or beside the job that came too late

}  // namespace

forked_job::forked_job(scheduler& home, const job_kind& kind, fork_branch& branch,
                       std::uint32_t bytes, const job& forking, where runs)
    : job(home, kind), branch_(branch), bytes_(bytes) {
  inherit_locals(forking);
  set_stopped_by_owner();
  if (runs == where::with_forking) {
    go_with(forking);
  } else {
    set_priority(forking.priority());
  }
  census_add(census_kind::jobs, 1);
  home.enlist(*this);
}

namespace {

/// Where nobody could be told of it: tries again while others may give some back, then ends the program.
template <class Make>
auto& with_memory(Make make, const char* what_to_do) noexcept {
  constexpr unsigned tries_max = WEFT_MODEL ? 1 : 100'000;  // a tenth of a second, or more
  for (unsigned i = 0; i < tries_max; ++i) {
    try {
      return make();
    } catch (const std::bad_alloc&) {
      spin_wait_yield();
    }
  }
  assertion_failed("memory", what_to_do, __FILE__, __LINE__);
}

}  // namespace

forked_job& fork_branch::make_job_of_taken(scheduler& home) noexcept {
  return with_memory([&]() -> forked_job& { return make_job(home); },
                     "there is no memory for a branch of fork_join, or of a loop, that this "
                     "worker took; run fewer tasks at a time, or give the process more");
}

forked_job::~forked_job() { census_add(census_kind::jobs, -1); }

void forked_job::discard(forked_job& made) noexcept {
  static_cast<void>(made.home().retire(made, [](job&) noexcept { return false; }));
  const std::size_t size = made.bytes_;
  made.~forked_job();
  free_frame(&made, size);
}

bool forked_job::begin() noexcept {
  std::uintptr_t seen = taker_none;
  const auto self = reinterpret_cast<std::uintptr_t>(this);
  if (branch_.taker_.compare_exchange(
          seen, self, WEFT_MUTATE("fork.begin.relaxed", order::release, order::relaxed),  // P1
          order::relaxed)) {
    return true;
  }
  branch_.taker_.store(self | taker_stopped, order::relaxed);  // read after P2 only
  return false;
}

std::coroutine_handle<> forked_job::end(fork_group& group, bool stopped,
                                        std::exception_ptr error) noexcept {
  stopped_ = stopped;
  error_ = std::move(error);
  group_ = &group;
  static_cast<void>(home().retire(*this, &arrive));  // all else may be gone
  return std::noop_coroutine();
}

bool forked_job::arrive(job& ended) noexcept {
  fork_group& group = *static_cast<forked_job&>(ended).group_;
  if (group.pending_.fetch_sub(1, WEFT_MUTATE("fork.arrive.relaxed", order::acq_rel,
                                              order::relaxed)) == 1) {  // P2, P3, I3
    group.wait_->finish(false);
  }
  return false;
}

fork_wait* fork_wait::make(fork_group& group, unsigned count, const job& forking) {
  return ::new (allocate_frame_for(forking, bytes(count))) fork_wait(group, count);
}

fork_wait& fork_wait::make_for_taken(fork_group& group, unsigned count,
                                     const job& forking) noexcept {
  return with_memory(
      [&]() -> fork_wait& { return *make(group, count, forking); },
      "there is no memory to wait for a branch of fork_join, or of a loop, that another "
      "worker took; run fewer tasks at a time, or give the process more");
}

void fork_wait::free() noexcept {
  const std::size_t size = bytes(room_);
  this->~fork_wait();
  free_frame(this, size);
}

void fork_wait::ask_to_stop() noexcept {
  for (fork_branch* const b : all()) {
    std::uintptr_t seen = taker_none;
    if (!b->taker_.compare_exchange(seen, taker_stopped, order::relaxed,
                                    WEFT_MUTATE("fork.stop.relaxed", order::acquire,
                                                order::relaxed)) &&  // P1
        (seen & taker_stopped) == 0) {
      reinterpret_cast<forked_job*>(seen)->stop();  // I2
    }
  }
}

fork_wait::start_result fork_wait::start(promise_base& within,
                                         std::coroutine_handle<> next) noexcept {
  job& owner = *within.owner();
  next_ = next;
  if (owner.arm_to_go_on(*this, within) == job::arm_result::stopped) {
    // The stop goes on to the branches; their end is awaited all the same.
    owner.tell_of_found_stop();
    ask_to_stop();
    owner.enter_shield();
    static_cast<void>(owner.arm_to_go_on(*this, within));
    owner.leave_shield();
  }
  const int taken = static_cast<int>(used_);
  const int before = group_.pending_.fetch_add(
      taken, WEFT_MUTATE("fork.wait.relaxed", order::acq_rel, order::relaxed));  // P2, P3
  if (before + taken != 0) return start_result::suspended;                       // touch nothing
  if (owner.disarm(*this) == job::disarm_result::disarmed) return start_result::ended;
  finish(false);
  return start_result::suspended;
}

bool fork_wait::collect() noexcept {
  bool some_stopped = false;
  for (fork_branch* const b : all()) {
    auto* const taker =
        reinterpret_cast<forked_job*>(b->taker_.load(order::relaxed) & ~taker_stopped);
    some_stopped |= taker->stopped_;
    if (taker->error_ && !error) error = std::move(taker->error_);
    const std::size_t size = taker->bytes_;
    taker->~forked_job();
    free_frame(taker, size);
  }
  used_ = 0;
  return some_stopped;
}

}  // namespace weft::detail
