#include <weft/http/scratch.hpp>

#include <weft/http/thread_number.hpp>

#include <utility>

namespace weft::http::detail {

scratch_pool::part& scratch_pool::own() noexcept { return parts_[number_of_thread() % parts]; }

scratch_pool::part::~part() {
  while (first != nullptr) first = std::move(first->next);  // one by one: no recursion
}

std::unique_ptr<scratch> scratch_pool::take() {
  part& from = own();
  {
    const spin_guard guard(from.lock);
    if (from.first != nullptr) {
      std::unique_ptr<scratch> taken = std::move(from.first);
      from.first = std::move(taken->next);
      --from.count;
      return taken;
    }
  }
  return std::make_unique<scratch>(limit_);
}

void scratch_pool::give(std::unique_ptr<scratch>&& used) noexcept {
  if (used->parser.kept_bytes() + used->out.capacity() <= kept_bytes_max) {
    part& to = own();
    const spin_guard guard(to.lock);
    if (to.count < kept_max) {
      used->next = std::move(to.first);
      to.first = std::move(used);
      ++to.count;
      return;
    }
  }
  used.reset();  // not under the lock
}

}  // namespace weft::http::detail
