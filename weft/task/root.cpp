#include "weft/task/root.hpp"

#include "weft/base/result.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/task/live_home.hpp"
#include "weft/task/not_begun.hpp"
#include "weft/task/panic.hpp"

namespace weft::detail {

void root_job::run_root(job& self) noexcept {
  auto& root = static_cast<root_job&>(self);
  operation* const woken = root.take_woken();
  (woken == nullptr ? root.start() : after(*woken)).resume();
}

std::coroutine_handle<> root_job::retire_by(bool (*hand_over)(job&) noexcept) noexcept {
  const bool detached = home().retire(*this, hand_over);
  if (WEFT_UNLIKELY(detached)) {  // else the job may be gone
    std::exception_ptr error = kind().error(*this);
    if (error && !is_not_begun(error)) home().panicked(*this, std::move(error));
    kind().free(*this);
  }
  return std::noop_coroutine();
}

std::coroutine_handle<> root_job::end() noexcept {
  return retire_by([](job& ended) noexcept {
    return static_cast<root_job&>(ended).join.finish() == join_state::finish_result::detached;
  });
}

std::coroutine_handle<> root_job::end_by_error() noexcept {
  return retire_by([](job& ended) noexcept {
    // It is listed no more. For drop(), which may come when its home is gone.
    // NOLINTNEXTLINE(performance-no-int-to-ptr)
    ended.listed_as = reinterpret_cast<void*>(ended.home().number());
    return static_cast<root_job&>(ended).join.finish() == join_state::finish_result::detached;
  });
}

void root_job::drop() noexcept {
  if (join.drop() == join_state::drop_result::left) return;
  if (!claimed) {
    if (const std::exception_ptr error = kind().error(*this)) report(error);
  }
  kind().free(*this);
}

/// Of a job that has ended: its home may be gone.
void root_job::report(const std::exception_ptr& error) noexcept {
  if (is_not_begun(error)) return;
  const auto number = reinterpret_cast<std::uintptr_t>(listed_as);
  if (number == 0) return home().panicked(*this, error);
  if (live_home::tell_panic(number, *this, error) == live_home::tell_result::told) return;
  // It stopped all its jobs at its end, so the same holds as there: this one was ended so by a stop.
  if (!is_end_of_stopped(error)) print_panic(*this, error, panic_when::runtime_gone);
}

bool is_not_begun(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const not_begun&) {
    return true;
  } catch (...) {
    return false;
  }
}

void throw_stopped() {
  throw error(std::make_error_code(std::errc::operation_canceled), "the job was stopped");
}

}  // namespace weft::detail
