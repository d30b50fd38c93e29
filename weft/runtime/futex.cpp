#include "weft/runtime/futex.hpp"

#include "weft/base/assert.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/io/futex_waiters.hpp"
#include "weft/os/clock.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/task/claim.hpp"
#include "weft/together/timeout.hpp"

namespace weft::detail {
namespace {

static_assert(static_cast<int>(futex_status::woken) == io::io_operation::answer_futex_woken);
static_assert(static_cast<int>(futex_status::changed) == io::io_operation::answer_futex_changed);
static_assert(static_cast<int>(futex_status::timed_out) ==
              io::io_operation::answer_futex_timed_out);

/// Of all plain threads that wait at the moment; the last one takes it, and its threads, along.
std::shared_ptr<io::futex_waiters> waiters_of_plain_threads() {
  static spin_lock lock;
  static std::weak_ptr<io::futex_waiters> known;
  const spin_guard guard(lock);
  auto there = known.lock();
  if (there == nullptr) {
    there = std::make_shared<io::futex_waiters>();
    known = there;
  }
  return there;
}

}  // namespace

futex_operation::futex_operation(std::uint32_t* word, std::uint32_t expected, futex_scope scope,
                                 std::int64_t deadline_ns) noexcept
    : deadline_ns_(deadline_ns) {
  WEFT_ASSERT(reinterpret_cast<std::uintptr_t>(word) % sizeof *word == 0,
              "a futex word must be aligned to its size");
  waits_for_futex(word, expected, scope);
}

futex_operation::~futex_operation() = default;

std::coroutine_handle<> futex_operation::start(promise_base& waiter) noexcept {
  const job& owner = *waiter.owner();
  if (owner.stop_requested() && !owner.shielded()) return unwind(waiter);
  if (__atomic_load_n(futex_word(), __ATOMIC_RELAXED) != futex_expected()) {
    answer = answer_futex_changed;
    return ready_at_once(*this, waiter);
  }
  auto how = io::submitted::stopped;
  if (worker* const w = current_worker()) {
    WEFT_ASSERT(deadline_ns_ == never_ns, "a futex wait with a deadline is for plain threads");
    w->core().assert_not_forked();
    const worker::pinned pinned(*w);
    if (WEFT_UNLIKELY(pinned.processor() == nullptr)) {  // as any I/O: see io_request.cpp
      WEFT_ASSERT(claiming_job::from(*waiter.owner()) == nullptr,
                  "an operand of select() that was begun without a processor");
      w->note_loss(current_job());
      waiter.owner()->yield_in_to_go_on(*this, waiter);
      return std::noop_coroutine();
    }
    how = pinned.processor()->io->submit(*this, waiter);
  } else {
    waiters_ = waiters_of_plain_threads();
    how = waiters_->submit(*this, waiter, deadline_ns_);
  }
  switch (how) {
    case io::submitted::done:
      return ready_at_once(*this, waiter);
    case io::submitted::pending:
      return std::noop_coroutine();  // it may be gone already
    case io::submitted::stopped:
      break;
  }
  return unwind(waiter);
}

void futex_operation::withdraw() noexcept {
  if (waiters_ != nullptr) return waiters_->withdraw(*this);
  io::io_operation::withdraw();
}

task<futex_status> futex_wait_for(std::uint32_t* word, std::uint32_t expected, futex_scope scope,
                                  std::int64_t limit_ns) {
  if (current_worker() == nullptr) {
    const std::int64_t deadline_ns = saturating_add_ns(os::monotonic_ns(), limit_ns);
    futex_operation waiting(word, expected, scope, deadline_ns);
    const futex_status how = co_await waiting;
    co_return how;
  }
  futex_operation waiting(word, expected, scope);
  if (limit_ns == never_ns) {
    const futex_status how = co_await waiting;
    co_return how;
  }
  const auto how = co_await timeout(std::chrono::nanoseconds(limit_ns), waiting);
  co_return how ? *how : futex_status::timed_out;
}

}  // namespace weft::detail
