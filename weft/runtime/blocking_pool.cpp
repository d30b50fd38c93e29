#include "weft/runtime/blocking_pool.hpp"

#include <algorithm>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/core.hpp"

namespace weft::detail {
namespace {

/// Longer is for ever: wait_for() adds it to the clock's time, which must not overflow.
constexpr std::chrono::hours keep_alive_max{365 * 24};
constexpr std::int64_t look_out_ns = 10'000;  // as long as a wake takes

/// It is held for a moment only, and the other side of a trip there and back often has it just now.
void lock_soon(std::unique_lock<std::mutex>& lock) {
  constexpr int tries_max = 100;
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

blocking_pool::accepted blocking_pool::submit(blocking_work& work) noexcept {
  std::unique_lock lock(mutex_, std::defer_lock);
  lock_soon(lock);
  if (work.phase == blocking_work::state::withdrawn) return accepted::withdrawn;
  work.phase = blocking_work::state::waiting;
  line_.push_back(work);
  ++waiting_;
  if (free_ >= waiting_) {
    if (looking_out_ && waiting_ == 1) {
      lock.unlock();
      submissions_.fetch_add(1, order::relaxed);
    } else {
      work_came_.notify_one();
    }
  } else if (threads_ < threads_max_) {
    if (!start_thread(lock)) {
      // Not even one thread could be started. Waiting could be for ever; the caller's thread is one.
      work.phase = blocking_work::state::running;
      static_cast<list_hook<blocking_tag>&>(work).unlink();
      --waiting_;
      return accepted::run_it_yourself;
    }
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
  static_cast<list_hook<blocking_tag>&>(work).unlink();
  --waiting_;
  return true;
}

bool blocking_pool::start_thread(std::unique_lock<std::mutex>& held) {
  members fresh;
  try {
    fresh.emplace_back(*this);
  } catch (const std::bad_alloc&) {
    return threads_ > 0;
  }
  // The new thread takes the lock first, so it sees its own entry complete.
  auto started = os::thread::start(name_, 0, &thread_main, &fresh.front());
  // Refused: the work stays in line for the threads there are. Without any it is the caller's, which
  // holds only if the lock was never let go: another caller's new thread might have taken it.
  if (!started) return threads_ > 0;
  fresh.front().thread = std::move(*started);
  alive_.splice(alive_.end(), fresh);
  ++threads_;
  members ended;
  ended.swap(ended_);
  if (!ended.empty()) {  // they have nothing left to do but return
    held.unlock();
    for (member& m : ended) m.thread.join();
    held.lock();
  }
  return true;
}

void blocking_pool::thread_main(void* raw) {
  auto& self = *static_cast<member*>(raw);
  if (self.pool.places_ != nullptr) self.pool.places_->settle_helper();
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
    lock_soon(lock);
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
  thread_ended_.notify_all();
}

/// Returns when there may be work, or after a moment. What it missed, the caller sees under the lock.
void blocking_pool::look_out(std::unique_lock<std::mutex>& held) {
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
