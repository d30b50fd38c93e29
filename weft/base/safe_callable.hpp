// safe_callable: refuses, at compile time, the callables that GCC 12 would destroy twice.
//
// GCC 12 copies some temporaries of a full-expression that has a co_await into the frame bit by
// bit, and later destroys both copies: closures that own something, and aggregates. An awaitable
// that takes a callable by forwarding reference, to be awaited where it is made, can say so:
//
//   template <weft::safe_in_await F> auto with_lock(F&& f);
//
//   co_await with_lock([s] { .. });                  // refused when s owns something, on GCC 12
//   auto f = [s] { .. };  co_await with_lock(f);     // right: a copy of f
//   auto f = [s] { .. };  co_await with_lock(weft::moved(f));  // right: f itself, moved
//
// What it cannot see: `std::move(f)` and `[s] {..}` are the same type and the same kind of
// reference, though only the second is miscompiled. Both are refused; moved(f) is the way to say
// "this one has a name". For the same reason it is not for functions whose result is seldom awaited
// in place (spawn): there it would refuse what is right. It sees only the callable it is given: a
// temporary closure inside a temporary std::function is as wrong, and passes.
//
//   After  tests/compiler/captures.cpp and aggregates.cpp
#pragma once

#include <initializer_list>
#include <type_traits>
#include <utility>

// 1: this compiler is known to do so. Measured on GCC 12.2 only. Reports say that 13 and later are
// better, none says which release repaired it; tests/compiler finds out for the one at hand.
#ifndef WEFT_GCC_CLOSURE_BUG
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 13
#define WEFT_GCC_CLOSURE_BUG 1
#else
#define WEFT_GCC_CLOSURE_BUG 0
#endif
#endif

/// For a static_assert on safe_in_await: what to write instead.
#define WEFT_SAFE_IN_AWAIT_MESSAGE                                                      \
  "GCC 12 would destroy this callable twice: name it first (`auto f = [..]{..};`) and " \
  "pass `f` or `weft::moved(f)`, or pass a captureless function and its arguments"

namespace weft {
namespace detail {

/// True where a copy of the bits is as good as a move, and destroying both harms nothing.
template <class F>
concept safe_as_bits =
    std::is_trivially_move_constructible_v<F> && std::is_trivially_destructible_v<F>;

/// A closure type has no trait; GCC spells one `..<lambda(..)>`. Only the last name counts: a
/// bind_front of a closure is not a closure.
template <class F>
consteval bool is_closure() {
#if WEFT_GCC_CLOSURE_BUG
  // "consteval bool weft::detail::is_closure() [with F = a::b()::<lambda(int)>]"
  const char* const begin = __PRETTY_FUNCTION__;
  const char* at = begin + sizeof(__PRETTY_FUNCTION__) - 3;  // the end is "]", then a zero
  if (*at != '>') return false;
  for (int depth = 0; at != begin; --at) {
    if (*at == '>' || *at == ')') ++depth;
    if (*at == '<' || *at == '(') --depth;
    if (depth == 0) break;
  }
  for (const char c : {'<', 'l', 'a', 'm', 'b', 'd', 'a', '('}) {
    if (*at++ != c) return false;
  }
  return true;
#else
  return false;
#endif
}

template <class F>
consteval bool survives_as_a_temporary() {
  if constexpr (!WEFT_GCC_CLOSURE_BUG || !std::is_class_v<F> || safe_as_bits<F>)
    return true;
  else
    return !std::is_aggregate_v<F> && !is_closure<F>();
}

}  // namespace detail

/// F as deduced for a parameter `F&&`: an lvalue is always safe, for it has a name.
template <class F>
concept safe_in_await =
    std::is_lvalue_reference_v<F> || detail::survives_as_a_temporary<std::remove_cvref_t<F>>();

/// A callable that was moved out of a variable. Its constructor keeps it safe as a temporary.
template <class F>
class moved_callable {
 public:
  explicit moved_callable(F&& f) noexcept(std::is_nothrow_move_constructible_v<F>)
      : f_(std::move(f)) {}

  template <class... Args>
    requires std::is_invocable_v<F&, Args...>
  decltype(auto) operator()(Args&&... args) & {
    return f_(std::forward<Args>(args)...);
  }
  template <class... Args>
    requires std::is_invocable_v<const F&, Args...>
  decltype(auto) operator()(Args&&... args) const& {
    return f_(std::forward<Args>(args)...);
  }
  template <class... Args>
    requires std::is_invocable_v<F, Args...>
  decltype(auto) operator()(Args&&... args) && {
    return std::move(f_)(std::forward<Args>(args)...);
  }

 private:
  F f_;
};

/// Afterwards `f` is moved from. Takes variables only: given a temporary it would hide the fault.
template <class F>
  requires(!std::is_const_v<F>)
[[nodiscard]] moved_callable<F> moved(F& f) {
  return moved_callable<F>(std::move(f));
}
template <class F>
void moved(const F&& f) = delete;

}  // namespace weft
