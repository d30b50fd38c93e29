// Protocol
//   pending_   body_stake until the body has ended, plus children adopted by others than the body,
//              minus children that have ended; the body's end takes the stake away and adds what the
//              body has adopted, which until then only the body's job counts. Zero: all have ended
//   listed_    children that have waited at least once, and that no stopper has taken; under lock_
//   stoppers_  one for each thread inside stop_listed(): the child whose stop() it is in; under lock_
//
//   I1  pending_ comes to zero once, by whoever ends last: while the body runs the stake is in it, and
//       afterwards each child that has not ended stands in it for itself. A child is adopted by the
//       body or by a child, before that one's end.
//   I2  A child that is told to stop does not miss it. One that is on the list is stopped by the walk;
//       one that is not looks at stopping_ under the lock when it gets on the list, and the walk begins
//       after stopping_ was set under the lock. One that never waits looks before its first line.
//   I3  A child that the walk has taken is alive until its stop() has returned: if it ends meanwhile it
//       leaves its own freeing and counting to the stopper. Nobody waits for anybody.
//   I4  Who calls stop() or fail() keeps the group alive: a child or the body, before its end, or the
//       stopper of the waiting job, inside withdraw() (job.cpp, I1).
//   P1  arrived: fetch_sub (release)  ->  the last one's fetch_sub (acquire): what every child did.
//       RMWs keep the release sequence together.
//   Failures, the list and stoppers_ are ordered by lock_; a failure is noted before its child's end.
//
// Rejected: all children on the list from the start (two locked sections for each; half of the cost of
// a child that does nothing). A walk of the runtime's list of jobs at the stop (no cost before, but a
// stop of one of 10^5 small scopes then looks at 10^5 jobs). A lock held over all stop()s (a stop may
// stop a scope in turn; the ends of 10^6 children would wait for the walk).
#include "weft/together/child_group.hpp"

#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/result.hpp"
#include "weft/task/failures.hpp"
#include "weft/task/promise.hpp"

namespace weft::detail {

void child_job::run_child(job& self) noexcept {
  auto& child = static_cast<child_job&>(self);
  operation* const woken = child.take_woken();
  (woken == nullptr ? child.start() : after(*woken)).resume();
}

bool child_job::list_child(job& self) noexcept {
  auto& child = static_cast<child_job&>(self);
  return child.group_.list(child);
}

bool child_job::child_told_to_stop(const job& self) noexcept {
  return static_cast<const child_job&>(self).told_to_stop();
}

bool child_job::told_to_stop() const noexcept { return group_.told_to_stop(*this); }

std::coroutine_handle<> child_job::end() noexcept {
  static_cast<void>(home().retire(*this, &arrive));
  return std::noop_coroutine();
}

bool child_job::arrive(job& ended) noexcept {
  auto& child = static_cast<child_job&>(ended);
  child_group& group = child.group_;
  if (WEFT_UNLIKELY(!child.is_unlisted()) &&
      group.leave(child) == child_group::leaving::left_to_stopper) {
    return false;
  }
  group.arrived(child);
  return false;
}

void child_group::adopt(child_job& child, spawner by) noexcept {
  if (by == spawner::body) {
    ++adopted_by_body_;
  } else {
    const std::int64_t before = pending_.fetch_add(1, order::relaxed);  // the caller has not ended
    WEFT_ASSERT(
        before != 0,
        "spawn() was called on a scope whose children have all ended: by its clean-up, or by "
        "somebody who is not of the scope");
  }
  child.home().launch(child);
}

bool child_group::told_to_stop(const child_job& child) const noexcept {
  if (WEFT_UNLIKELY(stopping())) return true;
  const auto epoch_of = child.kind().epoch;
  return epoch_of != nullptr && epoch_of(child) != epoch();
}

bool child_group::list(child_job& child) noexcept {
  const spin_guard guard(lock_);
  if (!WEFT_MUTATE("children.list.forgets_stop", false, true) && told_to_stop(child)) return false;
  listed_.push_back(child);  // I2
  return true;
}

child_group::leaving child_group::leave(child_job& child) noexcept {
  const spin_guard guard(lock_);
  if (child.is_linked()) {
    child.unlink();
    return leaving::gone;
  }
  for (stopper* s = stoppers_; s != nullptr; s = s->next) {
    if (s->inside != &child) continue;
    s->ended = true;  // I3
    return WEFT_MUTATE("children.leave.under_stopper", leaving::left_to_stopper, leaving::gone);
  }
  return leaving::gone;
}

void child_group::arrived(child_job& child) noexcept {
  if (WEFT_UNLIKELY(child.was_stopped)) some_stopped_.store(true, order::relaxed);  // P1
  const auto free = child.kind().free;
  std::int64_t minus = 1;
  if (free != nullptr) {
    free(child);
  } else {
    minus = body_stake - WEFT_MUTATE("children.body.uncounted", adopted_by_body_, std::int64_t{0});
  }
  if (pending_.fetch_sub(minus, WEFT_MUTATE("children.arrive.relaxed", order::acq_rel,
                                            order::relaxed)) == minus) {  // P1, I1
    all_ended();
  }
}

void child_group::stop() noexcept {
  {
    const spin_guard guard(lock_);
    if (stopping()) return;
    stopping_.store(true, order::relaxed);
  }
  if (WEFT_MUTATE("children.stop.no_walk", false, true)) return;
  stop_listed();
}

void child_group::stop_all_so_far() noexcept {
  {
    const spin_guard guard(lock_);
    epoch_.store(epoch() + 1, order::relaxed);
  }
  stop_listed();
}

void child_group::stop_listed() noexcept {
  intrusive_list<child_job> walked;
  stopper me{nullptr, nullptr};
  spin_guard guard(lock_);
  walked.splice_back(listed_);
  me.next = stoppers_;
  stoppers_ = &me;
  while (!walked.empty()) {
    child_job& child = walked.pop_front();
    if (!told_to_stop(child)) {
      listed_.push_back(child);
      continue;
    }
    me.inside = &child;
    me.ended = false;
    lock_.unlock();
    child.stop();
    lock_.lock();
    me.inside = nullptr;
    if (me.ended) {
      lock_.unlock();
      arrived(child);  // I3. The group stays, by I4, even if this was the last
      lock_.lock();
    }
  }
  stopper** at = &stoppers_;
  while (*at != &me) at = &(*at)->next;
  *at = me.next;
}

void child_group::fail(std::exception_ptr error) noexcept { fail(std::move(error), {}); }
void child_group::fail(std::error_code code) noexcept { fail(nullptr, code); }

void child_group::fail(std::exception_ptr error, std::error_code code) noexcept {
  error != nullptr ? note_failure(error) : note_failure(code, "weft::scope");
  {
    const spin_guard guard(lock_);
    if (!failed_) {
      failed_ = true;
      error_ = std::move(error);
      code_ = code;
    } else if (others_ != nullptr) {
      try {
        if (error == nullptr) error = std::make_exception_ptr(weft::error(code, "weft::scope"));
        others_->push_back(std::move(error));
      } catch (...) {  // no memory: it is lost, as it would be if nobody wanted to know
      }
    }
  }
  stop();
}

void child_group::check() {
  if (WEFT_UNLIKELY(error_ != nullptr)) std::rethrow_exception(std::move(error_));
}

}  // namespace weft::detail
