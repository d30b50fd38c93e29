// blocking: work that blocks its thread (a file, a C library, a long computation) runs on an elastic
// pool beside the workers, and is awaited like anything else.
//
//   const auto text = co_await spawn_blocking(read_whole_file, path);
//
// Of a kind that is slow, or that somebody else can only take so much of, there should be a
// blocking_class: so many at a time, the others wait, and the pool has threads for the rest.
//
//   Lifetimes  function and arguments live in the awaiting frame; nothing is allocated. It is one call:
//              awaited again, also after a wait that was stopped, it ends the program with a message
//   Errors     an exception is rethrown to whoever awaits. A thread that the system refuses is no
//              error while the pool has another one: the work waits for that. While there is none at
//              all the work is not begun, and weft::error is thrown, whose code compares equal to
//              std::errc::resource_unavailable_try_again (or not_enough_memory). The same where its
//              class has as many in line as may wait
//   Cancel     while in line, for a place of its class, too: lossless, the work never starts. Once
//              started: must finish, the stop is delivered when it has ended, if its result is not
#pragma once

#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/base/intrusive_list.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/runtime/blocking_class.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace detail {

class blocking_pool;

/// The untyped part: what the pool sees.
class blocking_work : public operation, public list_hook<blocking_tag> {
 public:
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept final;
  const char* what() const noexcept final {
    return class_ != nullptr ? class_->name() : "blocking";
  }
  virtual void perform() noexcept = 0;
  /// In the place of perform().
  virtual void refuse(std::exception_ptr why) noexcept = 0;

  // The class's, under its lock.
  enum class stands : unsigned char { outside, in_line, let_in, refused, withdrawn };
  stands standing = stands::outside;
  /// Gives the place in its class up, before it ends: to the one that it returns, if any.
  [[nodiscard]] blocking_work* leave_class() noexcept {
    return class_ != nullptr ? class_->leave() : nullptr;
  }
  /// It has been let into its class by the end of another one, on a thread that may be none of its
  /// runtime's.
  void go_in() noexcept;

  // The pool's, under its lock.
  enum class state : unsigned char { unseen, waiting, running, withdrawn };
  state phase = state::unseen;
  blocking_pool* pool() const noexcept { return pool_; }
  void end(bool stopped) noexcept { finish(stopped); }

 protected:
  explicit blocking_work(blocking_class* of) noexcept : class_(of) {}
  ~blocking_work() = default;

 private:
  [[nodiscard]] blocking_work* try_go_in(bool from_outside) noexcept;

  blocking_class* const class_;
  blocking_pool* pool_ = nullptr;
};

template <class F, class... A>
class blocking_call final : public awaitable_operation<blocking_call<F, A...>, blocking_work> {
  using T = std::invoke_result_t<F&, A...>;
  using base = awaitable_operation<blocking_call<F, A...>, blocking_work>;

 public:
  template <class G, class... B>
  explicit blocking_call(blocking_class* of, G&& f, B&&... args)
      : base(of), f_(std::forward<G>(f)), args_(std::forward<B>(args)...) {}
  void perform() noexcept override {
    try {
      if constexpr (std::is_void_v<T>) {
        std::apply([this](A&... a) { std::invoke(f_, std::move(a)...); }, args_);
        slot_.set_value();
      } else {
        slot_.set_value(
            std::apply([this](A&... a) -> T { return std::invoke(f_, std::move(a)...); }, args_));
      }
    } catch (...) {
      slot_.set_error(std::current_exception());
    }
  }
  void refuse(std::exception_ptr why) noexcept override { slot_.set_error(std::move(why)); }
  T await_resume() { return slot_.take(); }

 private:
  F f_;
  std::tuple<A...> args_;
  result_slot<T> slot_;
};

}  // namespace detail

/// Runs f(args...) on the blocking pool when awaited.
template <class F, class... A>
  requires(!std::is_same_v<std::remove_cvref_t<F>, blocking_class>)
[[nodiscard("co_await it")]] auto spawn_blocking(F&& f, A&&... args)
    -> detail::blocking_call<std::decay_t<F>, std::decay_t<A>...> {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return detail::blocking_call<std::decay_t<F>, std::decay_t<A>...>(nullptr, std::forward<F>(f),
                                                                    std::forward<A>(args)...);
}

/// The same, as one of `kind`: no more than kind.at_most() at a time.
template <class F, class... A>
[[nodiscard("co_await it")]] auto spawn_blocking(blocking_class& kind, F&& f, A&&... args)
    -> detail::blocking_call<std::decay_t<F>, std::decay_t<A>...> {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return detail::blocking_call<std::decay_t<F>, std::decay_t<A>...>(&kind, std::forward<F>(f),
                                                                    std::forward<A>(args)...);
}

}  // namespace weft
