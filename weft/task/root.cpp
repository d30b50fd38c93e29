#include "weft/task/root.hpp"

#include "weft/base/result.hpp"
#include "weft/task/join_handle.hpp"

namespace weft::detail {

void root_job::run_root(job& self) noexcept {
  auto& root = static_cast<root_job&>(self);
  operation* const woken = root.take_woken();
  (woken == nullptr ? root.start() : after(*woken)).resume();
}

std::coroutine_handle<> root_job::end() noexcept {
  const bool detached = home().retire(*this, [](job& ended) noexcept {
    return static_cast<root_job&>(ended).join.finish() == join_state::finish_result::detached;
  });
  if (WEFT_UNLIKELY(detached)) {  // else the job may be gone
    if (std::exception_ptr error = kind().error(*this)) home().panicked(*this, std::move(error));
    kind().free(*this);
  }
  return std::noop_coroutine();
}

void root_job::drop() noexcept {
  if (join.drop() == join_state::drop_result::left) return;
  if (claimed) return kind().free(*this);
  if (std::exception_ptr error = kind().error(*this)) home().panicked(*this, std::move(error));
  kind().free(*this);
}

void throw_stopped() {
  throw error(std::make_error_code(std::errc::operation_canceled), "the job was stopped");
}

}  // namespace weft::detail
