// intrusive_list and intrusive_queue beside std::list and std::deque, at random.
#include "weft/base/intrusive_list.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <list>
#include <vector>

#include "tests/support/seed.hpp"
#include "weft/base/rng.hpp"

namespace weft {
namespace {

struct other_tag {};
struct node : list_hook<>, list_hook<other_tag> {
  int number = 0;
  bool linked() const { return list_hook<>::is_linked(); }
};

std::vector<int> numbers(intrusive_list<node>& l) {
  std::vector<int> all;
  l.for_each([&](node& n) { all.push_back(n.number); });
  return all;
}

TEST(intrusive_list, agrees_with_std_list) {
  rng random(test_support::seed());
  constexpr unsigned count = 40;
  std::vector<node> nodes(count);
  for (unsigned i = 0; i < count; ++i) nodes[i].number = static_cast<int>(i);
  intrusive_list<node> lists[2];
  std::list<int> oracles[2];
  for (int step = 0; step < 100'000; ++step) {
    const unsigned which = random.below(2);
    intrusive_list<node>& list = lists[which];
    std::list<int>& oracle = oracles[which];
    node& n = nodes[random.below(count)];
    switch (random.below(6)) {
      case 0:
        if (!n.linked()) list.push_back(n), oracle.push_back(n.number);
        break;
      case 1:
        if (!n.linked()) list.push_front(n), oracle.push_front(n.number);
        break;
      case 2:
        if (!list.empty()) {
          ASSERT_EQ(list.front().number, oracle.front());
          ASSERT_EQ(list.pop_front().number, oracle.front());
          oracle.pop_front();
        }
        break;
      case 3:
        if (n.linked()) {
          n.list_hook<>::unlink();
          oracles[0].remove(n.number);
          oracles[1].remove(n.number);
        }
        break;
      case 4:
        if (random.below(20) == 0) {
          list.splice_back(lists[1 - which]);
          oracle.splice(oracle.end(), oracles[1 - which]);
        }
        break;
      default: {  // for_each may unlink what it is given
        if (random.below(20) != 0) break;
        list.for_each([](node& each) {
          if (each.number % 3 == 0) each.list_hook<>::unlink();
        });
        oracle.remove_if([](int number) { return number % 3 == 0; });
      }
    }
    ASSERT_EQ(list.empty(), oracle.empty());
    ASSERT_TRUE(std::ranges::equal(numbers(list), oracle));
  }
  for (auto& list : lists) {
    while (!list.empty()) list.pop_front();
  }
}

TEST(intrusive_list, an_element_is_on_one_list_for_each_tag) {
  node n;
  intrusive_list<node> a;
  intrusive_list<node, other_tag> b;
  a.push_back(n);
  b.push_back(n);
  EXPECT_EQ(&b.pop_front(), &n);
  EXPECT_TRUE(n.linked());
  EXPECT_EQ(&a.pop_front(), &n);
}

TEST(intrusive_list, misuse_is_loud) {
  node n;
  intrusive_list<node> a, b;
  EXPECT_DEATH(a.pop_front(), "empty list");
  EXPECT_DEATH(static_cast<void>(a.front()), "empty list");
  EXPECT_DEATH(n.list_hook<>::unlink(), "unlinked twice");
  a.push_back(n);
  EXPECT_DEATH(b.push_back(n), "second list");
  EXPECT_DEATH(
      {
        node lost;
        b.push_back(lost);
      },
      "still on a list");
  a.pop_front();
}

struct link {
  link* next = nullptr;
  int number = 0;
};

TEST(intrusive_queue, agrees_with_std_deque) {
  rng random(test_support::seed());
  std::vector<link> links(30);
  std::deque<link*> unused, oracle;
  for (link& l : links) unused.push_back(&l);
  intrusive_queue<link, &link::next> queue;
  for (int step = 0; step < 100'000; ++step) {
    if (random.below(2) == 0 && !unused.empty()) {
      queue.push(*unused.front());
      oracle.push_back(unused.front());
      unused.pop_front();
    } else {
      link* const got = queue.pop();
      ASSERT_EQ(got, oracle.empty() ? nullptr : oracle.front());
      if (got == nullptr) continue;
      ASSERT_EQ(got->next, nullptr);
      oracle.pop_front();
      unused.push_back(got);
    }
    ASSERT_EQ(queue.empty(), oracle.empty());
  }
}

}  // namespace
}  // namespace weft
