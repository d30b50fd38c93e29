// context: what a switch keeps, and where an exception and an unwinder stop.
#include "weft/fiber/context.hpp"

#include <execinfo.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <unwind.h>

#include <algorithm>
#include <array>
#include <cfenv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/fiber/turns_test_support.hpp"

#if WEFT_ASAN
#include <alloca.h>
#include <sanitizer/lsan_interface.h>
#endif

extern "C" __attribute__((visibility("hidden"))) char weft_context_boot[];

namespace weft {
namespace {

using fiber_test::turns;

TEST(fiber_context, goes_there_and_back_and_is_over_when_its_function_returns) {
  std::string said;
  turns t([&](turns& self) {
    said += 'a';
    self.yield();
    said += 'b';
  });
  EXPECT_FALSE(t.is_over());
  EXPECT_EQ(said, "");
  t.resume();
  EXPECT_EQ(said, "a");
  EXPECT_FALSE(t.is_over());
  t.resume();
  EXPECT_EQ(said, "ab");
  EXPECT_TRUE(t.is_over());
}

struct seen_by_visit {
  std::vector<std::uintptr_t> addresses;
  const void* local = nullptr;
};
[[gnu::noinline]] void note_stack(void* to) {
  auto& seen = *static_cast<seen_by_visit*>(to);
  seen.local = __builtin_frame_address(0);
  _Unwind_Backtrace(
      [](_Unwind_Context* frame, void* into) {
        auto& all = static_cast<seen_by_visit*>(into)->addresses;
        all.push_back(_Unwind_GetIP(frame));
        return all.size() < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
      },
      to);
}

TEST(fiber_context, visitor_unwinds_what_was_left_and_leaves_it_as_it_was) {
  std::vector<std::uintptr_t> callers;  // of the function that waits
  std::string said;
  turns t([&](turns& self) {
    seen_by_visit own;
    note_stack(&own);
    if (own.addresses.size() > 2) callers.assign(own.addresses.begin() + 2, own.addresses.end());
    said += 'a';
    self.yield();
    said += 'b';
  });
  t.resume();
  ASSERT_FALSE(callers.empty());
  for (int i = 0; i < 2; ++i) {
    seen_by_visit seen;
    t.self().visit(&note_stack, &seen);
    EXPECT_FALSE(seen.local >= t.on().low() && seen.local < t.on().low() + t.on().bytes());
    ASSERT_GT(seen.addresses.size(), callers.size());
    EXPECT_TRUE(std::equal(callers.rbegin(), callers.rend(), seen.addresses.rbegin()));
    const auto boot = reinterpret_cast<std::uintptr_t>(weft_context_boot);
    bool ends = false;
    for (const std::uintptr_t at : seen.addresses) ends |= at >= boot && at <= boot + 16;
    EXPECT_TRUE(ends);
    EXPECT_LT(seen.addresses.size(), 100u);
  }
  EXPECT_EQ(said, "a");
  t.resume();
  EXPECT_EQ(said, "ab");
  EXPECT_TRUE(t.is_over());
}

TEST(fiber_context, function_runs_on_its_stack_aligned_as_a_call_is) {
  const std::byte* local = nullptr;
  std::uintptr_t aligned = 1;
  turns t([&](turns&) {
    alignas(16) volatile char place[16] = {};
    // ASan may have locals elsewhere; a frame's address is on the stack always.
    local = static_cast<const std::byte*>(__builtin_frame_address(0));
    aligned = reinterpret_cast<std::uintptr_t>(&place) % 16;
  });
  t.resume();
  EXPECT_GE(local, t.on().low());
  EXPECT_LT(local, t.on().top());
  EXPECT_EQ(aligned, 0u);
}

TEST(fiber_context, two_million_switches_keep_what_each_one_knows) {
  constexpr int rounds = 1'000'000;
  int steps = 0;
  turns t([&](turns& self) {
    for (int mine = 0; mine < rounds; ++mine, self.yield()) {
      if (mine == steps) ++steps;
    }
  });
  context here;
  for (int i = 0; i < rounds; ++i) {
    t.resume(here);
    ASSERT_EQ(steps, i + 1);
  }
  t.resume(here);
  EXPECT_TRUE(t.is_over());
}

TEST(fiber_context, contexts_switch_to_each_other_without_a_thread_between_them) {
  std::string said;
  turns b([&](turns& self) {
    said += 'b';
    self.yield();
    said += 'd';
  });
  turns a([&](turns& self) {
    said += 'a';
    b.resume(self.self());
    said += 'c';
    b.resume(self.self());
    said += 'e';
  });
  a.resume();
  EXPECT_EQ(said, "abcde");
  EXPECT_TRUE(a.is_over());
  EXPECT_TRUE(b.is_over());
}

/// What comes out of divisions tells how they were rounded, in either unit: no two modes agree in all.
struct quotients {
  std::array<double, 6> in_vectors_unit;
  std::array<long double, 6> in_the_x87;
  bool operator==(const quotients&) const = default;
};
quotients divide() {
  quotients q;
  std::size_t i = 0;
  for (const int divisor : {3, 5, 7, -3, -5, -7}) {
    volatile double one = 1, by = divisor;
    volatile long double long_one = 1, long_by = divisor;
    q.in_vectors_unit[i] = one / by;
    q.in_the_x87[i++] = long_one / long_by;
  }
  return q;
}

TEST(fiber_context, rounding_is_each_ones_own_and_begins_as_its_makers) {
  constexpr std::array<int, 4> modes{FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  std::map<int, quotients> expected;
  for (const int mode : modes) {
    std::fesetround(mode);
    const quotients now = divide();
    std::fesetround(FE_TONEAREST);
    for (const auto& [other, q] : expected) {
      EXPECT_NE(now.in_vectors_unit, q.in_vectors_unit) << mode << " and " << other;
      EXPECT_NE(now.in_the_x87, q.in_the_x87) << mode << " and " << other;
    }
    expected[mode] = now;
  }
  const auto look = [&](int mode) {
    return std::fegetround() == mode && divide() == expected[mode];
  };
  std::vector<std::unique_ptr<turns>> all;
  int wrong = 0;
  for (const int mode : modes) {
    std::fesetround(mode);
    all.push_back(std::make_unique<turns>([&wrong, &look, mode](turns& self) {
      for (int i = 0; i < 3; ++i, self.yield()) {
        if (!look(mode)) ++wrong;  // also the first time: taken over from who made it
      }
    }));
    std::fesetround(FE_TONEAREST);
  }
  for (int i = 0; i < 4; ++i) {
    for (auto& t : all) {
      t->resume();
      EXPECT_EQ(std::fegetround(), FE_TONEAREST);
    }
  }
  EXPECT_EQ(wrong, 0);
}

// --- exceptions -------------------------------------------------------------------------------------

std::string what_is_caught() {
  const auto now = std::current_exception();
  if (!now) return "nothing";
  try {
    std::rethrow_exception(now);
  } catch (const std::exception& e) {
    return e.what();
  }
}

TEST(fiber_context, switch_in_a_catch_block_keeps_the_exception) {
  std::vector<std::string> wrong;
  const auto expect = [&](const std::string& name) {
    if (what_is_caught() != name) wrong.push_back(name + ": " + what_is_caught());
  };
  const auto body = [&](const std::string& name) {
    return [&, name](turns& self) {
      for (int i = 0; i < 50; ++i) {
        expect("nothing");
        try {
          throw std::runtime_error(name);
        } catch (const std::exception&) {
          self.yield();
          expect(name);
          try {
            throw;  // of its own, though another one caught later
          } catch (const std::exception& again) {
            self.yield();
            if (again.what() != name) wrong.push_back(name + " rethrown: " + again.what());
          }
          self.yield();
          expect(name);
        }
        self.yield();
      }
    };
  };
  turns a(body("a"));
  turns b(body("b"));
  turns c(body("c"));
  for (int round = 0; !c.is_over(); ++round) {
    for (turns* t : {&a, &b, &c}) {
      if (t == &c && round % 3 == 2 && !a.is_over()) continue;  // not in step
      if (!t->is_over()) t->resume();
      expect("nothing");
    }
  }
  EXPECT_TRUE(a.is_over() && b.is_over());
  EXPECT_EQ(wrong, std::vector<std::string>{});
}

TEST(fiber_context, thread_in_a_catch_block_lends_its_exception_to_nobody) {
  std::string seen = "not run";
  turns t([&](turns&) { seen = what_is_caught(); });
  try {
    throw std::runtime_error("of the thread");
  } catch (const std::exception&) {
    t.resume();
    EXPECT_EQ(what_is_caught(), "of the thread");
  }
  EXPECT_EQ(seen, "nothing");
}

TEST(fiber_context, switch_while_unwinding_keeps_the_count_of_uncaught_exceptions) {
  std::vector<int> counts;
  struct switches {
    turns& self;
    std::vector<int>& counts;
    ~switches() {
      counts.push_back(std::uncaught_exceptions());
      self.yield();
      counts.push_back(std::uncaught_exceptions());
      try {  // one more, on top of it
        throw std::runtime_error("inner");
      } catch (const std::exception&) {
        self.yield();
        counts.push_back(std::uncaught_exceptions());
      }
    }
  };
  const auto body = [&](turns& self) {
    try {
      switches s{self, counts};
      throw std::runtime_error("outer");
    } catch (const std::exception& e) {
      EXPECT_STREQ(e.what(), "outer");
      counts.push_back(std::uncaught_exceptions());
    }
  };
  turns a(body);
  turns b(body);
  for (int i = 0; i < 3; ++i) {
    a.resume();
    EXPECT_EQ(std::uncaught_exceptions(), 0);
    b.resume();
    EXPECT_EQ(std::uncaught_exceptions(), 0);
  }
  ASSERT_TRUE(a.is_over() && b.is_over());
  EXPECT_EQ(counts, (std::vector<int>{1, 1, 1, 1, 1, 0, 1, 0}));
}

TEST(fiber_context_death, exception_that_leaves_the_function_ends_the_program_with_advice) {
  const auto leave = [] {
    turns t([](turns&) { throw std::runtime_error("boom"); });
    t.resume();
  };
  EXPECT_DEATH(leave(), "an exception leaves the function of a fiber: catch it there");
  EXPECT_DEATH(leave(), "boom");  // std::terminate() still knows what it was
}

#if !WEFT_TSAN  // it has a check of its own against that
TEST(fiber_context_death, thread_that_ends_in_the_middle_of_a_fiber_ends_the_program_with_advice) {
  const auto leave = [] {
    turns t([](turns&) { ::pthread_exit(nullptr); });
    t.resume();
  };
  EXPECT_DEATH(leave(), "a thread was ended .* return from the fiber's function instead");
}
#endif

TEST(fiber_context_death, stack_is_whole_when_an_exception_leaves_the_function) {
  // Nothing was unwound: the destructor did not run when the program ends.
  struct says {
    ~says() { std::fputs("unwound first\n", stderr); }
  };
  const auto leave = [] {
    std::set_terminate([] {
      std::fputs("the end\n", stderr);
      std::abort();
    });
    turns t([](turns&) {
      says s;
      throw std::runtime_error("boom");
    });
    t.resume();
  };
  EXPECT_DEATH(leave(), "pass it on as a std::exception_ptr.*shield_scope.*\nthe end");
}

// --- threads ----------------------------------------------------------------------------------------

/// pthread_self() is one of those that compilers take to be the same all through a function.
WEFT_NOINLINE std::thread::id id_of_thread() {
  asm volatile("");
  return std::this_thread::get_id();
}

TEST(fiber_context, goes_on_on_another_thread_with_its_exception) {
  std::vector<std::string> caught;
  std::vector<std::thread::id> ran_on;
  turns t([&](turns& self) {
    for (int i = 0; i < 100; ++i) {
      try {
        throw std::runtime_error(std::to_string(i));
      } catch (const std::exception&) {
        ran_on.push_back(id_of_thread());
        self.yield();  // begins on one thread
        caught.push_back(what_is_caught());
        EXPECT_EQ(std::uncaught_exceptions(), 0);
      }
      self.yield();  // and ends on another one
    }
  });
  for (int i = 0; i < 100; ++i) {
    std::thread::id other;
    const auto elsewhere = [&] {
      other = id_of_thread();
      t.resume();
      EXPECT_EQ(what_is_caught(), "nothing");
    };
    if (i % 2 == 0) {
      t.resume();
      EXPECT_EQ(ran_on.back(), id_of_thread());
      std::thread(elsewhere).join();
    } else {
      std::thread(elsewhere).join();
      EXPECT_EQ(ran_on.back(), other);
      t.resume();
    }
    EXPECT_EQ(what_is_caught(), "nothing");
  }
  t.resume();
  EXPECT_TRUE(t.is_over());
  ASSERT_EQ(caught.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(caught[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST(fiber_context, what_a_thread_has_caught_stays_on_it_when_a_context_comes_from_another) {
  turns t([](turns& self) {
    try {
      throw std::runtime_error("of the fiber");
    } catch (const std::exception&) {
      self.yield();
      EXPECT_EQ(what_is_caught(), "of the fiber");
    }
    EXPECT_EQ(what_is_caught(), "nothing");
  });
  t.resume();
  std::thread([&] {
    try {
      throw std::runtime_error("of the thread");
    } catch (const std::exception&) {
      t.resume();
      EXPECT_EQ(what_is_caught(), "of the thread");
    }
  }).join();
  EXPECT_TRUE(t.is_over());
}

TEST(fiber_context_death, switch_to_what_cannot_go_on_is_refused) {
  const auto twice = [] {
    turns t([](turns&) {});
    t.resume();
    t.resume();
  };
  EXPECT_DEATH(twice(), "a switch to a context that runs, or whose function has returned");
  const auto itself = [] {
    turns t([](turns& self) { self.resume(self.self()); });
    t.resume();
  };
  EXPECT_DEATH(itself(), "a switch to a context that runs");
}

TEST(fiber_context_death, way_back_to_the_context_of_another_thread_is_refused) {
  const auto astray = [] {
    // The thread waits on `blocked`, so its own context was left; then another thread goes on with it.
    context here;
    turns back([&](turns& self) { context::switch_to(self.self(), here); });
    turns blocked([&](turns&) { std::thread([&] { back.resume(); }).join(); });
    blocked.resume(here);
  };
  EXPECT_DEATH(astray(), "a switch to the context of another thread");
}

TEST(fiber_context_death, thread_with_a_shadow_stack_is_refused_with_advice) {
  detail::refuse_shadow_stack(0);
  EXPECT_DEATH(detail::refuse_shadow_stack(0x7000), "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off");
}

// --- the smallest stack -------------------------------------------------------------------------------

#if !WEFT_TSAN && \
    !WEFT_ASAN  // their frames are larger, and they have calls of their own beneath a throw
volatile std::sig_atomic_t signals = 0;

TEST(fiber_context, smallest_stack_has_room_for_a_throw_formatting_and_a_signal_at_once) {
  // In a process of its own: what it shows is that this does not end in the guard.
  const auto all_at_once = [] {
    struct sigaction act = {};
    act.sa_handler = [](int) { signals = signals + 1; };
    if (::sigaction(SIGUSR1, &act, nullptr) != 0) std::_Exit(1);
    stack_pool pool({.bytes = context::stack_bytes_min});
    static char said[64];
    turns t(
        [](turns&) {
          try {
            throw std::runtime_error("caught");
          } catch (const std::exception& e) {
            std::snprintf(said, sizeof said, "%s %.3f %Lg", e.what(), 1.5, 0.25L);
            std::raise(SIGUSR1);
            try {
              throw;
            } catch (const std::runtime_error&) {
              std::raise(SIGUSR1);
            }
          }
        },
        pool);
    if (t.on().bytes() != context::stack_bytes_min) std::_Exit(2);
    t.resume();
    if (std::string(said) != "caught 1.500 0.25" || signals != 2) std::_Exit(3);
    std::_Exit(0);
  };
  EXPECT_EXIT(all_at_once(), ::testing::ExitedWithCode(0), "");
}
#endif

// --- sanitizers ---------------------------------------------------------------------------------------

#if WEFT_ASAN
/// On the stack itself, in a frame of its own: where ASan has locals elsewhere LSan does not find them.
WEFT_NOINLINE void with_one_in_the_frame(const std::function<void()>& run) {
  auto* const only = static_cast<void* volatile*>(alloca(sizeof(void*)));
  *only = std::malloc(100);
  run();
  std::free(*only);
}

TEST(fiber_context, what_only_the_threads_stack_points_to_is_no_leak_while_it_runs_a_fiber) {
  int first = -1, second = -1, thread = -1;
  {
    turns t([&](turns& self) {
      first = __lsan_do_recoverable_leak_check();
      self.yield();
      second = __lsan_do_recoverable_leak_check();
    });
    with_one_in_the_frame([&] { t.resume(); });
    with_one_in_the_frame([&] { t.resume(); });  // a second time
    with_one_in_the_frame([&] { thread = __lsan_do_recoverable_leak_check(); });
  }
  EXPECT_EQ(first, 0);
  EXPECT_EQ(second, 0);
  EXPECT_EQ(thread, 0);
}
#endif

// --- unwinding --------------------------------------------------------------------------------------

struct frames {
  std::vector<std::uintptr_t> at;
  _Unwind_Reason_Code end;
};
frames walk() {
  frames found;
  found.end = _Unwind_Backtrace(
      [](_Unwind_Context* frame, void* to) {
        auto& list = *static_cast<std::vector<std::uintptr_t>*>(to);
        list.push_back(_Unwind_GetIP(frame));
        return list.size() < 1000 ? _URC_NO_REASON : _URC_NORMAL_STOP;
      },
      &found.at);
  return found;
}
bool in_boot(std::uintptr_t address) {
  const auto boot = reinterpret_cast<std::uintptr_t>(weft_context_boot);
  return address >= boot && address <= boot + 16;
}

TEST(fiber_context, unwinder_walks_to_the_entry_and_stops) {
  frames first, second;
  std::array<void*, 1000> traced;
  int traced_count = 0;
  turns t([&](turns& self) {
    first = walk();
    self.yield();
    second = walk();
    traced_count = ::backtrace(traced.data(), static_cast<int>(traced.size()));
  });
  t.resume();
  std::thread([&] { t.resume(); }).join();
  for (const frames* f : {&first, &second}) {
    EXPECT_EQ(f->end, _URC_END_OF_STACK);
    ASSERT_GE(f->at.size(), 3u);
    ASSERT_LT(f->at.size(), 100u);
    // libgcc says the outermost frame last; some say one more, at no address.
    const auto last = f->at.back() != 0 ? f->at.back() : f->at[f->at.size() - 2];
    EXPECT_TRUE(in_boot(last)) << std::hex << last;
  }
  ASSERT_GE(traced_count, 3);
  ASSERT_LT(traced_count, 100);
}

}  // namespace
}  // namespace weft
