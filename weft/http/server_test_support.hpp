// What the tests of the server share: the handlers that they ask, and how.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "weft/base/atomic.hpp"
#include "weft/http/client_test_support.hpp"
#include "weft/http/server.hpp"
#include "weft/task/wait_queue.hpp"

namespace weft::http::test {

inline std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\n" + std::string(fields) + "\r\n";
}

/// Jobs wait until it is opened, which any thread may do.
class gate {
 public:
  class pass_operation;
  [[nodiscard("co_await it")]] pass_operation pass() noexcept;
  void open() noexcept {
    open_.store(true, order::seq_cst);
    waiting_.wake_all();
  }

 private:
  atomic<bool> open_{false};
  wait_queue waiting_;
};

class gate::pass_operation final : public awaitable_operation<pass_operation, wait_queue::waiter> {
 public:
  explicit pass_operation(gate& at) noexcept : at_(at) {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    switch (
        at_.waiting_.add_if(*this, waiter, [this] { return !at_.open_.load(order::seq_cst); })) {
      case wait_queue::add_result::waiting:
        return std::noop_coroutine();  // touch nothing more
      case wait_queue::add_result::granted:
        return waiter.handle();
      case wait_queue::add_result::not_needed:
        return ready_at_once(*this, waiter);
      case wait_queue::add_result::stopped:
        break;
    }
    return unwind(waiter);
  }
  const char* what() const noexcept override { return "the test's gate"; }
  void await_resume() const noexcept {}

 private:
  gate& at_;
};

inline gate::pass_operation gate::pass() noexcept { return pass_operation(*this); }

// "/echo" gives target and body back; "/big" much; "/gated" when the gate is open; "/never" waits
// for its stop; "/throw" throws.
class answering final : public handler {
 public:
  static constexpr std::size_t big = 8 * 1024 * 1024;
  gate way;
  event_counter waiting;  // requests that came as far as the gate, or for ever
  event_counter unwound;

  task<response> respond(const request& asked) override {
    if (asked.path() == "/throw") throw std::runtime_error("planned");
    if (asked.path() == "/big") {
      co_return response::with_text(status::ok, "", std::string(big, 'b'));
    }
    if (asked.path() == "/gated") {
      ++waiting;
      co_await way.pass();
      co_return response::with_text(status::ok, "", "gated");
    }
    if (asked.path() == "/never") {
      const noted at_the_end(unwound);
      ++waiting;
      gate closed;
      co_await closed.pass();
    }
    co_return response::with_text(status::ok, "", asked.target + "|" + asked.body);
  }

 private:
  struct noted {
    event_counter& n;
    explicit noted(event_counter& counter) : n(counter) {}
    noted(const noted&) = delete;
    ~noted() { ++n; }
  };
};

// "/kept" is 10 KiB that others send, too; "/late" is answered by a task; "/throw" throws.
class prompt final : public handler {
 public:
  event_counter tasks;

  static std::string page() {
    std::string text;
    for (int i = 0; text.size() < 10 * 1024; ++i) text += std::to_string(i) + ' ';
    return text;
  }
  bool try_respond(const request& asked, response& answer) override {
    if (asked.path() == "/throw") throw std::runtime_error("planned");
    if (asked.path() == "/late") return false;
    if (asked.path() == "/kept") {
      answer.kind = body_kind::kept;
      answer.kept = page_;
      answer.file_bytes = page_->size();
    } else {
      answer = response::with_text(status::ok, "text/plain", asked.target + "|" + asked.body);
    }
    return true;
  }
  task<response> respond(const request& asked) override {
    ++tasks;
    co_return response::with_text(status::ok, "text/plain", asked.target + " by a task");
  }

 private:
  const std::shared_ptr<const std::string> page_ = std::make_shared<const std::string>(page());
};

inline const server_options defaults;  // its time-outs are on the test's clock

}  // namespace weft::http::test
