// What a look knows
//   A worker's tick, the number of its turn (task/turn.hpp), goes up before each job. So a thread that is seen in
//   user code with the tick of an earlier look is in the same job, and has been since before that
//   look. A thread that is seen in the runtime may be in that job as well: it is not forgotten,
//   only not claimed.
//   I1  Only the monitor claims, so a processor's owner changes under it only where the owner gives
//       it away (weft::blocking), and then the claim is refused: the pin says that it is taken.
//   I2  Threads are made before a claim, never during one: the thread that is claimed may have to
//       wait for the answer.
//   Whoever is given a processor where jobs wait is in a hurry for its first turns: they have waited for the
//   job before already. So jobs that compute and stand in line, one behind the other, do not add up their
//   slices; and one that computes alone (a tree of fork_join) is left alone.
// Rejected
//   /proc for each of these looks: ten times as dear as the thread's clock. It is asked only of a
//   thread
//     that has used no CPU, whether it wanted any
//   To forget a job at each look that finds it in the runtime: one that spawns all the time is
//   never caught
#include "weft/runtime/monitor.hpp"

#include <algorithm>
#include <string>

#include "weft/os/clock.hpp"
#include "weft/os/membarrier.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/preempt.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::detail {
namespace {

constexpr std::int64_t time_slice_ns =
    100'000;              // of its own: beside threads that compute it is let in at once
constexpr int hurry = 8;  // times shorter than usual is what a job may take
constexpr unsigned hurried_turns = 8;
constexpr int looks_a_hurried_slice = 4;
constexpr std::int64_t blocked_after_ns =
    1'000'000;  // with no CPU used: the thread waits for something
constexpr std::int64_t slice_max_ns = std::int64_t{1}
                                      << 52;  // 52 days: thousands of them can be counted
constexpr std::int64_t stays_ns_min = 1'000'000'000;
constexpr std::int64_t stays_slices = 1000;      // then whoever has not come back is told of
constexpr std::int64_t blocked_cpu_ns = 20'000;  // a call that fails and is made again takes some

}  // namespace

monitor::monitor(runtime_core& core, std::int64_t slice_ns)
    : core_(core),
      slice_ns_(std::min(slice_ns, slice_max_ns)),
      pace_(slice_ns_),
      seen_(core.processors_.size()) {}

result<void> monitor::start() noexcept {
  const std::string name = core_.name_.substr(0, 11) + "-mon";
  auto started = os::thread::start(name, 0, &thread_main, this);
  if (!started) return std::unexpected(started.error());
  thread_ = std::move(*started);
  return {};
}

void monitor::end() noexcept {
  rest_.end();
  if (thread_.joinable()) thread_.join();
}

void monitor::thread_main(void* self) {
  auto& mine = *static_cast<monitor*>(self);
  mine.core_.placement_.settle_helper();
  os::set_time_slice(os::current_thread_id(), time_slice_ns);
  mine.run();
}

void monitor::run() noexcept {
  bool rested = false;
  while (!rest_.ended()) {
    const std::int64_t now_ns = os::monotonic_ns();
    const bool rests = look(now_ns);
    looks_.store(looks_.load(order::relaxed) + 1, order::relaxed);
    // Not at the first look that finds nobody up: who wakes it pays for a system call.
    if (rests && rested) {
      if (!core_.handoff_.any_lost()) stays_due_ns_ = never_ns;
      rest_.sleep_while([this] { return all_rest(); }, stays_due_ns_);
      for (sight& s : seen_) s = {};  // it was long ago
      rested = false;
      continue;
    }
    rested = rests;
    rest_.pause_until(next_ns_);
  }
}

bool monitor::all_rest() const noexcept {
  return std::all_of(core_.processors_.begin(), core_.processors_.end(),
                     [](const auto& p) { return p->resting.load(order::relaxed) != 0; });
}

/// What a job there may take.
std::int64_t monitor::slice_of(const sight& s) const noexcept {
  return s.tick < s.hurries_until ? slice_ns_ / hurry : slice_ns_;
}

/// Not later than at `ns`.
void monitor::look_at(std::int64_t ns) noexcept { next_ns_ = std::min(next_ns_, ns); }

/// Result: all workers rest.
bool monitor::look(std::int64_t now_ns) noexcept {
  next_ns_ = never_ns;
  if (now_ns >= stays_due_ns_) stays_due_ns_ = core_.handoff_.tell_of_those_that_stay(now_ns);
  bool rests = true;
  bool again = false;
  for (std::size_t i = 0; i < seen_.size(); ++i) {
    processor& p = *core_.processors_[i];
    sight& s = seen_[i];
    worker* const owner = p.owner.load(order::acquire);
    if (p.resting.load(order::relaxed) == 0) rests = false;
    if (owner == nullptr) continue;  // its thread is about to begin
    const std::uint64_t tick = owner->current_turn.now();
    if (owner != s.owner || tick != s.tick) {
      const std::uint64_t hurries_until = owner == s.owner  ? s.hurries_until
                                          : s.others_waited ? tick + hurried_turns
                                                            : 0;
      s = {owner, tick, now_ns, -1, 0, false, hurries_until, false};
    }
    const std::int64_t slice_ns = slice_of(s);
    if (slice_ns < slice_ns_)
      look_at(now_ns + std::max(slice_ns / looks_a_hurried_slice, look_pace::period_min_ns));
    const std::int64_t held_ns = now_ns - s.since_ns;
    if (!owner->pin.is_in_user_code()) {
      s.cpu_ns = -1;
      // One that rests keeps the number of the turn before, and gets up with it.
      if (p.resting.load(order::relaxed) != 0) s.since_ns = now_ns;
      if (held_ns < slice_ns_ || s.was_stuck || p.resting.load(order::relaxed) != 0) continue;
      s.was_stuck = true;
      core_.handoff_.count_stuck_in_runtime();
      continue;
    }
    if (held_ns >= slice_ns / 2) static_cast<void>(ask_to_yield(owner->current_turn, tick));
    const doing what = what_it_does(s, now_ns);
    const bool is_due = what == doing::blocks || held_ns >= slice_ns;
    if (is_due || what == doing::computes) again = true;
    if (is_due) {
      hand_over(p, s, what == doing::blocks, now_ns);
    } else {
      look_at(s.since_ns + slice_ns);
    }
  }
  pace_.looked(again);
  look_at(now_ns + pace_.period_ns());
  return rests;
}

/// Of a thread that was seen in this job before, by the CPU that it has used since. Unknown, too: it was given less of
/// one than it wanted.
monitor::doing monitor::what_it_does(sight& s, std::int64_t now_ns) noexcept {
  if (s.owner->says_it_blocks(s.tick)) return doing::blocks;
  const std::int64_t since_ns = now_ns - s.cpu_at_ns;
  if (s.cpu_ns >= 0 && since_ns < blocked_after_ns) return doing::unknown;
  const os::thread_clock& clock = s.owner->clock();
  const std::int64_t before_ns = s.cpu_ns;
  s.cpu_ns = clock.used_ns();
  s.cpu_at_ns = now_ns;
  if (before_ns < 0 || s.cpu_ns < 0) return doing::unknown;
  const std::int64_t used_ns = s.cpu_ns - before_ns;
  // Where others want the CPUs, too, it may just not have got one.
  if (used_ns < blocked_cpu_ns) return clock.waits() ? doing::blocks : doing::unknown;
  return used_ns >= since_ns / 2 ? doing::computes : doing::unknown;
}

void monitor::hand_over(processor& p, sight& s, bool blocked, std::int64_t now_ns) noexcept {
  if (s.owner->keeps_processor()) return;
  handoff& threads = core_.handoff_;
  if (blocked) look_at(now_ns + blocked_after_ns);  // should it come to nothing
  if (!threads.may_lose(blocked)) return threads.count_no_spare();
  worker* spare = threads.take();
  if (spare == nullptr) {  // I2
    // One more for the next, who is most often near.
    if (threads.make(now_ns)) static_cast<void>(threads.make(now_ns));
    spare = threads.take();
  }
  if (spare == nullptr) return threads.count_no_spare();
  // Who says that it blocks is no news, however long it does.
  const bool is_news = core_.handoff_.reports() && !s.owner->says_it_blocks(s.tick);
  const std::int64_t stays_from_ns =
      is_news ? s.since_ns + std::max(stays_slices * slice_ns_, stays_ns_min) : 0;
  s.owner->may_lose_since(s.since_ns, stays_from_ns);  // it may be back before this thread goes on
  if (!blocked) s.owner->take_usual_slices();  // before it can be back, and wants short ones
  const auto claimed = s.owner->pin.try_claim([] { os::heavy_fence(); },
                                              [&] {
                                                return p.owner.load(order::relaxed) == s.owner &&
                                                       s.owner->current_turn.now() == s.tick &&
                                                       !s.owner->keeps_processor();
                                              });
  if (claimed == pin_state::claim_result::refused) {
    threads.count_refused();
    s.owner->is_told_of();
    return threads.add(*spare);
  }
  if (is_news) stays_due_ns_ = std::min(stays_due_ns_, stays_from_ns);
  s.others_waited = !p.ready.empty_hint() || !p.high.empty_hint() || !p.arrivals.empty() ||
                    !p.pinned_of(priority::normal).empty() || !p.pinned_beginners.empty() ||
                    !core_.injected(priority::normal).empty() || !core_.beginners_.empty();
  // Before anybody goes on behind it, who may be the one that it waits for.
  s.owner->tell_of_loss();
  // Nobody looks at it any more: it is to give way at the next opportunity, and go on with a processor. It gets
  // no signal, as it may be in a call that would hear of it.
  s.owner->current_turn.ask_to_end(s.tick);
  threads.give(*spare, p);
  if (s.others_waited) {
    look_at(now_ns + std::max(slice_ns_ / hurry / looks_a_hurried_slice, look_pace::period_min_ns));
  }
}

}  // namespace weft::detail
