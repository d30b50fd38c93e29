#include "weft/runtime/io_request.hpp"

#include "weft/base/assert.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::io {

std::coroutine_handle<> request::start(promise_base& waiter) noexcept {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr, "I/O needs a runtime; use weft::run or runtime::block_on");
  w->core().assert_not_forked();
  const detail::worker::pinned pinned(*w);
  // Taking a processor away comes with the monitor; until then a worker always has its own.
  WEFT_ASSERT(pinned.processor() != nullptr, "a worker without a processor started an I/O operation");
  switch (pinned.processor()->io->submit(*this, waiter)) {
    case submitted::done: return ready_at_once(*this, waiter);
    case submitted::pending: return std::noop_coroutine();
    case submitted::stopped: return unwind(waiter);
  }
  __builtin_unreachable();
}

driver& request::current_driver() noexcept {
  detail::worker* const w = detail::current_worker();
  WEFT_ASSERT(w != nullptr, "I/O needs a runtime; use weft::run or runtime::block_on");
  w->core().assert_not_forked();
  const detail::worker::pinned pinned(*w);
  WEFT_ASSERT(pinned.processor() != nullptr, "a worker without a processor asked for its driver");
  return *pinned.processor()->io;
}

bool request::on_worker() noexcept { return detail::current_worker() != nullptr; }

}  // namespace weft::io
