#include "weft/sync/barrier.hpp"

namespace weft {

void barrier::drop() noexcept {
  wait_list::list taken;
  {
    wait_list::hold held(list_);
    const std::size_t left = parties_.get() - 1;
    WEFT_ASSERT(parties_.get() != 0 && held.state() <= left,
                "more parties were dropped from a barrier than it had, or one that waits in it");
    parties_.set(left);
    if (held.state() == left) {
      go_through(held, taken);
    }
  }
  wait_list::wake(taken);
}

}  // namespace weft
