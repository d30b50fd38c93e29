// spawnable: whether f(args...) can be a job; where it cannot, the compiler says what to write instead.
#pragma once

#include <concepts>
#include <type_traits>
#include <utility>

#include "weft/task/spawn_options.hpp"
#include "weft/task/task.hpp"

namespace weft {

/// f can be called with copies of args, or with what was moved out of them.
template <class F, class... A>
concept spawnable = std::constructible_from<std::decay_t<F>, F> &&
                    (std::constructible_from<std::decay_t<A>, A> && ...) &&
                    std::invocable<std::decay_t<F>&, std::decay_t<A>...>;

namespace detail {

/// f(args...), or options before it.
template <class F, class... A>
inline constexpr bool can_spawn = spawnable<F, A...>;
template <class Options, class F, class... A>
  requires std::same_as<std::remove_cvref_t<Options>, spawn_options>
inline constexpr bool can_spawn<Options, F, A...> = spawnable<F, A...>;

/// For a spawn() that is only there to refuse. Fails to compile.
template <class F, class... A>
constexpr void explain_spawn() {
  constexpr bool never = !std::same_as<F, F>;
  if constexpr (std::same_as<std::remove_cvref_t<F>, spawn_options> && sizeof...(A) != 0) {
    explain_spawn<A...>();
  } else if constexpr (is_task<std::remove_cvref_t<F>>) {
    static_assert(never,
                  "spawn() makes the task itself, for a task cannot leave the scope that made it: "
                  "write spawn(f, x), not spawn(f(x))");
  } else if constexpr (!std::constructible_from<std::decay_t<F>, F> ||
                       !(std::constructible_from<std::decay_t<A>, A> && ...)) {
    static_assert(
        never,
        "spawn() copies the function and its arguments, and one of these cannot be copied: "
        "std::move() it, or lend it by std::ref() where a scope guarantees its lifetime");
  } else if constexpr (std::invocable<std::decay_t<F>&, std::decay_t<A>&...>) {
    static_assert(never,
                  "spawn() copies the arguments, and the function would refer to a copy: pass "
                  "std::ref(x) where a scope guarantees the lifetime of x, or take it by value");
  } else {
    static_assert(never, "spawn(f, args...): f cannot be called with copies of these arguments");
  }
}

}  // namespace detail
}  // namespace weft
