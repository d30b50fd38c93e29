#include "weft/runtime/blocking_in_place.hpp"

#include "weft/runtime/worker.hpp"
#include "weft/task/current.hpp"

namespace weft::detail {

blocking_region::blocking_region() noexcept
    : worker_(current_job() != nullptr ? current_worker() : nullptr) {
  if (worker_ != nullptr) worker_->begins_to_block();
}

blocking_region::~blocking_region() {
  if (worker_ != nullptr) worker_->has_blocked();
}

}  // namespace weft::detail
