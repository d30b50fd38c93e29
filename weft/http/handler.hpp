// Who answers requests.
//
//   class greeter final : public http::handler {
//     task<response> respond(const request& asked) override {
//       co_return response::with_text(status::ok, "text/plain", "hello\n");
//     }
//   };
//
// A coroutine lambda does as well: `http::server site([](const request&) -> task<response> {...});`
//
// Threads: respond() is called for many connections at once, on any worker. What it changes of its
//   own needs an atomic or a lock.
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

  /// The whole answer. `asked`, with its body, is complete, and stays until the task has ended.
  virtual task<response> respond(const request& asked) = 0;

 protected:
  handler() noexcept = default;
};

/// What can stand in the place of a handler.
template <class F>
concept response_function =
    !std::derived_from<std::remove_cvref_t<F>, handler> && requires(F& f, const request& asked) {
      { f(asked) } -> std::same_as<task<response>>;
    };

/// A callable as a handler. It is kept here, so that what a lambda has captured lives as long as
/// the coroutines that use it.
template <response_function F>
class function_handler final : public handler {
 public:
  explicit function_handler(F f) : f_(std::move(f)) {}
  task<response> respond(const request& asked) override { return f_(asked); }

 private:
  F f_;
};

}  // namespace weft::http
