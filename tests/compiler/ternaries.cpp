// G3: `?:` of class type in a full-expression that has a co_await, wherever in it.
//
// GCC 12 copies what the chosen arm made bit by bit and destroys both. It does not take an await in
// an arm: awaiting the condition, or calling what is awaited with the result, is enough when an arm
// makes an object. Numbers, and arms that only name objects, are safe.

#include <utility>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

task<object> make(int i) {
  co_await park();
  co_return object(i);
}
task<int> number(int i) {
  co_await park();
  co_return i;
}
task<bool> truth(bool x) {
  co_await park();
  co_return x;
}

task<void> await_or_value() {
  for (int i = 0; i < 2; i++) {
    object o = i ? co_await make(2) : object(5);
    expect(o.get() == (i ? 2 : 5), "wrong value");
  }
}

task<void> await_or_await() {
  for (int i = 0; i < 2; i++) {
    object o = i ? co_await make(2) : co_await make(5);
    expect(o.get() == (i ? 2 : 5), "wrong value");
  }
}

task<void> awaited_condition_too() {
  for (int i = 0; i < 2; i++) {
    object o = co_await truth(i != 0) ? co_await make(1) : co_await make(0);
    expect(o.get() == i, "wrong value");
  }
}

task<void> task_chosen() {
  object guard(1);
  for (int i = 0; i < 2; i++) {
    const object o = co_await (i ? make(2) : make(5));
    expect(o.get() == (i ? 2 : 5), "wrong value");
  }
}

class functor {
 public:
  explicit functor(object o) : o_(std::move(o)) {}
  int operator()() const { return o_.get(); }

 private:
  object o_;
};
template <class F>
task<int> call(F f) {
  co_await park();
  co_return f();
}
task<int> take(object o) {
  co_await park();
  co_return o.get();
}
task<void> argument() {
  object o(5);
  const int r = co_await call(o.get() == 5 ? functor(o) : functor(o));
  expect(r == 5, "wrong value");
}
task<void> argument_of_names() {
  object o(5);
  object p(6);
  const int five = co_await take(o.get() == 5 ? o : p);
  const int six = co_await take(o.get() == 5 ? p.get() : o.get());
  expect(five == 5 && six == 6, "wrong value");
}

task<void> numbers() {
  object guard(1);
  for (int i = 0; i < 2; i++) {
    const int one = i ? co_await number(2) : 5;
    const int two = i ? co_await number(2) : co_await number(5);
    expect(one == (i ? 2 : 5) && two == one, "wrong value");
  }
}

task<void> condition_only() {
  object guard(1);
  for (int i = 0; i < 2; i++) {
    object o = co_await truth(i != 0) ? object(1) : object(0);
    expect(o.get() == i, "wrong value");
  }
}

task<void> condition_named() {
  for (int i = 0; i < 2; i++) {
    const bool first = co_await truth(i != 0);
    object o = first ? object(1) : object(0);
    expect(o.get() == i, "wrong value");
  }
}

task<void> if_else() {
  object o(0);
  for (int i = 0; i < 2; i++) {
    if (i) o = co_await make(2);
    else o = object(5);
    expect(o.get() == (i ? 2 : 5), "wrong value");
  }
}

task<void> logical_operators() {
  object guard(1);
  const bool both = co_await truth(true) && co_await truth(true);
  const bool neither = co_await truth(false) && co_await truth(true);
  const bool either = co_await truth(false) || co_await truth(true);
  expect(both && !neither && either, "wrong value");
}

}  // namespace

std::span<const pattern> ternaries() {
  static constexpr pattern table[] = {
      {"G3", "ternary_await_or_value", [] { drive(await_or_value()); }, bad_on_gcc12},
      {"G3", "ternary_await_or_await", [] { drive(await_or_await()); }, bad_on_gcc12},
      {"G3", "ternary_all_awaited", [] { drive(awaited_condition_too()); }, bad_on_gcc12},
      {"G3", "ternary_of_tasks", [] { drive(task_chosen()); }, bad_on_gcc12},
      {"G3", "ternary_condition_awaited", [] { drive(condition_only()); }, bad_on_gcc12},
      {"G3", "ternary_as_argument", [] { drive(argument()); }, bad_on_gcc12},
      {"G3", "ternary_of_named_objects_as_argument", [] { drive(argument_of_names()); }},
      {"G3", "ternary_condition_named", [] { drive(condition_named()); }},
      {"G3", "ternary_of_numbers", [] { drive(numbers()); }},
      {"G3", "if_else_assigns", [] { drive(if_else()); }},
      {"G3", "logical_operators", [] { drive(logical_operators()); }},
  };
  return table;
}

}  // namespace conformance
