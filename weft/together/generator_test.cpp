// generator: elements of every kind, nested ones, deep ones, failing ones, and left halfway.
#include "weft/together/generator.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "weft/base/census.hpp"
#include "weft/runtime/block_on.hpp"
#include "weft/task/task.hpp"

namespace weft {
namespace {

template <class R>
auto all(R&& range) {
  std::vector<std::remove_cvref_t<decltype(*std::begin(range))>> got;
  for (auto&& element : range) got.push_back(std::forward<decltype(element)>(element));
  return got;
}
using ints = std::vector<int>;
using strings = std::vector<std::string>;

// The shape.

template <class T>
constexpr bool is_input_view =
    std::ranges::input_range<generator<T>> && !std::ranges::forward_range<generator<T>> &&
    std::ranges::view<generator<T>> && std::ranges::viewable_range<generator<T>> &&
    std::movable<generator<T>> && !std::copyable<generator<T>> &&
    std::is_nothrow_move_constructible_v<generator<T>>;
static_assert(is_input_view<int>);
static_assert(is_input_view<int&>);
static_assert(is_input_view<const int&>);
static_assert(is_input_view<std::string>);
static_assert(is_input_view<const std::string&>);
static_assert(is_input_view<std::unique_ptr<int>>);

template <class T, class Reference>
constexpr bool gives =
    std::same_as<std::ranges::range_reference_t<generator<T>>, Reference> &&
    std::same_as<std::ranges::range_value_t<generator<T>>, std::remove_cvref_t<T>>;
static_assert(gives<int, int&&>);
static_assert(gives<int&, int&>);
static_assert(gives<int&&, int&&>);
static_assert(gives<const int&, const int&>);

static_assert(std::input_iterator<generator<int>::iterator>);
static_assert(std::sentinel_for<std::default_sentinel_t, generator<int>::iterator>);
static_assert(!std::copyable<generator<int>::iterator>);
static_assert(sizeof(generator<int>) == sizeof(void*));
static_assert(!std::is_default_constructible_v<generator<int>>);

// Elements.

generator<int> count(int from, int to) {
  for (int i = from; i < to; ++i) co_yield i;
}
generator<int> nothing() { co_return; }

TEST(generator, gives_its_elements_in_order) {
  EXPECT_EQ(all(count(0, 5)), (ints{0, 1, 2, 3, 4}));
  EXPECT_EQ(all(nothing()), ints{});
}

TEST(generator, runs_only_when_asked) {
  int steps = 0;
  const auto body = [](int& n) -> generator<int> {
    ++n;
    co_yield 1;
    ++n;
    co_yield 2;
    ++n;
  };
  auto g = body(steps);
  EXPECT_EQ(steps, 0);
  auto i = g.begin();
  EXPECT_EQ(steps, 1);
  EXPECT_EQ(*i, 1);
  EXPECT_EQ(*i, 1);
  ++i;
  EXPECT_EQ(steps, 2);
  EXPECT_NE(i, g.end());
  i++;
  EXPECT_EQ(steps, 3);
  EXPECT_EQ(i, g.end());
}

generator<int&> slots(std::vector<int>& in) {
  for (int& slot : in) co_yield slot;
}

TEST(generator, references_are_to_the_thing_itself) {
  ints v{1, 2, 3};
  for (int& slot : slots(v)) slot *= 10;
  EXPECT_EQ(v, (ints{10, 20, 30}));
}

/// Counts what is done to it.
struct tally {
  int copies = 0;
  int moves = 0;
  int alive = 0;
};
class counted {
 public:
  counted(tally& t, int v) : value(v), t_(&t), owned_(std::make_unique<int>(v)) { ++t_->alive; }
  counted(const counted& o) : value(o.value), t_(o.t_), owned_(std::make_unique<int>(o.value)) {
    ++t_->copies;
    ++t_->alive;
  }
  counted(counted&& o) noexcept : value(o.value), t_(o.t_), owned_(std::move(o.owned_)) {
    ++t_->moves;
    ++t_->alive;
  }
  ~counted() { --t_->alive; }

  int value;

 private:
  tally* t_;
  std::unique_ptr<int> owned_;
};

template <class T>
generator<T> some_counted(tally& t) {
  counted one(t, 1);
  co_yield one;
  co_yield counted(t, 2);
  co_yield std::move(one);
  const counted four(t, 4);
  co_yield four;
}

TEST(generator, values_are_copied_only_when_they_have_a_name) {
  tally t;
  ints got;
  for (auto&& c : some_counted<counted>(t)) got.push_back(c.value);
  EXPECT_EQ(got, (ints{1, 2, 1, 4}));
  EXPECT_EQ(t.copies, 2);
  EXPECT_EQ(t.moves, 0);
  EXPECT_EQ(t.alive, 0);
}

TEST(generator, const_references_are_never_copied) {
  tally t;
  ints got;
  for (const counted& c : some_counted<const counted&>(t)) got.push_back(c.value);
  EXPECT_EQ(got, (ints{1, 2, 1, 4}));
  EXPECT_EQ(t.copies, 0);
  EXPECT_EQ(t.moves, 0);
  EXPECT_EQ(t.alive, 0);
}

TEST(generator, consumer_may_move_values_away) {
  tally t;
  std::vector<counted> got;
  got.reserve(4);
  for (auto&& c : some_counted<counted>(t)) got.push_back(std::forward<decltype(c)>(c));
  EXPECT_EQ(t.copies, 2);
  EXPECT_EQ(t.moves, 4);
  EXPECT_EQ(t.alive, 4);
}

generator<std::unique_ptr<int>> owned(int n) {
  for (int i = 0; i < n; ++i) {
    auto p = std::make_unique<int>(i);
    co_yield std::move(p);
    EXPECT_EQ(p, nullptr);
    co_yield std::make_unique<int>(-i);
  }
}

TEST(generator, elements_may_be_move_only) {
  ints got;
  for (std::unique_ptr<int> p : owned(3)) got.push_back(*p);
  EXPECT_EQ(got, (ints{0, 0, 1, -1, 2, -2}));
}

class immovable {
 public:
  explicit immovable(int v) : value(v) {}
  immovable(const immovable&) = delete;
  immovable& operator=(const immovable&) = delete;
  int value;
};

TEST(generator, elements_may_be_immovable) {
  const auto body = []() -> generator<immovable> {
    co_yield immovable(1);
    co_yield immovable(2);
  };
  int sum = 0;
  for (const immovable& element : body()) sum += element.value;
  EXPECT_EQ(sum, 3);
}

generator<std::string> converted(std::string_view tail) {
  co_yield "a literal that is too long for a string's own buffer";
  co_yield std::string(tail) + ", made on the spot and too long for the buffer";
  const std::string kept(40, 'k');
  co_yield kept;
  co_yield {};
}
generator<const long&> widened() {
  const int i = 1;
  co_yield i;
  co_yield 2;
  co_yield 'c' - 'a' + 1;
}

TEST(generator, co_yield_converts_and_the_temporary_lives_until_the_next) {
  EXPECT_EQ(all(converted("x")),
            (strings{"a literal that is too long for a string's own buffer",
                     "x, made on the spot and too long for the buffer", std::string(40, 'k'), ""}));
  EXPECT_EQ(all(widened()), (std::vector<long>{1, 2, 3}));
}

class alignas(64) line {
 public:
  explicit line(int v) noexcept : value(v) {}
  int value;
};

TEST(generator, over_aligned_elements_are_aligned) {
  const auto body = [](int n) -> generator<line> {
    for (int i = 0; i < n; ++i) {
      const line named(i);
      co_yield named;
      co_yield line(i);
    }
  };
  int seen = 0;
  for (const line& l : body(3)) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&l) % 64, 0u);
    ++seen;
  }
  EXPECT_EQ(seen, 6);
}

// Ranges.

TEST(generator, works_with_views) {
  const auto even = [](int i) { return i % 2 == 0; };
  const auto square = [](int i) { return i * i; };
  EXPECT_EQ(all(count(0, 1'000'000) | std::views::filter(even) | std::views::transform(square) |
                std::views::drop(1) | std::views::take(3)),
            (ints{4, 16, 36}));
  auto g = count(0, 4);
  EXPECT_EQ(std::ranges::distance(g), 4);
  ints copied;
  std::ranges::copy(count(1, 4), std::back_inserter(copied));
  EXPECT_EQ(copied, (ints{1, 2, 3}));
  EXPECT_EQ(*std::ranges::find(g = count(0, 9), 5), 5);
}

TEST(generator, can_be_infinite) {
  const auto fibonacci = []() -> generator<long> {
    for (long a = 0, b = 1;; a = std::exchange(b, a + b)) co_yield a;
  };
  EXPECT_EQ(all(fibonacci() | std::views::take(8)), (std::vector<long>{0, 1, 1, 2, 3, 5, 8, 13}));
}

TEST(generator, moves_with_its_place) {
  auto a = count(0, 3);
  auto b = std::move(a);
  auto i = b.begin();
  auto c = std::move(b);  // begun
  EXPECT_EQ(*++i, 1);
  c = count(7, 9);  // drops the first one
  EXPECT_EQ(all(c), (ints{7, 8}));
  auto d = count(1, 2);
  auto& same = d;
  d = std::move(same);
  EXPECT_EQ(all(d), (ints{1}));
}

TEST(generator, goes_on_in_another_thread) {
  auto g = count(0, 3);
  auto i = g.begin();
  std::thread([&] { EXPECT_EQ(*++i, 1); }).join();
  EXPECT_EQ(*++i, 2);
  std::thread([h = std::move(g)] {}).join();
}

TEST(generator, works_in_a_task) {
  const auto body = []() -> task<int> {
    int sum = 0;
    for (const int i : count(0, 5)) sum += i;
    co_return sum;
  };
  EXPECT_EQ(block_on(body()), 10);
}

// Nested.

struct node {
  std::string name;
  std::vector<node> children;
};
generator<const std::string&> preorder(const node& n) {
  co_yield n.name;
  for (const node& child : n.children) co_yield elements_of(preorder(child));
}

TEST(generator, walks_a_tree) {
  const node root{"a", {node{"b", {node{"c", {}}, node{"d", {}}}}, node{"e", {node{"f", {}}}}}};
  EXPECT_EQ(all(preorder(root)), (strings{"a", "b", "c", "d", "e", "f"}));
}

generator<int> empties_between() {
  co_yield elements_of(nothing());
  co_yield elements_of(count(0, 2));
  co_yield elements_of(nothing());
  co_yield elements_of(nothing());
  auto named = count(5, 7);
  co_yield elements_of(named);
  co_yield elements_of(nothing());
}

TEST(generator, nested_ones_may_be_empty_and_named) {
  EXPECT_EQ(all(empties_between()), (ints{0, 1, 5, 6}));
}

struct boxed {  // an aggregate that owns
  std::unique_ptr<int> x;
};
generator<boxed> boxes(std::vector<int>& from) {
  auto made = std::views::transform(from, [](int i) { return boxed{std::make_unique<int>(i)}; });
  co_yield elements_of(made);
}
generator<std::string> many_ranges(const std::vector<std::string>& v) {
  co_yield elements_of(v);  // copies: it is not ours
  co_yield elements_of(std::vector<std::string>(1, "t"));
  const char* const array[] = {"p", "q"};
  co_yield elements_of(array);
  auto reversed = v | std::views::reverse;
  co_yield elements_of(reversed);
  const auto views = []() -> generator<std::string_view> { co_yield "other"; };
  auto strings_of =
      std::views::transform(views(), [](std::string_view s) { return std::string(s); });
  co_yield elements_of(strings_of);
}

TEST(generator, elements_of_takes_any_range) {
  const strings v{"1", "2"};
  EXPECT_EQ(all(many_ranges(v)), (strings{"1", "2", "t", "p", "q", "2", "1", "other"}));
  EXPECT_EQ(v, (strings{"1", "2"}));
  ints from{1, 2, 3};
  int sum = 0;
  for (const boxed& p : boxes(from)) sum += *p.x;
  EXPECT_EQ(sum, 6);
}

generator<int&> both_ways(std::vector<int>& v) {
  co_yield elements_of(v);
  co_yield elements_of(slots(v));
}

TEST(generator, elements_of_passes_references_through) {
  ints v{1, 2};
  for (int& i : both_ways(v)) i += 10;
  EXPECT_EQ(v, (ints{21, 22}));
}

// Deep.

constexpr int deep = 100'000;

/// The lowest and highest place of the stack that was seen.
class stack_use {
 public:
  WEFT_NOINLINE void look() noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    low_ = std::min(low_, at);
    high_ = std::max(high_, at);
  }
  std::uintptr_t bytes() const noexcept { return high_ - low_; }

 private:
  std::uintptr_t low_ = UINTPTR_MAX;
  std::uintptr_t high_ = 0;
};
class looks_when_destroyed {
 public:
  looks_when_destroyed(stack_use& s, int level, int& next) noexcept
      : s_(s), level_(level), next_(next) {}
  looks_when_destroyed(const looks_when_destroyed&) = delete;
  looks_when_destroyed& operator=(const looks_when_destroyed&) = delete;
  ~looks_when_destroyed() {
    s_.look();
    if (next_ == level_) --next_;  // innermost first: levels deep, deep - 1, .., 0
  }

 private:
  stack_use& s_;
  int level_;
  int& next_;
};

struct descent {
  stack_use stack;
  int next_to_end = deep;
  bool fails = false;
};
generator<int> descend(descent& d, int level) {
  const looks_when_destroyed local(d.stack, level, d.next_to_end);
  d.stack.look();
  co_yield level;
  if (level < deep) {
    co_yield elements_of(descend(d, level + 1));
  } else if (d.fails) {
    throw std::runtime_error("bottom");
  }
  d.stack.look();
  co_yield -level;
}

TEST(generator, depth_takes_no_stack) {
  descent d;
  long n = 0;
  long sum = 0;
  for (const int level : descend(d, 0)) ++n, sum += level;
  EXPECT_EQ(n, 2 * (deep + 1));
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(d.next_to_end, -1);
  EXPECT_LT(d.stack.bytes(), 8u << 10);
}

TEST(generator, destroyed_deep_inside_it_takes_no_stack_and_goes_innermost_first) {
  descent d;
  {
    auto g = descend(d, 0);
    for (const int level : g) {
      if (level == deep) break;
    }
    EXPECT_EQ(d.next_to_end, deep);
  }
  EXPECT_EQ(d.next_to_end, -1);
  EXPECT_LT(d.stack.bytes(), 8u << 10);
}

TEST(generator, failing_deep_inside_takes_no_stack) {
  descent d;
  d.fails = true;
  int last = -1;
  const auto walk = [&] {
    for (const int level : descend(d, 0)) last = level;
  };
  EXPECT_THROW(walk(), std::runtime_error);
  EXPECT_EQ(last, deep);
  EXPECT_EQ(d.next_to_end, -1);
  EXPECT_LT(d.stack.bytes(), 8u << 10);
}

// Failing.

generator<int> fails_after(int n) {
  for (int i = 0; i < n; ++i) co_yield i;
  throw std::runtime_error("broken");
}

TEST(generator, exceptions_leave_begin_or_increment_and_then_it_is_over) {
  auto at_once = fails_after(0);
  EXPECT_THROW(at_once.begin(), std::runtime_error);
  auto later = fails_after(1);
  auto i = later.begin();
  EXPECT_EQ(*i, 0);
  EXPECT_THROW(++i, std::runtime_error);
  EXPECT_EQ(i, later.end());
}

generator<int> goes_on_after_failures() {
  for (int n = 0; n < 3; ++n) {
    std::string caught;
    try {
      co_yield elements_of(fails_after(n));
    } catch (const std::runtime_error& e) {
      caught = e.what();
    }
    EXPECT_EQ(caught, "broken");
    co_yield elements_of(count(100 + n, 101 + n));  // and what was caught is gone
  }
  co_yield elements_of(fails_after(1));
  ADD_FAILURE() << "not reached";
}

TEST(generator, nested_failure_can_be_caught_where_it_is_nested) {
  ints got;
  const auto walk = [&] {
    for (const int i : goes_on_after_failures()) got.push_back(i);
  };
  EXPECT_THROW(walk(), std::runtime_error);
  EXPECT_EQ(got, (ints{100, 0, 101, 0, 1, 102, 0}));
}

class throws_when_copied {
 public:
  throws_when_copied() = default;
  throws_when_copied(const throws_when_copied&) { throw std::logic_error("copy"); }
};

TEST(generator, failure_to_copy_an_element_is_the_bodys) {
  bool caught = false;
  const auto body = [](bool& seen) -> generator<throws_when_copied> {
    const throws_when_copied named;
    try {
      co_yield named;
    } catch (const std::logic_error&) {
      seen = true;
    }
    co_yield throws_when_copied();
  };
  int n = 0;
  for (auto&& element : body(caught)) static_cast<void>(element), ++n;
  EXPECT_TRUE(caught);
  EXPECT_EQ(n, 1);
}

// Left halfway.

generator<const counted&> holds(tally& t, counted by_value) {
  const counted local(t, 1);
  co_yield counted(t, 2);
  co_yield by_value;
  co_yield local;
}
generator<const counted&> holds_nested(tally& t) {
  const counted local(t, 0);
  co_yield elements_of(holds(t, counted(t, 3)));
}

TEST(generator, left_at_any_element_it_destroys_what_is_alive) {
  for (int stop_at = -1; stop_at <= 4; ++stop_at) {
    tally t;
    {
      auto g = holds_nested(t);
      int n = 0;
      if (stop_at >= 0) {
        for (const counted& c : g) {
          EXPECT_GT(t.alive, 0);
          EXPECT_GT(c.value, 0);
          if (n++ == stop_at) break;
        }
      }
    }
    EXPECT_EQ(t.alive, 0) << stop_at;
  }
}

TEST(generator, never_begun_its_arguments_are_destroyed) {
  tally t;
  {
    auto g = holds(t, counted(t, 1));
  }
  EXPECT_EQ(t.alive, 0);
}

#if WEFT_CENSUS
TEST(generator, an_element_costs_no_frame) {
  const long before = live_census().frames;
  int n = 0;
  for (const int i : count(0, 1000)) {
    n += i >= 0;
    ASSERT_EQ(live_census().frames, before + 1);
  }
  EXPECT_EQ(n, 1000);
}

TEST(generator, nested_frame_goes_when_it_ends) {
  const long before = live_census().frames;
  const auto body = []() -> generator<int> {
    co_yield elements_of(count(0, 2));
    co_yield -1;
  };
  for (const int i : body()) {
    EXPECT_EQ(live_census().frames, before + (i < 0 ? 1 : 2));
  }
}
#endif

// What GCC 12 miscompiles, in the forms that are right.

struct pair_of_owners {
  std::shared_ptr<int> a;
  std::string b;
};
generator<pair_of_owners> aggregates(const std::shared_ptr<int>& p) {
  pair_of_owners named{p, std::string(40, 'x')};
  co_yield named;
  ++*p;
  named.b.clear();
  co_yield named;
}
generator<std::function<int()>> closures(const std::shared_ptr<int>& p) {
  const auto named = [p] { return *p; };
  co_yield named;
  const std::function<int()> other = [p] { return -*p; };
  co_yield other;
}
generator<std::pair<int, std::string>> braced(int n) {
  const int next = n + 1;
  co_yield {n, std::string(40, 'p')};
  co_yield {next, std::string(40, 'q')};
}
struct point {
  int x, y;
};
generator<point> bits(int n) {
  const int next = n + 1;
  co_yield {n, next};
  co_yield point{.x = next, .y = n};
}
generator<int> without_locals(bool (*more)()) {
  while (more()) co_yield 1;
  if (!more()) co_yield 2;
}

TEST(generator, braces_are_right_for_classes_with_constructors_and_for_plain_bits) {
  int sum = 0;
  std::size_t characters = 0;
  for (const auto& [n, text] : braced(1)) sum += n, characters += text.size();
  for (const point& p : bits(1)) sum += 10 * p.x + 100 * p.y;
  EXPECT_EQ(sum, 333);
  EXPECT_EQ(characters, 80u);
}

TEST(generator, named_aggregates_and_closures_are_right) {
  const auto p = std::make_shared<int>(5);
  strings seen;
  for (const pair_of_owners& pair : aggregates(p)) seen.push_back(pair.b);
  EXPECT_EQ(seen, (strings{std::string(40, 'x'), ""}));
  EXPECT_EQ(p.use_count(), 1);
  int sum = 0;
  for (auto&& f : closures(p)) sum += 10 * f() + 1;
  EXPECT_EQ(sum, 2);
  EXPECT_EQ(p.use_count(), 1);
  EXPECT_EQ(all(without_locals([] { return false; })), (ints{2}));
}

// Misuse.

TEST(generator, misuse_says_so) {
  EXPECT_DEATH(
      {
        auto g = count(0, 3);
        g.begin();
        g.begin();
      },
      "walked once");
  EXPECT_DEATH(
      {
        auto g = count(0, 1);
        const auto h = std::move(g);
        g.begin();
      },
      "moved from");
  EXPECT_DEATH(
      {
        auto g = count(0, 1);
        auto i = g.begin();
        ++i;
        ++i;
      },
      "at a generator's end");
  EXPECT_DEATH(
      {
        const auto body = [](generator<int>& begun) -> generator<int> {
          co_yield elements_of(begun);
        };
        auto g = count(0, 3);
        g.begin();
        all(body(g));
      },
      "has not begun");
}

}  // namespace
}  // namespace weft
