// blocking: work that blocks its thread (a file, a C library, a long computation) runs on an elastic
// pool beside the workers, and is awaited like anything else.
//
//   const auto text = co_await spawn_blocking(read_whole_file, path);
//
//   Lifetimes  function and arguments live in the awaiting frame; nothing is allocated
//   Errors     an exception is rethrown to whoever awaits; a thread that cannot be started is not
//              an error while another one lives, the work waits in line
//   Cancel     while in line: lossless, the work never starts. Once started: must finish, the stop
//              is delivered when it has ended, if its result is not
#pragma once

#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "weft/base/intrusive_list.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/task.hpp"

namespace weft {

namespace detail {

struct blocking_tag {};

/// The untyped part: what the pool sees.
class blocking_work : public operation, public list_hook<blocking_tag> {
 public:
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept final;
  const char* what() const noexcept final { return "blocking"; }
  virtual void perform() noexcept = 0;

  // The pool's, under its lock.
  enum class state : unsigned char { unseen, waiting, running, withdrawn };
  state phase = state::unseen;
  void end(bool stopped) noexcept { finish(stopped); }

 protected:
  blocking_work() noexcept {}
  ~blocking_work() = default;

 private:
  class blocking_pool* pool_ = nullptr;
};

template <class F, class... A>
class blocking_call final : public awaitable_operation<blocking_call<F, A...>, blocking_work> {
  using T = std::invoke_result_t<F&, A...>;

 public:
  template <class G, class... B>
  explicit blocking_call(G&& f, B&&... args)
      : f_(std::forward<G>(f)), args_(std::forward<B>(args)...) {}
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
  T await_resume() { return slot_.take(); }

 private:
  F f_;
  std::tuple<A...> args_;
  result_slot<T> slot_;
};

}  // namespace detail

/// Runs f(args...) on the blocking pool when awaited.
template <class F, class... A>
[[nodiscard("co_await it")]] auto spawn_blocking(F&& f, A&&... args)
    -> detail::blocking_call<std::decay_t<F>, std::decay_t<A>...> {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return detail::blocking_call<std::decay_t<F>, std::decay_t<A>...>(std::forward<F>(f),
                                                                    std::forward<A>(args)...);
}

}  // namespace weft
