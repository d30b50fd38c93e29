#include "weft/task/await_chain.hpp"

namespace weft::detail {

void await_chain::walk(promise_base& innermost, listener& to) {
  bool more = true;
  for (promise_base* p = &innermost; p != nullptr;) {
    const std::uintptr_t bits = p->above_ & promise_base::bits;
    const bool under_edge = (bits & promise_base::under_edge) != 0;
    const bool inner_edge =
        (bits & promise_base::under_inner_edge) == promise_base::under_inner_edge;
    const job* const owner = p->owner();
    if (owner == nullptr) return;
    // Under the one boundary of a fiber that is not an inner one is what it waits in: a relay.
    if (under_edge && !inner_edge && owner->kind().is_fiber) {
      to.stack_of_fiber(*p);
      return walk_from(*owner, to);
    }
    const bool is_relay = !under_edge && (bits & promise_base::is_relay) != 0;
    if (!is_relay && more) more = to.coroutine(p->handle().address());
    if (!under_edge) {
      p = p->parent();
    } else if (inner_edge) {
      p = static_cast<inner_boundary&>(p->edge()).outer();
    } else {
      p = owner->kind().awaited_by != nullptr ? owner->kind().awaited_by(*owner) : nullptr;
    }
    if (p == nullptr || p->owner() != owner) to.end_of(*owner);
  }
}

void await_chain::walk_from_ended(promise_base& ended, const job& running, listener& to) {
  to.coroutine(ended.handle().address());
  if ((ended.above_ & promise_base::under_edge) == 0) return walk(*ended.parent(), to);
  const bool inner_edge =
      (ended.above_ & promise_base::under_inner_edge) == promise_base::under_inner_edge;
  promise_base* const outer =
      inner_edge ? static_cast<inner_boundary&>(ended.edge()).outer() : nullptr;
  if (outer == nullptr) return walk_from(running, to);
  if (outer->owner() != &running) to.end_of(running);
  walk(*outer, to);
}

void await_chain::walk_from(const job& running, listener& to) {
  to.end_of(running);
  if (running.kind().awaited_by == nullptr) return;
  if (promise_base* const outer = running.kind().awaited_by(running)) walk(*outer, to);
}

}  // namespace weft::detail
