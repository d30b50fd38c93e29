#include "weft/runtime/handoff.hpp"

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>

#include "weft/os/process.hpp"
#include "weft/os/standard_error.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/worker.hpp"

namespace weft::detail {
namespace {

constexpr unsigned busy_min = 32;        // threads, on small machines
constexpr unsigned busy_per_worker = 4;  // they slow the workers down, and each other
constexpr std::int64_t pause_first_ns = 10'000'000;
constexpr std::int64_t pause_max_ns = 1'000'000'000;
constexpr std::int64_t stderr_pause_ns = 1'000'000'000;

}  // namespace

void lost_job::note(const job& running) noexcept {
  kind = &running.kind();
  id = running.id();
  std::snprintf(name, sizeof name, "%s", running.name());  // it need not outlive the job
}

handoff::handoff(runtime_core& core, unsigned workers, unsigned blocked_max, bool reports) noexcept
    : core_(core),
      busy_max_(std::max(busy_min, busy_per_worker * workers)),
      blocked_max_(busy_max_ + std::min<unsigned>(blocked_max, INT_MAX - busy_max_)),
      reports_(reports) {}

handoff::~handoff() = default;

worker* handoff::take() noexcept {
  const std::lock_guard guard(mutex_);
  if (spare_.empty()) return nullptr;
  worker* const last = spare_.back();  // the one whose stack is warm
  spare_.pop_back();
  return last;
}

void handoff::add(worker& spare) noexcept {
  const std::lock_guard guard(mutex_);
  spare_.push_back(&spare);  // room was made when it was started
}

bool handoff::make(std::int64_t now_ns) noexcept {
  std::unique_ptr<worker> made;
  {
    const std::lock_guard guard(mutex_);
    if (now_ns < not_before_ns_) return false;
  }
  try {
    made = std::make_unique<worker>(core_);
    const std::lock_guard guard(mutex_);
    made_.reserve(made_.size() + 1);
    spare_.reserve(core_.workers_.size() + made_.size() + 1);  // add() has room for all
    made->start();
    spare_.push_back(made.get());
    made_.push_back(std::move(made));
    pause_ns_ = 0;
    return true;
  } catch (...) {  // no memory, or no thread
    const std::lock_guard guard(mutex_);
    pause_ns_ = std::clamp(2 * pause_ns_, pause_first_ns, pause_max_ns);
    not_before_ns_ = now_ns + pause_ns_;
    return false;
  }
}

bool handoff::may_lose(bool blocked) const noexcept {
  return lost_.load(order::relaxed) < static_cast<int>(blocked ? blocked_max_ : busy_max_);
}

void handoff::give(worker& spare, processor& p) noexcept {
  given_.fetch_add(1, order::relaxed);
  lost_.fetch_add(1, order::relaxed);
  p.owner.store(&spare, order::release);  // the monitor's looks
  spare.bed.give(p);
}

void handoff::came_back(worker& lost, std::int64_t held_ns, const lost_job* what,
                        const backtrace& at) noexcept {
  const auto held = static_cast<std::uint64_t>(held_ns);
  std::uint64_t longest = longest_ns_.load(order::relaxed);
  while (held > longest &&
         !longest_ns_.compare_exchange_weak(longest, held, order::relaxed, order::relaxed)) {
  }
  if (what != nullptr && is_worth_a_report(held_ns)) report(held_ns, *what, at);
  lost_.fetch_sub(1, order::relaxed);
  add(lost);
}

/// Once for each kind of job, coroutine that held the worker, and name.
void handoff::report(std::int64_t held_ns, const lost_job& what, const backtrace& at) noexcept {
  const void* const where_it_is = at.empty() ? nullptr : at[0].address;
  {
    const std::lock_guard guard(mutex_);
    for (std::size_t i = 0; i < told_count_; ++i) {
      const lost_job& told = told_[i];
      if (told.kind == what.kind && told.at == where_it_is &&
          std::strcmp(told.name, what.name) == 0) {
        return;
      }
    }
    if (told_count_ == sites_max) return;
    told_[told_count_] = what;
    told_[told_count_++].at = where_it_is;
  }
  char whose[lost_job::name_bytes_max + 40] = "a job that has gone on to wait";
  if (what.kind != nullptr) {
    std::snprintf(whose, sizeof whose, "job %llu '%s'", static_cast<unsigned long long>(what.id),
                  what.name);
  }
  std::string where;
  try {
    if (!at.empty()) where = to_string(at);
  } catch (const std::bad_alloc&) {  // it is told without
  }
  std::fprintf(stderr,
               "weft: %s held a worker for %lld ms; its processor was handed to a spare thread "
               "(docs/guide/stuck_tasks.md; runtime_options::report_stuck)\n%s",
               whose, static_cast<long long>(held_ns / 1'000'000), where.c_str());
}

std::int64_t handoff::tell_of_those_that_stay(std::int64_t now_ns) noexcept {
  std::int64_t next_ns = never_ns;
  const auto look_at = [&](worker& w) {
    const std::int64_t from_ns = w.stays_from_ns();
    if (from_ns == 0) return;
    if (from_ns > now_ns) {
      next_ns = std::min(next_ns, from_ns);
    } else if (stays_told_ < sites_max && !tell_that_it_stays(w, now_ns)) {
      next_ns = std::min(next_ns, now_ns + stderr_pause_ns);
    } else {
      w.is_told_of();
      ++stays_told_;
    }
  };
  for (auto& w : core_.workers_) look_at(*w);
  const std::lock_guard guard(mutex_);
  for (auto& w : made_) look_at(*w);
  return next_ns;
}

/// Its job is its own, and may end at any moment: so it is told where to look. False: nobody reads it now.
bool handoff::tell_that_it_stays(worker& lost, std::int64_t now_ns) noexcept {
  const std::int64_t held_ns = now_ns - lost.held_since_ns();
  char text[512];
  const int n =
      std::snprintf(text, sizeof text,
                    "weft: a job has held its thread for %lld s and does not come back: thread "
                    "%llu, which %s; others go on "
                    "beside it. Where it is: gdb -p %llu -batch -ex 'thread apply all backtrace' "
                    "(docs/guide/stuck_tasks.md; runtime_options::report_stuck)\n",
                    static_cast<long long>(held_ns / 1'000'000'000),
                    static_cast<unsigned long long>(lost.clock().thread()),
                    lost.clock().waits() ? "waits in the system" : "computes",
                    static_cast<unsigned long long>(os::process_id()));
  return os::tell_at_once(
      std::string_view(text, std::min<std::size_t>(static_cast<std::size_t>(n), sizeof text - 1)));
}

void handoff::tell(metrics_snapshot& m) const noexcept {
  m.handoffs = given_.load(order::relaxed);
  m.handoffs_refused = refused_.load(order::relaxed);
  m.no_spare = no_spare_.load(order::relaxed);
  m.stuck_in_runtime = stuck_.load(order::relaxed);
  m.longest_hold_ns = longest_ns_.load(order::relaxed);
  m.lost_threads = static_cast<unsigned>(std::max(lost_.load(order::relaxed), 0));
  const std::lock_guard guard(mutex_);
  m.spare_threads = static_cast<unsigned>(made_.size());
  for (const auto& w : made_) m.turns += w->current_turn.now();
}

void handoff::end() noexcept {
  for (auto& w : core_.workers_) w->bed.end();
  for (auto& w : made_) w->bed.end();
}

void handoff::join() noexcept {
  for (auto& w : made_) w->join();
}

}  // namespace weft::detail
