// Who answers requests.
//
//   class greeter final : public http::handler {
//     task<response> respond(const request& asked) override {
//       co_return response::with_text(status::ok, "text/plain", "hello\n");
//     }
//   };
//
// A coroutine lambda does as well: `http::server site([](const request&) -> task<response> {...});`
// So does a function that never waits and gives the response itself, for which no coroutine is made.
//
// Threads: it is called for many connections at once, on any worker. What it changes of its own needs an
//   atomic or a lock.
// Errors: an exception that leaves it is answered with 500, and the connection is closed. So is a
//   response that cannot be sent: a status below 200, a body_kind::stream.
// Cancel: a shutdown that has waited long enough destroys the task at its next await.
#pragma once

#include <weft/http/request.hpp>
#include <weft/http/response.hpp>
#include <weft/task/task.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace weft::http {

class handler {
 public:
  handler(const handler&) = delete;
  handler& operator=(const handler&) = delete;
  virtual ~handler() = default;

  /// Asked first, once for each request, by a server that can then do without a task. What it does holds
  /// the worker up, so it must not block; `answer` is as new (response::set_text()).
  /// Result: whether `answer` is the whole answer. False: respond() gives it, and `answer` is dropped.
  virtual bool try_respond(const request& asked, response& answer) {
    static_cast<void>(asked), static_cast<void>(answer);
    return false;
  }

  /// The whole answer. `asked`, with its body, is complete, and stays until the task has ended.
  virtual task<response> respond(const request& asked) = 0;

 protected:
  handler() noexcept = default;
};

/// A function that gives the answer itself.
template <class F>
concept prompt_response_function =
    !std::derived_from<std::remove_cvref_t<F>, handler> && requires(F& f, const request& asked) {
      { f(asked) } -> std::same_as<response>;
    };

/// What can stand in the place of a handler.
template <class F>
concept response_function =
    prompt_response_function<F> ||
    (!std::derived_from<std::remove_cvref_t<F>, handler> && requires(F& f, const request& asked) {
      { f(asked) } -> std::same_as<task<response>>;
    });

/// A callable as a handler. It is kept here, so that what a lambda has captured lives as long as
/// the coroutines that use it.
template <response_function F>
class function_handler final : public handler {
 public:
  explicit function_handler(F f) : f_(std::move(f)) {}

  bool try_respond(const request& asked, response& answer) override {
    if constexpr (prompt_response_function<F>) {
      answer = f_(asked);
      return true;
    } else {
      return handler::try_respond(asked, answer);
    }
  }
  task<response> respond(const request& asked) override {
    if constexpr (prompt_response_function<F>) {
      return later(f_, asked);
    } else {
      return f_(asked);
    }
  }

 private:
  static task<response> later(F& f, const request& asked) { co_return f(asked); }

  F f_;
};

}  // namespace weft::http
