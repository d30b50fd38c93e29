// G12, safe on both: an exception, or an error without one, leaves a coroutine cleanly.

#include <expected>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

task<int> throws_after_suspension(object o) {
  co_await park();
  throw o.get();
  co_return 1;
}

task<int> throws_at_once(object o) {
  throw o.get();
  co_return 1;
}

task<void> after_suspension() {
  object kept(1);
  int seen = 0;
  try {
    const int r = co_await throws_after_suspension(3);
    seen = -r;
  } catch (int e) {
    seen = e;
  }
  co_await park();
  expect(seen == 3 && kept.get() == 1, "wrong value");
}

task<void> at_once() {
  object kept(1);
  int seen = 0;
  try {
    const int r = co_await throws_at_once(4);
    seen = -r;
  } catch (int e) {
    seen = e;
  }
  co_await park();
  expect(seen == 4 && kept.get() == 1, "wrong value");
}

task<void> through_an_expression() {
  object kept(1);
  int seen = 0;
  try {
    object local(2);
    seen = co_await throws_after_suspension(5) + local.get();
  } catch (int e) {
    seen = e;
  }
  co_await park();
  expect(seen == 5 && kept.get() == 1, "wrong value");
}

int sum(const object& a, int b, object c) { return a.get() + b + c.get(); }

task<void> with_live_temporaries() {
  object kept(1);
  int seen = 0;
  try {
    seen = sum(object(2), co_await throws_after_suspension(object(6)), object(4));
  } catch (int e) {
    seen = e;
  }
  co_await park();
  expect(seen == 6 && kept.get() == 1, "wrong value");
}

// `co_await` on an expected as an early exit: the awaiter stores the error as the coroutine's own
// result and goes on with whoever awaits it; the frame is destroyed while suspended there.
template <class T>
class fallible;

template <class T>
struct fallible_promise {
  template <class U>
  class unwrap {
   public:
    explicit unwrap(std::expected<U, int> e) : e_(std::move(e)) {}
    bool await_ready() const noexcept { return e_.has_value(); }
    std::coroutine_handle<> await_suspend(
        std::coroutine_handle<fallible_promise> self) const noexcept {
      self.promise().result = std::unexpected(e_.error());
      return self.promise().continuation;
    }
    U await_resume() { return std::move(*e_); }

   private:
    std::expected<U, int> e_;
  };

  fallible<T> get_return_object();
  std::suspend_always initial_suspend() const noexcept { return {}; }
  promise_base::final_awaiter final_suspend() const noexcept {
    return promise_base::final_awaiter();
  }
  void return_value(std::expected<T, int> value) { result = std::move(value); }
  void unhandled_exception() noexcept { std::terminate(); }

  template <class U>
  unwrap<U> await_transform(std::expected<U, int> e) {
    return unwrap<U>(std::move(e));
  }
  template <class U>
  U&& await_transform(U&& awaitable) {
    return std::forward<U>(awaitable);
  }

  std::expected<T, int> result{std::unexpected(0)};
  std::coroutine_handle<> continuation = std::noop_coroutine();
};

template <class T>
class fallible {
 public:
  using promise_type = fallible_promise<T>;
  explicit fallible(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  fallible(fallible&& from) noexcept : frame_(std::exchange(from.frame_, {})) {}
  ~fallible() {
    if (frame_) frame_.destroy();
  }
  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) const noexcept {
    frame_.promise().continuation = parent;
    return frame_;
  }
  std::expected<T, int> await_resume() const { return std::move(frame_.promise().result); }

 private:
  std::coroutine_handle<promise_type> frame_;
};

template <class T>
fallible<T> fallible_promise<T>::get_return_object() {
  return fallible<T>(std::coroutine_handle<fallible_promise>::from_promise(*this));
}

std::expected<object, int> below_three(int i) {
  if (i < 3) return object(i);
  return std::unexpected(i);
}

fallible<int> add_one(int i) {
  object one(1);
  object o = co_await below_three(i);
  co_await park();
  co_return o.get() + one.get();
}

task<void> early_exit() {
  const auto value = co_await add_one(2);
  const auto error = co_await add_one(7);
  expect(value && *value == 3, "wrong value");
  expect(!error && error.error() == 7, "wrong error");
}

}  // namespace

std::span<const pattern> exceptions() {
  static constexpr pattern table[] = {
      {"G12", "throw_after_suspension", [] { drive(after_suspension()); }},
      {"G12", "throw_at_once", [] { drive(at_once()); }},
      {"G12", "throw_through_an_expression", [] { drive(through_an_expression()); }},
      {"G12", "throw_with_live_temporaries", [] { drive(with_live_temporaries()); }},
      {"G12", "expected_as_early_exit", [] { drive(early_exit()); }},
  };
  return table;
}

}  // namespace conformance
