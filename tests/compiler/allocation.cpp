// G12, safe on both: where a frame's memory comes from is the promise's choice.

#include <cstdlib>
#include <new>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

struct arena {
  int from_functions = 0;
  int from_members = 0;
};

struct arena_promise;
struct arena_task {
  using promise_type = arena_promise;
  std::coroutine_handle<arena_promise> frame;
};
struct arena_promise : promise_base {
  template <class... Args>
  static void* operator new(std::size_t size, arena& a, Args&&...) {
    a.from_functions++;
    return std::malloc(size);
  }
  // A member function's object comes first, and so does a closure's.
  template <class Self, class... Args>
  static void* operator new(std::size_t size, Self&, arena& a, Args&&...) {
    a.from_members++;
    return std::malloc(size);
  }
  static void operator delete(void* frame, std::size_t size) {
    expect(size > 0, "no size given to operator delete");
    std::free(frame);
  }
  arena_task get_return_object() {
    return {std::coroutine_handle<arena_promise>::from_promise(*this)};
  }
  void return_void() noexcept {}
};

struct refusing_promise;
struct refused_task {
  using promise_type = refusing_promise;
  std::coroutine_handle<refusing_promise> frame;
};
struct refusing_promise : promise_base {
  static void* operator new(std::size_t) noexcept { return nullptr; }
  static void operator delete(void* frame, std::size_t) { std::free(frame); }
  static refused_task get_return_object_on_allocation_failure() noexcept { return {nullptr}; }
  refused_task get_return_object() {
    return {std::coroutine_handle<refusing_promise>::from_promise(*this)};
  }
  void return_void() noexcept {}
};

// Not inlined: a compiler that sees a frame's whole life may leave the allocation out, and Clang
// does.
[[gnu::noinline]] arena_task from_function(arena&, int) { co_return; }
struct with_method {
  [[gnu::noinline]] arena_task method(arena&, int) { co_return; }
};
refused_task refused(object) { co_return; }

void run_to_end(arena_task work) {
  work.frame.resume();
  work.frame.destroy();
}

void extra_arguments() {
  arena a;
  run_to_end(from_function(a, 1));
  expect(a.from_functions == 1 && a.from_members == 0, "function");
  with_method w;
  run_to_end(w.method(a, 1));
  expect(a.from_members == 1, "member function");
  auto closure = [](arena&) __attribute__((noinline)) -> arena_task { co_return; };
  run_to_end(closure(a));
  // Whether a closure without captures passes itself is not agreed between compilers.
  expect(a.from_functions + a.from_members == 3, "closure");
}

void failure() {
  const auto work = refused(object(1));
  expect(!work.frame, "a frame was made without memory");
}

}  // namespace

std::span<const pattern> allocation() {
  static constexpr pattern table[] = {
      {"G12", "operator_new_with_arguments", extra_arguments},
      {"G12", "allocation_failure_is_returned", failure},
  };
  return table;
}

}  // namespace conformance
