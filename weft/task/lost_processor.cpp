#include "weft/task/lost_processor.hpp"

#include <new>

#include "weft/task/current.hpp"
#include "weft/task/fork.hpp"
#include "weft/task/promise.hpp"

namespace weft::detail {
namespace {

/// Rare, so it is made on the heap: a word more in each frame would be paid for by all.
class way_back final : public operation {
 public:
  explicit way_back(std::coroutine_handle<> next) noexcept : next_(next) {}
  void withdraw() noexcept override {}  // it is never armed
  const char* what() const noexcept override { return "handoff"; }

 private:
  std::coroutine_handle<> go_on(promise_base&) noexcept override {
    const std::coroutine_handle<> next = next_;
    delete this;
    return next;
  }
  const std::coroutine_handle<> next_;
};

/// What is to go on in the place of the parent of `ended`.
std::coroutine_handle<> go_on_elsewhere(promise_base& ended) noexcept {
  const std::coroutine_handle<> parent = ended.parent()->handle();
  thread_state& mine = this_thread_state();
  job* const running = mine.running;
  fork_port* const port = mine.port;
  if (running == nullptr || port == nullptr) return parent;
  const bool was_pinned = port->pin.is_pinned();
  const bool owned = port->pin.pin() == pin_state::pin_result::owned;
#if !WEFT_MODEL
  // It was said of an earlier job. While it is pinned it cannot become true.
  if (owned) mine.lost_processor.store(0, order::relaxed);
#endif
  if (!was_pinned) port->pin.unpin();
  if (owned) return parent;
  auto* const back = new (std::nothrow) way_back(parent);
  // It may try again at the end of the next task; one above the other on the stack, until there is memory.
  if (back == nullptr) return parent;
  // In the name of the parent: of a task that has ended only its parent is known, and its frame.
  running->yield_in_to_go_on(*back, *ended.parent());  // it may be gone from here on: touch nothing
  return {};
}

void resume_elsewhere(void*) {
#if !WEFT_MODEL
  const std::coroutine_handle<> parent = go_on_elsewhere(*this_thread_state().ended_on_lost);
  this_thread_state().ended_on_lost = nullptr;
  if (parent) parent.resume();
#endif
}

}  // namespace

constinit frame_head way_elsewhere = {&resume_elsewhere, nullptr};

}  // namespace weft::detail
