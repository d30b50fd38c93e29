#include "weft/runtime/participants.hpp"

#include <algorithm>

#include "weft/os/affinity.hpp"

namespace weft::detail {
namespace {

/// A container with 2 of a machine's 200 CPUs need not have 200 threads and drivers, nearly all of them
/// benched for good: a quota that grows is followed up to four times what it was at the start.
unsigned worth_having(environment& env) noexcept {
  constexpr unsigned always = 8;
  constexpr unsigned growth = 4;
  const unsigned allowed = env.cpus_allowed();
  if (allowed <= always) return allowed;
  const unsigned granted = std::min(env.cpus_available(), idle::workers_max);
  return std::min(allowed, std::max(always, growth * granted));
}

unsigned worker_count(const runtime_options& options, environment& env, bool automatic) noexcept {
  if (options.mode == scheduling::current_thread || options.mode == scheduling::guest) return 1;
  const unsigned wanted = automatic              ? worth_having(env)
                          : options.workers != 0 ? options.workers
                                                 : os::cpus_available();
  return std::clamp(wanted, 1u, idle::workers_max);
}

}  // namespace

participants::participants(const runtime_options& options, environment& env) noexcept
    : env_(env),
      automatic_(options.workers == 0 && options.mode == scheduling::work_stealing),
      workers_(worker_count(options, env, automatic_)),
      active_(workers_) {
  if (!automatic_ || workers_ == 1) return;
  active_.store(granted(), order::relaxed);
  next_look_ns_.store(saturating_add_ns(env_.now_ns(), env_.cpus_look_every_ns()), order::relaxed);
}

unsigned participants::granted() noexcept {
  return std::clamp(env_.cpus_available(), 1u, workers_);
}

participants::change participants::ask(std::int64_t now_ns) noexcept {
  std::int64_t due = next_look_ns_.load(order::relaxed);
  const std::int64_t next = saturating_add_ns(now_ns, env_.cpus_look_every_ns());
  if (now_ns < due || !next_look_ns_.compare_exchange(due, next, order::relaxed, order::relaxed)) {
    return {};  // somebody else has asked, or is about to
  }
  // Who is held up here for a second may put an older number over a newer one. Each exchange tells
  // exactly those workers whose part it changed, so nobody is forgotten, and the next look repairs it.
  const unsigned now = granted();
  const unsigned before = active_.exchange(now, order::seq_cst);
  return {std::min(now, before), std::max(now, before)};
}

}  // namespace weft::detail
