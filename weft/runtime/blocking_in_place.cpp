#include "weft/runtime/blocking_in_place.hpp"

#include "weft/runtime/worker.hpp"
#include "weft/task/current.hpp"

namespace weft::detail {

blocking_region::blocking_region() noexcept
    : worker_(current_job() != nullptr ? current_worker() : nullptr) {
  if (worker_ == nullptr) return;
  turn_ = worker_->current_turn.now();
  before_ = worker_->begins_to_block();
}

// A fiber that has awaited inside may be on another worker now, or in a later turn of this one. The mark was
// that turn's.
blocking_region::~blocking_region() {
  if (worker_ == nullptr || worker_ != current_worker()) return;
  if (worker_->current_turn.now() == turn_) worker_->has_blocked(before_);
}

}  // namespace weft::detail
