// G12, safe on both: parameters, temporaries, results and frames that are destroyed early.

#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "lifetime.hpp"
#include "suite.hpp"

namespace conformance {
namespace {

const char* const long_text = "a text too long for the small buffer of a string";
const int long_size = 48;

task<object> make(int i) {
  co_await park();
  co_return object(i);
}
task<std::string> text(const char* c) {
  co_await park();
  co_return std::string(c);
}

// -- parameters

task<int> mixed(object a, object b, const object& c, std::string s) {
  co_await park();
  expect(s == long_text, "wrong text");
  co_return a.get() + b.get() + c.get();
}
template <class... Args>
task<int> pack(Args... args) {
  co_await park();
  co_return (args.get() + ...);
}
template <class... Args>
task<int> pack_of_references(Args&&... args) {
  co_await park();
  co_return (args.get() + ...);
}
struct with_method {
  object o{9};
  int b = 2;
  task<int> method(object x) {
    co_await park();
    co_return o.get() + x.get() + b;
  }
};
task<void> parameters() {
  object c(3);
  const int six = co_await mixed(1, object(2), c, long_text);
  const int by_value = co_await pack(object(1), c);
  const int by_reference = co_await pack_of_references(object(1), c);
  with_method w;
  const int twelve = co_await w.method(1);
  expect(six == 6 && by_value == 4 && by_reference == 4 && twelve == 12, "wrong value");
}

task<int> defaults(object a = object(4), std::string s = long_text) {
  co_await park();
  co_return a.get() + static_cast<int>(s.size());
}
task<void> default_arguments() {
  const int r = co_await defaults();
  expect(r == 4 + long_size, "wrong value");
}

template <class Object, class Method, class... Args>
task<int> invoke(Object* o, Method method, Args... args) {
  co_return co_await (o->*method)(std::move(args)...);
}
task<void> pointer_to_member() {
  with_method w;
  const int r = co_await invoke(&w, &with_method::method, object(1));
  expect(r == 12, "wrong value");
}

template <int N>
task<int> constant() {
  co_await park();
  co_return N;
}
template <class T, int N>
task<T> pass(T t) {
  co_await park();
  co_return t;
}
task<void> template_arguments() {
  const int three = co_await constant<3>();
  const object o = co_await pass<object, 2>(object(1));
  expect(three == 3 && o.get() == 1, "wrong value");
}

// -- temporaries

int sum(const object& a, const object& b, object c) { return a.get() + b.get() + c.get(); }

task<void> temporaries_beside_an_await() {
  const int six = sum(object(1), co_await make(2), object(3));
  const int again = sum(co_await make(1), co_await make(2), co_await make(3));
  expect(six == 6 && again == 6, "wrong value");
}

task<int> total(std::string a, std::string b) {
  co_await park();
  co_return static_cast<int>(a.size() + b.size());
}
task<void> strings() {
  const int one = co_await total(co_await text(long_text), co_await text("b"));
  const int two = co_await total(std::string(long_text) + "1", (co_await text("b")) + "c");
  const std::string joined = (co_await text("x")) + (co_await text("y"));
  const std::string between = "p" + co_await text("q") + "r";
  expect(one == long_size + 1 && two == long_size + 3, "wrong size");
  expect(joined == "xy" && between == "pqr", "wrong text");
}

task<std::vector<object>> two_objects() {
  co_await park();
  std::vector<object> v;
  v.emplace_back(1);
  v.emplace_back(2);
  co_return v;
}
task<void> range_for() {
  int s = 0;
  for (auto& o : co_await two_objects()) {
    co_await park();
    s += o.get();
  }
  expect(s == 3, "wrong value");
}

struct two {
  object a;
  object b;
};
task<std::tuple<object, std::string>> make_tuple(int i) {
  co_await park();
  co_return std::tuple<object, std::string>{object(i), long_text};
}
task<two> make_two() {
  co_await park();
  co_return two{1, 2};
}
task<void> structured_bindings() {
  for (int i = 0; i < 3; i++) {
    auto [o, s] = co_await make_tuple(i);
    co_await park();
    auto [a, b] = co_await make_two();
    auto f = [&named = o] { return named.get(); };
    expect(o.get() == i && f() == i, "wrong value");
    expect(a.get() + b.get() == 3 && static_cast<int>(s.size()) == long_size, "wrong value");
  }
}

task<void> statics_and_arrays() {
  static int st = 3;
  constexpr int ce = 4;
  int arr[3] = {1, 2, 3};
  co_await park();
  expect(arr[2] + st + ce == 10, "wrong value");
}

// -- results

struct base {
  virtual ~base() = default;
};
struct derived : base {
  object o{1};
};
task<std::unique_ptr<base>> convert() {
  auto d = std::make_unique<derived>();
  co_await park();
  co_return d;
}
task<std::unique_ptr<object>> give_back(std::unique_ptr<object> p) {
  co_await park();
  co_return p;
}
task<std::pair<int, std::string>> pair_of_awaited() {
  co_return std::pair<int, std::string>{1, co_await text(long_text)};
}
task<void> returned_values() {
  const auto b = co_await convert();
  const auto p = co_await give_back(std::make_unique<object>(2));
  const auto q = co_await pair_of_awaited();
  expect(b && p->get() == 2 && static_cast<int>(q.second.size()) == long_size, "wrong value");
}

// A task that cannot be moved, so that it can only be awaited where it is made.
class immediate {
 public:
  struct promise_type : promise_base {
    immediate get_return_object() {
      return immediate(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    void return_void() noexcept {}
  };

  explicit immediate(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
  immediate(immediate&&) = delete;
  ~immediate() { frame_.destroy(); }

  bool await_ready() const noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> parent) const noexcept {
    frame_.promise().continuation = parent;
    return frame_;
  }
  void await_resume() const noexcept {}

 private:
  std::coroutine_handle<promise_type> frame_;
};
immediate takes(object o) {
  co_await park();
  expect(o.get() == 2, "wrong value");
}
immediate refers(const object& o) {
  co_await park();
  expect(o.get() == 3, "wrong value");
}
task<void> immovable_tasks() {
  co_await takes(2);
  co_await refers(object(3));
}

// The result object is converted after the first part of the body ran, not before.
struct converted;
struct convertible {
  int* value;
  operator converted() const;
};
struct converted {
  struct promise_type {
    int value = 0;
    convertible get_return_object() { return {&value}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(int x) { value = x; }
    void unhandled_exception() noexcept {}
  };
  int value;
};
convertible::operator converted() const { return converted{*value}; }
converted eager() { co_return 42; }
void late_conversion() { expect(eager().value == 42, "converted too early"); }

// -- frames destroyed early

task<int> leaf(object o) {
  co_await park();
  co_return o.get();
}
int add(const object& a, int b, object c) { return a.get() + b + c.get(); }
task<void> waits_amid_temporaries(object) {
  object l(1);
  [[maybe_unused]] const int r = add(object(2), co_await leaf(object(3)), object(4));
  fail("went on after it was destroyed");
}
void destroyed_amid_temporaries() {
  {
    auto work = waits_amid_temporaries(object(9));
    work.frame().resume();
  }
  parked = {};
}
void never_started() { auto work = waits_amid_temporaries(object(9)); }

// Destroys itself at its end, as a detached coroutine does.
struct detached {
  struct promise_type {
    struct final_awaiter {
      final_awaiter() noexcept {}
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(
          std::coroutine_handle<promise_type> self) const noexcept {
        self.destroy();
        return std::noop_coroutine();
      }
      void await_resume() const noexcept {}
    };
    object o{1};
    detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    final_awaiter final_suspend() noexcept { return final_awaiter(); }
    void return_void() noexcept {}
    void unhandled_exception() noexcept {}
  };
};

// Each destroys the frame from inside its own await_suspend.
struct kill_base {
  object o{2};
  bool await_ready() const noexcept { return false; }
  void await_resume() const noexcept {}
};
struct kill_void : kill_base {
  kill_void() {}
  void await_suspend(std::coroutine_handle<> self) noexcept { self.destroy(); }
};
struct kill_handle : kill_base {
  kill_handle() {}
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> self) noexcept {
    self.destroy();
    return std::noop_coroutine();
  }
};
struct kill_bool : kill_base {
  kill_bool() {}
  bool await_suspend(std::coroutine_handle<> self) noexcept {
    self.destroy();
    return true;
  }
};
// The same as an aggregate: it is destroyed twice (G2), wherever the destruction comes from.
struct kill_aggregate {
  object o;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> self) noexcept { self.destroy(); }
  void await_resume() const noexcept {}
};

detached ends_by_itself(object) {
  object l(3);
  co_await park();
}
template <class Kill>
detached killed(object) {
  object l(3);
  co_await Kill();
}
detached killed_by_aggregate(object) {
  object l(3);
  co_await kill_aggregate{object(2)};
}

void destroyed_at_its_end() {
  ends_by_itself(object(1));
  resume_parked();
}

}  // namespace

std::span<const pattern> lifetimes() {
  static constexpr pattern table[] = {
      {"G12", "parameters", [] { drive(parameters()); }},
      {"G12", "default_arguments", [] { drive(default_arguments()); }},
      {"G12", "pointer_to_member", [] { drive(pointer_to_member()); }},
      {"G12", "template_arguments", [] { drive(template_arguments()); }},
      {"G12", "temporaries_beside_an_await", [] { drive(temporaries_beside_an_await()); }},
      {"G12", "strings_in_expressions", [] { drive(strings()); }},
      {"G12", "range_for_over_await", [] { drive(range_for()); }},
      {"G12", "structured_bindings_in_a_loop", [] { drive(structured_bindings()); }},
      {"G12", "statics_and_arrays", [] { drive(statics_and_arrays()); }},
      {"G12", "returned_values", [] { drive(returned_values()); }},
      {"G12", "immovable_tasks", [] { drive(immovable_tasks()); }},
      {"G12", "result_object_converted_late", late_conversion},
      {"G12", "frame_destroyed_amid_temporaries", destroyed_amid_temporaries},
      {"G12", "frame_never_started", never_started},
      {"G12", "frame_destroyed_at_its_end", destroyed_at_its_end},
      {"G12", "frame_destroyed_in_await_suspend_void", [] { killed<kill_void>(object(1)); }},
      {"G12", "frame_destroyed_in_await_suspend_handle", [] { killed<kill_handle>(object(1)); }},
      {"G12", "frame_destroyed_in_await_suspend_bool", [] { killed<kill_bool>(object(1)); }},
      {"G2", "frame_destroyed_by_aggregate_awaiter", [] { killed_by_aggregate(object(1)); },
       bad_on_gcc12},
  };
  return table;
}

}  // namespace conformance
