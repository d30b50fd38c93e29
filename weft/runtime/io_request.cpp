#include "weft/runtime/io_request.hpp"

#include "weft/base/assert.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/task/claim.hpp"
#include "weft/task/current.hpp"

namespace weft::io {

std::coroutine_handle<> request::start(promise_base& waiter) noexcept {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr, "I/O needs a runtime; use weft::run or runtime::block_on");
  w->core().assert_not_forked();
  submitted how;
  {
    const detail::worker::pinned pinned(*w);
    if (WEFT_UNLIKELY(pinned.processor() == nullptr)) {
      // Only the owner of a driver submits to it: the job starts this again where it goes on.
      WEFT_ASSERT(detail::claiming_job::from(*waiter.owner()) == nullptr,
                  "an operand of select() that was begun without a processor");
      w->note_loss(current_job());
      waiter.owner()->yield_in_to_go_on(*this, waiter);
      return std::noop_coroutine();
    }
    how = pinned.processor()->io->submit(*this, waiter);
  }
  switch (how) {
    case submitted::done:
      return ready_at_once(*this, waiter);
    case submitted::pending:
      return std::noop_coroutine();
    case submitted::stopped:
      return unwind(waiter);
  }
  __builtin_unreachable();
}

std::coroutine_handle<> request::go_on(promise_base& waiter) noexcept { return start(waiter); }

bool request::driver_does_file(os::file_code code) noexcept {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr, "I/O needs a runtime; use weft::run or runtime::block_on");
  w->core().assert_not_forked();
  const detail::worker::pinned pinned(*w);
  return pinned.processor() != nullptr && pinned.processor()->io->does_file(code);
}

driver& request::current_driver() noexcept {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr, "I/O needs a runtime; use weft::run or runtime::block_on");
  w->core().assert_not_forked();
  return *w->last_processor().io;
}

bool request::on_worker() noexcept { return detail::current_worker() != nullptr; }

}  // namespace weft::io
