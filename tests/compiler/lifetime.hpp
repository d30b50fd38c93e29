// Objects that notice a wrong lifetime, and the least coroutine type that can carry them.
//
// Nothing of the library is used here on purpose: these tests are about compilers, and a verdict
// must not change because the library did.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <set>
#include <type_traits>
#include <utility>

namespace conformance {

// Notes that this process saw something wrong; the first note is what the table shows.
void fail(const char* what) noexcept;

inline void expect(bool ok, const char* what) noexcept {
  if (!ok) fail(what);
}

// A value that knows whether it is alive. It owns nothing, so a compiler that copies it bit by bit
// is caught by the register and not by the luck of an allocator.
class object {
 public:
  object(int value = 0) : value_(value) { enter(); }
  object(const object& from) : value_(from.value_) {
    from.expect_alive();
    enter();
  }
  object(object&& from) noexcept : value_(from.value_) {
    from.expect_alive();
    from.value_ = -1;
    enter();
  }
  object& operator=(const object&) = default;
  object& operator=(object&&) = default;
  ~object() {
    if (alive().erase(this) == 0) fail("destroyed an object that was never made there");
  }

  [[nodiscard]] int get() const {
    expect_alive();
    return value_;
  }

  // Every object in this process that was made and not yet destroyed.
  static std::set<const void*>& alive() {
    static std::set<const void*> all;
    return all;
  }

 private:
  void enter() {
    if (!alive().insert(this).second) fail("made an object over a living one");
  }
  void expect_alive() const { expect(alive().contains(this), "used an object that is not alive"); }

  int value_;
};

// Wherever a coroutine waits "for something else", it waits here; drive() goes on with it.
inline std::coroutine_handle<> parked;

struct park {
  park() noexcept {}  // declared, so that no row but those of G2 depends on aggregates
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const noexcept { parked = self; }
  void await_resume() const noexcept {}
};

// Resumes whatever is parked; bounded, for a miscompiled loop may park for ever.
inline void resume_parked() {
  for (int left = 10'000; parked && left > 0; --left) std::exchange(parked, {}).resume();
}

struct promise_base {
  struct final_awaiter {
    final_awaiter() noexcept {}
    bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> self) const noexcept {
      return self.promise().continuation;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() const noexcept { return {}; }
  final_awaiter final_suspend() const noexcept { return final_awaiter(); }
  void unhandled_exception() noexcept { error = std::current_exception(); }

  std::coroutine_handle<> continuation = std::noop_coroutine();
  std::exception_ptr error;
};

template <class T>
class task;

template <class T>
struct promise : promise_base {
  task<T> get_return_object();
  template <class U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  T take() { return std::move(*result); }

  std::optional<T> result;
};

template <>
struct promise<void> : promise_base {
  task<void> get_return_object();
  void return_void() noexcept {}
  void take() noexcept {}
};

// Lazy, owning, awaited once, by symmetric transfer: the shape of the library's own task.
template <class T>
class [[nodiscard]] task {
 public:
  using promise_type = promise<T>;
  using handle = std::coroutine_handle<promise_type>;

  class awaiter {
   public:
    explicit awaiter(handle child) noexcept : child_(child) {}
    bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) const noexcept {
      child_.promise().continuation = parent;
      return child_;
    }
    T await_resume() const {
      if (child_.promise().error) std::rethrow_exception(child_.promise().error);
      return child_.promise().take();
    }

   private:
    handle child_;
  };

  explicit task(handle frame) noexcept : frame_(frame) {}
  task(task&& from) noexcept : frame_(std::exchange(from.frame_, {})) {}
  ~task() {
    if (frame_) frame_.destroy();
  }

  awaiter operator co_await() && noexcept { return awaiter(frame_); }
  [[nodiscard]] handle frame() const noexcept { return frame_; }

 private:
  handle frame_;
};

template <class T>
task<T> promise<T>::get_return_object() {
  return task<T>(std::coroutine_handle<promise>::from_promise(*this));
}

inline task<void> promise<void>::get_return_object() {
  return task<void>(std::coroutine_handle<promise>::from_promise(*this));
}

// Runs a task to its end. That it gets there is part of the verdict: one GCC 12 defect is a
// coroutine that quietly does nothing, and a suite without this line calls it good.
template <class T>
T drive(task<T> work) {
  work.frame().resume();
  resume_parked();
  if (!work.frame().done()) {
    fail("stopped before its end");
    if constexpr (!std::is_void_v<T>) return T{};
    else return;
  }
  if (work.frame().promise().error) std::rethrow_exception(work.frame().promise().error);
  return work.frame().promise().take();
}

}  // namespace conformance
