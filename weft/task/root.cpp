#include "weft/task/root.hpp"

#include "weft/base/result.hpp"
#include "weft/task/join_handle.hpp"

namespace weft::detail {

void root_job::run_root(job& self) noexcept {
  auto& root = static_cast<root_job&>(self);
  operation* const woken = root.take_woken();
  if (woken == nullptr) {
    root.promise_.handle().resume();
  } else {
    after(*woken, *waiter_of(*woken)).resume();
  }
}

void root_job::end(std::exception_ptr error) noexcept {
  scheduler& where = home();
  const std::uint32_t ticket = where.retire(*this);
  if (join.finish() == join_state::finish_result::detached) {
    if (error) where.panicked(*this, std::move(error));
    promise_.handle().destroy();
  }
  where.retired(ticket);  // the job may be gone
}

void root_job::drop(std::exception_ptr (*unclaimed)(root_job&)) noexcept {
  if (join.drop() == join_state::drop_result::left) return;
  if (std::exception_ptr error = unclaimed(*this)) home().panicked(*this, std::move(error));
  promise_.handle().destroy();
}

void throw_stopped() {
  throw error(std::make_error_code(std::errc::operation_canceled), "the job was stopped");
}

}  // namespace weft::detail
