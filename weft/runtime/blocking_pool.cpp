#include "weft/runtime/blocking_pool.hpp"

#include <algorithm>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/placement.hpp"
#if !WEFT_MODEL
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"
#endif

namespace weft::detail {
namespace {

/// Longer is for ever: wait_for() adds it to the clock's time, which must not overflow.
constexpr std::chrono::hours keep_alive_max{365 * 24};
constexpr std::int64_t look_out_ns = 10'000;  // as long as a wake takes

constinit thread_local const blocking_pool* serving = nullptr;

/// It is held for a moment only, and the other side of a trip there and back often has it just now.
void lock_soon(std::unique_lock<pool_mutex>& lock) {
  constexpr int tries_max = WEFT_MODEL ? 1 : 100;
  for (int i = 0; i < tries_max; ++i) {
    if (lock.try_lock()) return;
    cpu_pause();
  }
  lock.lock();
}

}  // namespace

blocking_pool::blocking_pool(std::string name, unsigned threads_max,
                             std::chrono::nanoseconds keep_alive, const placement* places,
                             bool may_spin)
    : name_(std::move(name)),
      threads_max_(threads_max > 0 ? threads_max : 1),
      keep_alive_(std::min<std::chrono::nanoseconds>(keep_alive, keep_alive_max)),
      places_(places),
      may_spin_(may_spin) {}

blocking_pool::~blocking_pool() {
  std::unique_lock lock(mutex_);
  WEFT_ASSERT(line_.empty(), "a runtime ended with blocking work in line");
  ending_ = true;
  work_came_.notify_all();
  thread_ended_.wait(lock, [this] { return threads_ == 0; });
  lock.unlock();
  for (member& m : ended_) m.thread.join();
}

#if !WEFT_MODEL  // it has no workers
blocking_pool& blocking_pool::of_caller() noexcept {
  worker* const w = current_worker();
  WEFT_ASSERT(w != nullptr, "spawn_blocking needs a runtime; use weft::run or runtime::block_on");
  return w->core().blocking();
}
#endif

bool blocking_pool::runs_caller() const noexcept { return serving == this; }

void blocking_pool::line_up(blocking_work& work) noexcept {
  work.phase = blocking_work::state::waiting;
  line_.push_back(work);
  ++waiting_;
}

result<blocking_pool::accepted> blocking_pool::submit(blocking_work& work,
                                                      bool from_outside) noexcept {
  std::unique_lock lock(mutex_, std::defer_lock);
  lock_soon(lock);
  if (work.phase == blocking_work::state::withdrawn) return accepted::withdrawn;
  const bool too_few =
      WEFT_MUTATE("blocking_pool.submit.starts_too_few", free_ <= waiting_, free_ < waiting_);
  if (too_few && threads_ < threads_max_) {
    const result<void> started = start_thread();
    // Refused: the work stands in line for the threads there are; each looks there before it ends.
    if (!started && threads_ == 0) return std::unexpected(started.error());
  }
  line_up(work);
  if (looking_out_ && waiting_ == 1) {
    if (!from_outside) lock.unlock();  // else that is the last access
    submissions_.fetch_add(1, order::relaxed);
  } else if (free_ >= waiting_) {
    if (!WEFT_MUTATE("blocking_pool.submit.wakes_nobody", false, true)) work_came_.notify_one();
  } else if (!from_outside) {
    join_ended(lock);
  }
  return accepted::queued;
}

bool blocking_pool::withdraw(blocking_work& work) noexcept {
  std::lock_guard lock(mutex_);
  if (work.phase == blocking_work::state::unseen) {
    work.phase = blocking_work::state::withdrawn;
    return false;
  }
  if (work.phase != blocking_work::state::waiting) return false;
  work.phase = blocking_work::state::withdrawn;
  if (!WEFT_MUTATE("blocking_pool.withdraw.stays_in_line", false, true)) {
    static_cast<list_hook<blocking_tag>&>(work).unlink();
  }
  --waiting_;
  return true;
}

result<void> blocking_pool::start_thread() noexcept {
  members fresh;
  try {
    fresh.emplace_back(*this);
  } catch (const std::bad_alloc&) {
    return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  }
  // The new thread takes the lock first, so it sees its own entry complete.
  auto started = os::thread::start(name_, 0, &thread_main, &fresh.front());
  if (!started) return std::unexpected(started.error());
  fresh.front().thread = std::move(*started);
  alive_.splice(alive_.end(), fresh);
  ++threads_;
  return {};
}

/// Those that have nothing left to do but return.
void blocking_pool::join_ended(std::unique_lock<pool_mutex>& held) noexcept {
  if (ended_.empty()) return;
  members ended;
  ended.swap(ended_);
  held.unlock();
  for (member& m : ended) m.thread.join();
}

void blocking_pool::thread_main(void* raw) {
  auto& self = *static_cast<member*>(raw);
  if (self.pool.places_ != nullptr) self.pool.places_->settle_helper();
  serving = &self.pool;
  self.pool.serve(self);
}

void blocking_pool::serve(member& self) {
  std::unique_lock lock(mutex_);
  for (;;) {
    ++free_;
    if (may_spin_ && !looking_out_) look_out(lock);
    const bool woken =
        work_came_.wait_for(lock, keep_alive_, [this] { return ending_ || !line_.empty(); });
    --free_;
    if (line_.empty()) {
      if (woken && !ending_) continue;
      break;
    }
    blocking_work& work = line_.pop_front();
    --waiting_;
    ++busy_;
    work.phase = blocking_work::state::running;
    lock.unlock();
    work.perform();
    blocking_work* const next = work.leave_class();
    lock_soon(lock);
    if (next != nullptr) follow(*next, lock);
    --busy_;
    work.end(false);  // under the lock, so that who sees nobody busy also sees the job ready
  }
  for (auto m = alive_.begin(); m != alive_.end(); ++m) {
    if (&*m == &self) {
      ended_.splice(ended_.end(), alive_, m);
      break;
    }
  }
  --threads_;
  if (!WEFT_MUTATE("blocking_pool.end.tells_nobody", false, true)) thread_ended_.notify_all();
}

/// `next` has the place of work that has ended here. Its thread is about to be free, and stands for it:
/// nobody has to be woken, or started.
void blocking_pool::follow(blocking_work& next, std::unique_lock<pool_mutex>& held) noexcept {
  if (next.pool() == this && next.phase == blocking_work::state::unseen) return line_up(next);
  held.unlock();
  next.go_in();
  lock_soon(held);
}

/// Returns when there may be work, or after a moment. What it missed, the caller sees under the lock.
void blocking_pool::look_out(std::unique_lock<pool_mutex>& held) {
  if (ending_ || !line_.empty()) return;
  looking_out_ = true;
  const unsigned seen = submissions_.load(order::relaxed);
  held.unlock();
  const std::int64_t until_ns = os::monotonic_ns() + look_out_ns;
  while (submissions_.load(order::relaxed) == seen && os::monotonic_ns() < until_ns) cpu_pause();
  lock_soon(held);
  looking_out_ = false;
}

unsigned blocking_pool::threads() const noexcept {
  std::lock_guard lock(mutex_);
  return threads_;
}
unsigned blocking_pool::waiting() const noexcept {
  std::lock_guard lock(mutex_);
  return waiting_;
}
unsigned blocking_pool::busy() const noexcept {
  std::lock_guard lock(mutex_);
  return busy_ + waiting_;
}

}  // namespace weft::detail
