// gcc: ok  clang: ok
// G1: the spelling that tells a closure from other types, for every kind of closure.
#include <functional>
#include <string>
#include <vector>

#include "weft/base/safe_callable.hpp"

constexpr bool expected = WEFT_GCC_CLOSURE_BUG;

template <class T>
struct in_template {
  static void f(T t) {
    auto nested = [t](std::vector<T>, void (*)(int)) mutable noexcept -> T { return t; };
    static_assert(!weft::safe_in_await<decltype(nested)> == expected);
    auto inner = [t] { return [t] { return t; }; };
    static_assert(!weft::safe_in_await<decltype(inner())> == expected);
  }
};
template struct in_template<std::string>;

struct class_with_closure {
  std::string s;
  void f() {
    auto generic = [s = s](auto&&... args) { return sizeof...(args) + s.size(); };
    static_assert(!weft::safe_in_await<decltype(generic)> == expected);
    auto templated = [s = s]<class T>(T) {};
    static_assert(!weft::safe_in_await<decltype(templated)> == expected);
    auto bound = std::bind_front(generic, 1);
    static_assert(weft::safe_in_await<decltype(bound)>);
    auto variadic = [s = s](const char*, ...) {};
    static_assert(!weft::safe_in_await<decltype(variadic)> == expected);
  }
};

auto at_namespace_scope = [s = std::string()] {};
static_assert(!weft::safe_in_await<decltype(at_namespace_scope)> == expected);

auto returns_local_class() {
  return [] {
    class local {
     public:
      explicit local(std::string s) : s_(std::move(s)) {}
      void operator()() const {}

     private:
      std::string s_;
    };
    return local("");
  }();
}
static_assert(weft::safe_in_await<decltype(returns_local_class())>);
