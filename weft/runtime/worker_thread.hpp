// worker_thread: an operating system thread of one's own, with a name: for a library that wants to be
// called from one thread only, a device that is polled, a loop that never gives way.
//
//   weft::worker_thread poller({.name = "poller"}, poll_device, "/dev/thing");
//   ...
//   poller.request_stop();
//   const auto ended = poller.join(2s);      // errc::timed_out: it did not listen
//   co_await poller.ended();                 // the same in a task, whose worker goes on meanwhile
//
// Inside of it: worker_thread::current()->stop_requested(), or a stop_token as f's first parameter.
//
//   Threads    all members from any thread; moving and destroying it is the owner's
//   Lifetimes  f and its arguments are copied (or moved) in, and are destroyed on the thread, before
//              it counts as ended. The destructor requests a stop and waits for the end
//   Errors     an exception out of f is kept and rethrown by join() and ended(), each time. If nobody
//              came for it the destructor ends the program, as an exception out of a std::thread does
//   Cost       one allocation, and the thread; the stop's state is one more
//   After      std::jthread, which has no name, no time-out and no memory of what was thrown
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/base/atomic.hpp"
#include "weft/base/chrono.hpp"
#include "weft/base/result.hpp"
#include "weft/base/time.hpp"
#include "weft/os/thread.hpp"
#include "weft/sync/event.hpp"
#include "weft/together/stop_token.hpp"

namespace weft {

struct worker_thread_options {
  std::string_view name = "worker_thread";  // ps and debuggers show 15 bytes of it
  std::size_t stack_size = 0;               // bytes; 0: the system's default
  int cpu = -1;                             // the system's number of the one to stay on; -1: any
};

enum class worker_thread_state : std::uint8_t {
  starting,  // f has not begun
  running,
  stopping,  // a stop was requested, f has not ended
  ended,     // f has returned or thrown, and is destroyed; a default-constructed one is, too
};

class worker_thread {
  class control;
  template <class F, class... A>
  class call;
  class ended_operation;

 public:
  using options = worker_thread_options;

  /// What a thread knows of itself.
  class running_thread {
   public:
    bool stop_requested() const noexcept { return stop_.stop_requested(); }
    bool request_stop() noexcept { return stop_.request_stop(); }
    stop_token get_stop_token() const noexcept { return stop_.get_token(); }

   private:
    friend class worker_thread;
    friend class control;
    running_thread() = default;
    stop_source stop_;
  };

  /// None: it has ended.
  worker_thread() noexcept = default;
  /// Runs f(args...), or f(stop_token, args...) if it can be called so; the result is dropped. Throws
  /// weft::error where start() gives an error.
  template <class F, class... A>
    requires(!std::same_as<std::remove_cvref_t<F>, worker_thread>)
  explicit worker_thread(options how, F&& f, A&&... args)
      : worker_thread(
            demand(begin(how, make<F, A...>(std::forward<F>(f), std::forward<A>(args)...)))) {}
  /// The same as a value. Throws only what copying f and args does, and std::bad_alloc.
  ///
  /// Errors  std::errc::resource_unavailable_try_again at a limit (the message names the remedies),
  ///         invalid_argument if it may not run on `cpu`
  template <class F, class... A>
  [[nodiscard]] static result<worker_thread> start(options how, F&& f, A&&... args) {
    return begin(how, make<F, A...>(std::forward<F>(f), std::forward<A>(args)...));
  }

  worker_thread(worker_thread&& other) noexcept = default;
  worker_thread& operator=(worker_thread&& other) noexcept {
    if (this != &other) {
      finish();
      control_ = std::move(other.control_);
    }
    return *this;
  }
  /// Requests a stop and waits for the end, for as long as it takes. Not on the thread itself.
  ~worker_thread() { finish(); }

  /// True: this was the first request. It is a wish: f has to look for it. Callbacks of the token run
  /// on the calling thread.
  bool request_stop() noexcept;
  bool stop_requested() const noexcept;
  /// Of a default-constructed one: never stopped.
  stop_token get_stop_token() const noexcept;

  /// Blocks the calling thread until it has ended; in a task use ended(). Rethrows what f threw. May be
  /// called again.
  ///
  /// Errors  errc::timed_out: it runs on
  result<void> join(std::chrono::nanoseconds limit = std::chrono::nanoseconds::max());
  /// An awaitable of the end; rethrows what f threw. It may outlive this object.
  ///
  /// Cancel  the wait ends, the thread hears nothing of it
  [[nodiscard("co_await it")]] ended_operation ended() noexcept;

  /// A moment's truth; `ended` is for ever.
  worker_thread_state state() const noexcept;

  /// The one that the calling thread is, or nullptr. Valid while f runs.
  static running_thread* current() noexcept;

 private:
  explicit worker_thread(std::shared_ptr<control> of) noexcept : control_(std::move(of)) {}
  template <class F, class... A>
  static std::shared_ptr<control> make(F&& f, A&&... args);
  static result<worker_thread> begin(const options& how, std::shared_ptr<control> made) noexcept;
  static worker_thread demand(result<worker_thread> made);
  void finish() noexcept;

  std::shared_ptr<control> control_;
};

// --- Inside

class worker_thread::control {
 public:
  control() = default;
  control(const control&) = delete;
  control& operator=(const control&) = delete;
  virtual ~control() = default;

  result<void> launch(const options& how, std::shared_ptr<control> self) noexcept;
  void rethrow() {
    claimed_.store(true, order::relaxed);
    if (error_) std::rethrow_exception(error_);
  }

 protected:
  virtual void perform() = 0;
  virtual void forget() noexcept = 0;  // destroys f and its arguments
  running_thread self_;

 private:
  friend class worker_thread;
  friend class ended_operation;
  void run() noexcept;
  bool wait_beyond(std::uint32_t phase, std::int64_t deadline_ns) noexcept;

  os::thread thread_;                // by the owner
  event ended_;                      // set after everything else
  atomic<std::uint32_t> phase_{0};   // the state without `stopping`; what plain threads sleep on
  atomic<bool> claimed_{false};      // somebody came for the error
  atomic<bool> cpu_refused_{false};  // published by phase_
  int cpu_ = -1;
  std::exception_ptr error_;             // published by phase_ and by ended_
  std::shared_ptr<control> keeps_self_;  // until the thread has come to its end
};

template <class F, class... A>
class worker_thread::call final : public control {
 public:
  template <class G, class... B>
  explicit call(G&& f, B&&... args) {
    body_.emplace(std::forward<G>(f), std::forward<B>(args)...);
  }

 private:
  struct body {
    template <class G, class... B>
    explicit body(G&& f, B&&... args) : f_(std::forward<G>(f)), args_(std::forward<B>(args)...) {}
    F f_;
    std::tuple<A...> args_;
  };
  void perform() override {
    std::apply(
        [this](A&... a) {
          if constexpr (std::invocable<F&, stop_token, A...>) {
            static_cast<void>(
                std::invoke(body_->f_, this->self_.get_stop_token(), std::move(a)...));
          } else {
            static_cast<void>(std::invoke(body_->f_, std::move(a)...));
          }
        },
        body_->args_);
  }
  void forget() noexcept override { body_.reset(); }

  std::optional<body> body_;
};

class [[nodiscard]] worker_thread::ended_operation {
 public:
  explicit ended_operation(std::shared_ptr<control> of) noexcept
      : control_(std::move(of)), waiting_(control_ ? control_->ended_ : of_none()) {}
  ended_operation(const ended_operation&) = delete;
  ended_operation& operator=(const ended_operation&) = delete;

  bool await_ready() noexcept { return waiting_.await_ready(); }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    return waiting_.await_suspend(waiter);
  }
  void await_resume() {
    if (control_) control_->rethrow();
  }

 private:
  static event& of_none() noexcept;
  std::shared_ptr<control> control_;
  event::waiting waiting_;
};

template <class F, class... A>
std::shared_ptr<worker_thread::control> worker_thread::make(F&& f, A&&... args) {
  using made = call<std::decay_t<F>, std::decay_t<A>...>;
  static_assert(std::invocable<std::decay_t<F>&, stop_token, std::decay_t<A>...> ||
                    std::invocable<std::decay_t<F>&, std::decay_t<A>...>,
                "worker_thread: f cannot be called with these arguments");
  return std::make_shared<made>(std::forward<F>(f), std::forward<A>(args)...);
}

inline worker_thread::ended_operation worker_thread::ended() noexcept {
  return ended_operation(control_);
}

}  // namespace weft
