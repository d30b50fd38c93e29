// G5: a co_await in the condition of a statement, in a function that declares no variable.
//
// GCC 12 loses the place where such a coroutine goes on: plain builds do not run it to its end,
// sanitizer builds stop with SIGILL. Parameters do not help; any variable in any of its blocks
// does, and a closure's body is spared. The rule does not bargain: the awaited value gets a name.

#include <optional>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

int uses = 0;  // so that a condition that was never reached is seen
void use(int n) { uses += n; }

task<int> four() {
  co_await park();
  co_return 4;
}
task<int> number(int i) {
  co_await park();
  co_return i;
}
task<bool> yes() {
  co_await park();
  co_return true;
}
task<void> pause() { co_await park(); }
task<void> nothing() { co_return; }
task<std::optional<object>> next(int i) {
  co_await park();
  if (i < 3) co_return object(i);
  co_return std::nullopt;
}

void drive_and_count(task<void> work) {
  uses = 0;
  drive(std::move(work));
  expect(uses == 1, "the body did not run once");
}

// -- bad on GCC 12: no variable is declared

task<void> if_compared() {
  if (co_await four() == 4) use(1);
}
task<void> if_plain() {
  if (co_await yes()) use(1);
}
task<void> if_comma() {
  if ((co_await four(), true)) use(1);
}
task<void> if_between_awaits() {
  co_await pause();
  if (co_await four() == 4) use(1);
  co_await pause();
}
task<int> if_returns() {
  if (co_await four() == 4) co_return 1;
  co_return 2;
}
task<void> if_with_parameter(int x) {
  if (co_await four() == x) use(1);
}
task<void> await_if_with_parameter() { co_await if_with_parameter(4); }
task<void> while_loop() {
  while (co_await yes()) {
    use(1);
    break;
  }
}
task<void> for_loop() {
  for (; co_await four() != 4;) use(7);
  use(1);
}
task<void> switch_statement() {
  switch (co_await four()) {
    case 4: use(1);
  }
}
task<void> do_body() {
  do {
    if (co_await four() == 4) use(1);
  } while (false);
}
task<void> do_condition() {
  do {
    use(1);
  } while (co_await four() != 4);
}
struct with_method {
  task<int> method() {
    if (co_await four() == 4) co_return 1;
    co_return 0;
  }
};
task<void> if_in_method() {
  with_method w;
  use(co_await w.method());
}
task<void> if_in_try() {
  try {
    if (co_await yes()) use(1);
  } catch (...) {
    fail("nothing was thrown");
  }
}

// -- good on both

task<void> if_in_closure() {
  auto f = []() -> task<int> {
    if (co_await four() == 4) co_return 1;
    co_return 0;
  };
  use(co_await f());
}
task<void> if_with_block() {
  if (co_await four() == 4) {
    object o(1);
    co_await park();
    use(o.get());
  }
}
task<void> if_after_inner_block() {
  {
    int z = 1;
    use(z);
  }
  do {
    if (co_await four() != 4) use(1);
  } while (false);
}
task<void> if_with_local() {
  int z = 1;
  if (co_await four() == 4) use(z);
}
task<void> if_initialised() {
  if (int r = co_await four(); r == 4) use(1);
}
task<void> if_declares() {
  if (bool b = co_await yes()) use(b ? 1 : 0);
}
task<void> if_in_try_with_local() {
  try {
    int z = 1;
    if (co_await yes()) use(z);
  } catch (...) {
    fail("nothing was thrown");
  }
}
task<void> named() {
  const int r = co_await four();
  if (r == 4) use(1);
}
task<void> named_with_parameter(int x) {
  const int r = co_await four();
  if (r == x) use(1);
  co_await park();
}
task<void> discarded() {
  co_await four();
  use(1);
}
task<void> discarded_by_cast() {
  (void)(co_await four());
  use(1);
}
task<void> argument() { use(co_await four() - 3); }
task<int> returned() { co_return co_await four(); }
task<void> tail() { co_await nothing(); }
task<void> no_variable_at_all() {
  co_await pause();
  co_await nothing();
  use(co_await returned() - 3);
}

task<void> all_conditions_with_locals() {
  int i = 0;
  int s = 0;
  while (auto o = co_await next(i++)) s += o->get();
  expect(s == 3, "while");
  switch (co_await number(2)) {
    case 2: s = 9; break;
    default: s = 0;
  }
  expect(s == 9, "switch");
  if (auto o = co_await next(1); o && o->get() == 1) s = 1;
  expect(s == 1, "if");
  for (int j = co_await number(0); j < co_await number(3); j += co_await number(1)) s++;
  expect(s == 4, "for");
  do {
    s--;
  } while (co_await number(s));
  expect(s == 0, "do");
  if (co_await number(0) == 1) s = 7;
  else if (co_await number(1) == 1) s = 8;
  expect(s == 8, "else if");
  use(1);
}

}  // namespace

std::span<const pattern> conditions() {
  static constexpr pattern table[] = {
      {"G5", "if_compares_await", [] { drive_and_count(if_compared()); }, bad_on_gcc12},
      {"G5", "if_await", [] { drive_and_count(if_plain()); }, bad_on_gcc12},
      {"G5", "if_await_comma", [] { drive_and_count(if_comma()); }, bad_on_gcc12},
      {"G5", "if_between_awaits", [] { drive_and_count(if_between_awaits()); }, bad_on_gcc12},
      {"G5", "if_that_returns", [] { expect(drive(if_returns()) == 1, "wrong value"); },
       bad_on_gcc12},
      {"G5", "if_with_parameter", [] { drive_and_count(await_if_with_parameter()); },
       bad_on_gcc12},
      {"G5", "while_await", [] { drive_and_count(while_loop()); }, bad_on_gcc12},
      {"G5", "for_await", [] { drive_and_count(for_loop()); }, bad_on_gcc12},
      {"G5", "switch_await", [] { drive_and_count(switch_statement()); }, bad_on_gcc12},
      {"G5", "if_await_in_do_body", [] { drive_and_count(do_body()); }, bad_on_gcc12},
      {"G5", "do_while_await", [] { drive_and_count(do_condition()); }, bad_on_gcc12},
      {"G5", "if_await_in_method", [] { drive_and_count(if_in_method()); }, bad_on_gcc12},
      {"G5", "if_await_in_try", [] { drive_and_count(if_in_try()); }, bad_on_gcc12},
      {"G5", "if_await_with_variable_in_its_block", [] { drive_and_count(if_with_block()); }},
      {"G5", "if_await_after_inner_block", [] { drive_and_count(if_after_inner_block()); }},
      {"G5", "if_await_in_closure", [] { drive_and_count(if_in_closure()); }},
      {"G5", "if_await_with_local", [] { drive_and_count(if_with_local()); }},
      {"G5", "if_with_initialiser", [] { drive_and_count(if_initialised()); }},
      {"G5", "if_that_declares", [] { drive_and_count(if_declares()); }},
      {"G5", "if_await_in_try_with_local", [] { drive_and_count(if_in_try_with_local()); }},
      {"G5", "await_named", [] { drive_and_count(named()); }},
      {"G5", "await_named_with_parameter", [] { drive_and_count(named_with_parameter(4)); }},
      {"G5", "await_discarded", [] { drive_and_count(discarded()); }},
      {"G5", "await_discarded_by_cast", [] { drive_and_count(discarded_by_cast()); }},
      {"G5", "await_as_argument", [] { drive_and_count(argument()); }},
      {"G5", "await_returned", [] { expect(drive(returned()) == 4, "wrong value"); }},
      {"G5", "await_only", [] { drive(tail()); }},
      {"G5", "awaits_without_any_variable", [] { drive_and_count(no_variable_at_all()); }},
      {"G5", "all_conditions_with_locals",
       [] { drive_and_count(all_conditions_with_locals()); }},
  };
  return table;
}

}  // namespace conformance
