// gcc: ok  clang: ok
// G1 at compile time: everything that is right is let through.
#include <functional>
#include <memory>
#include <string>

#include "weft/base/safe_callable.hpp"

template <weft::safe_in_await F>
void awaits(F&& f) {
  std::forward<F>(f)();
}

class functor {
 public:
  explicit functor(std::string s) : s_(std::move(s)) {}
  void operator()() const {}

 private:
  std::string s_;
};

struct outer {
  template <class T>
  void method(T value) {
    auto g = [value] {};
    awaits(g);
  }
};

void plain() {}

void f(std::string s, int n) {
  auto copied = [s] {};
  auto owner = [p = std::make_unique<int>(1)]() mutable { *p = 2; };
  awaits(copied);               // named
  awaits(weft::moved(owner));   // named, moved
  awaits([&s] { s.clear(); });  // reference
  awaits([n] { (void)n; });     // trivial
  awaits([] {});
  awaits(plain);
  awaits(functor(s));
  awaits(std::bind_front([](const std::string&) {}, s));
  awaits(std::move_only_function<void()>(plain));
  outer().method(s);
}
