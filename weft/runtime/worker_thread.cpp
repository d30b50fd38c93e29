// Orderings
//   P1  run: phase_ = ended (release)  ->  join, state (acquire): the error, what f did.
//   ended_ carries the same to whoever awaits it. The thread's last access to the control is its own
//   share of it, which goes after both.
#include "weft/runtime/worker_thread.hpp"

#include "weft/base/assert.hpp"
#include "weft/os/affinity.hpp"
#include "weft/os/clock.hpp"
#include "weft/os/futex.hpp"

namespace weft {
namespace {

constexpr std::uint32_t phase_starting = 0;
constexpr std::uint32_t phase_running = 1;
constexpr std::uint32_t phase_ended = 2;

thread_local worker_thread::running_thread* of_this_thread = nullptr;

}  // namespace

// Not inlined: a coroutine may be on another thread after each await, and must ask anew.
WEFT_NOINLINE worker_thread::running_thread* worker_thread::current() noexcept {
  return of_this_thread;
}

result<void> worker_thread::control::launch(const options& how,
                                            std::shared_ptr<control> self) noexcept {
  cpu_ = how.cpu;
  keeps_self_ = std::move(self);
  auto started = os::thread::start(
      how.name, how.stack_size, [](void* raw) { static_cast<control*>(raw)->run(); }, this);
  if (!started) {
    keeps_self_.reset();
    return std::unexpected(started.error());
  }
  thread_ = std::move(*started);
  if (cpu_ < 0) return {};
  static_cast<void>(wait_beyond(phase_starting, never_ns));  // whether it may run where it should
  if (!cpu_refused_.load(order::relaxed)) return {};
  thread_.join();
  return std::unexpected(std::make_error_code(std::errc::invalid_argument));
}

void worker_thread::control::run() noexcept {
  const std::shared_ptr<control> here = std::move(keeps_self_);
  if (cpu_ >= 0 && !os::pin_current_thread(static_cast<unsigned>(cpu_))) {
    cpu_refused_.store(true, order::relaxed);
  } else {
    of_this_thread = &self_;
    phase_.store(phase_running, order::release);
    if (cpu_ >= 0) os::futex_wake(phase_, 1);  // launch() waits for it
    try {
      perform();
    } catch (...) {
      error_ = std::current_exception();
    }
    of_this_thread = nullptr;
  }
  forget();
  phase_.store(phase_ended, order::release);  // P1
  os::futex_wake(phase_, INT32_MAX);
  ended_.set();
}

/// False: the time is over.
bool worker_thread::control::wait_beyond(std::uint32_t phase, std::int64_t deadline_ns) noexcept {
  for (bool in_time = true;;) {
    const std::uint32_t seen = phase_.load(order::acquire);  // P1
    if (seen > phase || !in_time) return seen > phase;
    in_time = os::futex_wait(phase_, seen, deadline_ns);
  }
}

result<worker_thread> worker_thread::begin(const options& how,
                                           std::shared_ptr<control> made) noexcept {
  if (auto launched = made->launch(how, made); !launched) {
    return std::unexpected(launched.error());
  }
  return worker_thread(std::move(made));
}

worker_thread worker_thread::demand(result<worker_thread> made) {
  if (!made) throw error(made.error(), "weft::worker_thread could not be started");
  return std::move(*made);
}

bool worker_thread::request_stop() noexcept {
  return control_ != nullptr && control_->self_.request_stop();
}

bool worker_thread::stop_requested() const noexcept {
  return control_ != nullptr && control_->self_.stop_requested();
}

stop_token worker_thread::get_stop_token() const noexcept {
  return control_ != nullptr ? control_->self_.get_stop_token() : stop_token();
}

result<void> worker_thread::join(std::chrono::nanoseconds limit) {
  if (control_ == nullptr) return {};
  WEFT_ASSERT(current() != &control_->self_,
              "a worker_thread joined itself; return from its function instead");
  const std::int64_t deadline_ns =
      saturating_add_ns(os::monotonic_ns(), limit.count());  // max() stays never
  if (!control_->wait_beyond(phase_running, deadline_ns)) {
    return std::unexpected(make_error_code(errc::timed_out));
  }
  control_->rethrow();
  return {};
}

worker_thread_state worker_thread::state() const noexcept {
  if (control_ == nullptr) return worker_thread_state::ended;
  const std::uint32_t phase = control_->phase_.load(order::acquire);  // P1
  if (phase == phase_ended) return worker_thread_state::ended;
  if (control_->self_.stop_requested()) return worker_thread_state::stopping;
  return phase == phase_running ? worker_thread_state::running : worker_thread_state::starting;
}

void worker_thread::finish() noexcept {
  if (control_ == nullptr) return;
  const std::shared_ptr<control> last = std::move(control_);
  WEFT_ASSERT(current() != &last->self_,
              "a worker_thread was destroyed by its own function; let its owner do that");
  last->self_.request_stop();
  last->thread_.join();
  // Nobody came for it: as it would be out of a std::thread. noexcept makes a terminate of it.
  if (last->error_ && !last->claimed_.load(order::relaxed)) std::rethrow_exception(last->error_);
}

event& worker_thread::ended_operation::of_none() noexcept {
  static event set(event::manual_reset, true);
  return set;
}

}  // namespace weft
