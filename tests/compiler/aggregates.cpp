// G2 and G4: an aggregate made by braces in a full-expression that has a co_await.
//
// GCC 12 treats it as it treats a closure (G1): copied bit by bit, destroyed twice. A declared
// constructor, or a function that returns the value, is enough to be safe.

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

struct parks {
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const noexcept { parked = self; }
};

struct aggregate_awaiter {
  object o;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) const noexcept { parked = self; }
  int await_resume() const { return o.get(); }
};

struct made_awaiter : parks {
  object o;
  explicit made_awaiter(object x) : o(std::move(x)) {}
  int await_resume() const { return o.get(); }
};

struct aggregate_awaitable {
  object o;
};
made_awaiter operator co_await(aggregate_awaitable a) { return made_awaiter(std::move(a.o)); }

struct made_awaitable {
  explicit made_awaitable(int v) : value(v) {}
  aggregate_awaiter operator co_await() const { return aggregate_awaiter{object(value)}; }
  int value;
};

struct aggregate_functor {
  object o;
  int operator()() const { return o.get(); }
};

struct pair_of {
  object a;
  int b;
};

struct triple_of {
  object a;
  std::string s;
  object b;
};

class made_pair {
 public:
  made_pair(object a, int b) : a_(std::move(a)), b_(b) {}
  [[nodiscard]] int get() const { return a_.get() + b_; }

 private:
  object a_;
  int b_;
};

aggregate_awaiter return_aggregate(int i) { return aggregate_awaiter{object(i)}; }
made_awaiter return_made(int i) { return made_awaiter(object(i)); }

task<int> take(pair_of p) {
  co_await park();
  co_return p.a.get();
}
task<int> take_reference(const pair_of& p) {
  co_await park();
  co_return p.a.get();
}
task<int> take_array(std::array<object, 2> a) {
  co_await park();
  co_return a[0].get();
}
task<int> take_std_pair(std::pair<object, std::string> p) {
  co_await park();
  co_return p.first.get();
}
task<int> take_made(made_pair p) {
  co_await park();
  co_return p.get();
}
template <class F>
task<int> call(F f) {
  co_await park();
  co_return f();
}
task<object> make(int i) {
  co_await park();
  co_return object(i);
}
task<std::string> make_text() {
  co_await park();
  co_return "a text too long for the small buffer of a string";
}

// -- bad on GCC 12

task<void> awaiter() {
  object guard(1);
  const int r = co_await aggregate_awaiter{object(3)};
  expect(r == 3, "wrong value");
}
// The same without any other variable that needs a destructor.
task<void> awaiter_alone() {
  const int r = co_await aggregate_awaiter{object(3)};
  expect(r == 3, "wrong value");
}
task<void> awaiter_discarded() { co_await aggregate_awaiter{object(3)}; }
task<void> awaiter_converted() {
  object guard(1);
  const int r = co_await aggregate_awaiter{3};
  expect(r == 3, "wrong value");
}
task<void> awaitable() {
  object guard(1);
  const int r = co_await aggregate_awaitable{object(3)};
  expect(r == 3, "wrong value");
}
task<void> functor() {
  object o(5);
  const int r = co_await call(aggregate_functor{o});
  expect(r == 5, "wrong value");
}
task<void> argument() {
  object guard(1);
  const int r = co_await take(pair_of{object(1), 2});
  expect(r == 1, "wrong value");
}
task<void> argument_by_reference() {
  object guard(1);
  const int r = co_await take_reference(pair_of{object(1), 2});
  expect(r == 1, "wrong value");
}
task<void> argument_braces() {
  object guard(1);
  const int r = co_await take({object(1), 2});
  expect(r == 1, "wrong value");
}
task<void> argument_designated() {
  object guard(1);
  const int r = co_await take({.a = object(1), .b = 2});
  expect(r == 1, "wrong value");
}
task<void> argument_std_array() {
  object guard(1);
  const int r = co_await take_array({object(1), object(2)});
  expect(r == 1, "wrong value");
}
task<void> member_awaited() {
  object guard(1);
  pair_of p{co_await make(1), 2};
  expect(p.a.get() == 1, "wrong value");
}
task<void> members_awaited() {
  object guard(1);
  triple_of g{co_await make(1), co_await make_text(), object(2)};
  expect(g.a.get() == 1 && g.b.get() == 2, "wrong value");
}
task<void> array_awaited() {
  object guard(1);
  object a[2] = {co_await make(1), co_await make(2)};
  expect(a[0].get() == 1 && a[1].get() == 2, "wrong value");
}
task<pair_of> returned_awaited() {
  object guard(1);
  co_return pair_of{co_await make(1), 2};
}

// -- good on both

task<void> made_parentheses() {
  object guard(1);
  const int r = co_await made_awaiter(object(3));
  expect(r == 3, "wrong value");
}
task<void> made_braces() {
  object guard(1);
  const int r = co_await made_awaiter{object(3)};
  expect(r == 3, "wrong value");
}
task<void> aggregate_returned() {
  object guard(1);
  const int r = co_await return_aggregate(3);
  expect(r == 3, "wrong value");
}
task<void> made_returned() {
  object guard(1);
  const int r = co_await return_made(3);
  expect(r == 3, "wrong value");
}
task<void> operator_returns_aggregate() {
  object guard(1);
  const int r = co_await made_awaitable(3);
  expect(r == 3, "wrong value");
}
task<void> aggregate_named() {
  object guard(1);
  aggregate_awaiter a{object(3)};
  const int once = co_await a;
  const int again = co_await std::move(a);
  expect(once == 3 && again == 3, "wrong value");
}
task<void> argument_named() {
  object guard(1);
  pair_of p{object(1), 2};
  const int r = co_await take(std::move(p));
  expect(r == 1, "wrong value");
}
task<void> argument_made() {
  object guard(1);
  const int r = co_await take_made({object(1), 2});
  expect(r == 3, "wrong value");
}
task<void> argument_std_pair() {
  object guard(1);
  const int r = co_await take_std_pair({object(1), "a text too long for the small buffer"});
  expect(r == 1, "wrong value");
}
task<void> constructor_awaited() {
  object guard(1);
  made_awaiter m{co_await make(1)};
  made_pair p{co_await make(2), 3};
  expect(m.o.get() == 1 && p.get() == 5, "wrong value");
}
task<void> trivial_member_awaited() {
  struct trivial {
    int a;
  };
  object o(1);
  auto one = [](object x) -> task<int> {
    co_await park();
    co_return x.get();
  };
  trivial t{co_await one(o)};
  expect(t.a == 1, "wrong value");
}
task<void> named_members() {
  object guard(1);
  auto first = co_await make(1);
  auto text = co_await make_text();
  triple_of g{std::move(first), std::move(text), object(2)};
  co_await park();
  expect(g.a.get() == 1 && g.b.get() == 2, "wrong value");
}
task<void> initializer_list_alone() {
  object guard(1);
  std::vector<object> v{object(3), object(2)};
  co_await park();
  expect(v[0].get() == 3, "wrong value");
}

// G10: an immovable value is made in place by a member initialiser; only the attribute
// [[no_unique_address]] breaks that (refused/immovable_no_unique_address.cpp).
class immovable : public parks {
 public:
  explicit immovable(int v) : o_(v) {}
  immovable(immovable&&) = delete;
  int await_resume() const { return o_.get(); }

 private:
  object o_;
};
class gives_immovable {
 public:
  explicit gives_immovable(int v) : v_(v) {}
  immovable operator co_await() && { return immovable(v_); }

 private:
  int v_;
};
template <class A>
class wraps {
 public:
  explicit wraps(A a) : a_(a), awaiter_(std::move(a_).operator co_await()) {}
  bool await_ready() const noexcept { return awaiter_.await_ready(); }
  void await_suspend(std::coroutine_handle<> self) const noexcept { awaiter_.await_suspend(self); }
  int await_resume() const { return awaiter_.await_resume(); }

 private:
  A a_;
  immovable awaiter_;
};
task<void> immovable_member() {
  object guard(1);
  const int three = co_await gives_immovable(3);
  const int four = co_await wraps<gives_immovable>(gives_immovable(4));
  expect(three == 3 && four == 4, "wrong value");
}

}  // namespace

std::span<const pattern> aggregates() {
  static constexpr pattern table[] = {
      {"G2", "aggregate_awaiter", [] { drive(awaiter()); }, bad_on_gcc12},
      {"G2", "aggregate_awaiter_alone", [] { drive(awaiter_alone()); }, bad_on_gcc12},
      {"G2", "aggregate_awaiter_discarded", [] { drive(awaiter_discarded()); }, bad_on_gcc12},
      {"G2", "aggregate_awaiter_converted", [] { drive(awaiter_converted()); }, bad_on_gcc12},
      {"G2", "aggregate_awaitable", [] { drive(awaitable()); }, bad_on_gcc12},
      {"G2", "aggregate_functor", [] { drive(functor()); }, bad_on_gcc12},
      {"G2", "aggregate_argument", [] { drive(argument()); }, bad_on_gcc12},
      {"G2", "aggregate_argument_by_reference", [] { drive(argument_by_reference()); },
       bad_on_gcc12},
      {"G2", "aggregate_argument_braces", [] { drive(argument_braces()); }, bad_on_gcc12},
      {"G2", "aggregate_argument_designated", [] { drive(argument_designated()); }, bad_on_gcc12},
      {"G2", "aggregate_argument_std_array", [] { drive(argument_std_array()); }, bad_on_gcc12},
      {"G2", "awaiter_made_by_parentheses", [] { drive(made_parentheses()); }},
      {"G2", "awaiter_made_by_braces", [] { drive(made_braces()); }},
      {"G2", "aggregate_returned_by_a_function", [] { drive(aggregate_returned()); }},
      {"G2", "awaiter_returned_by_a_function", [] { drive(made_returned()); }},
      {"G2", "operator_co_await_returns_aggregate", [] { drive(operator_returns_aggregate()); }},
      {"G2", "aggregate_named", [] { drive(aggregate_named()); }},
      {"G2", "argument_named", [] { drive(argument_named()); }},
      {"G2", "argument_with_constructor", [] { drive(argument_made()); }},
      {"G2", "argument_std_pair", [] { drive(argument_std_pair()); }},
      {"G2", "initializer_list_without_await", [] { drive(initializer_list_alone()); }},
      {"G4", "aggregate_member_awaited", [] { drive(member_awaited()); }, bad_on_gcc12},
      {"G4", "aggregate_members_awaited", [] { drive(members_awaited()); }, bad_on_gcc12},
      {"G4", "array_elements_awaited", [] { drive(array_awaited()); }, bad_on_gcc12},
      {"G4", "aggregate_returned_awaited",
       [] { expect(drive(returned_awaited()).a.get() == 1, "wrong value"); }, bad_on_gcc12},
      {"G4", "constructor_argument_awaited", [] { drive(constructor_awaited()); }},
      {"G4", "trivial_aggregate_member_awaited", [] { drive(trivial_member_awaited()); }},
      {"G4", "aggregate_of_named_values", [] { drive(named_members()); }},
      {"G10", "immovable_member_made_in_place", [] { drive(immovable_member()); }},
  };
  return table;
}

}  // namespace conformance
