// preempt on x86-64, without a runtime: when the handler pushes a call, what that finds, and what is left as
// it was. A context gives way to the thread that resumed it. With fibers: preemptible_test.cpp.
#include "weft/fiber/preempt.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#include <cerrno>
#include <cfenv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "weft/base/config.hpp"
#include "weft/fiber/context.hpp"
#include "weft/fiber/preempt_test_support.hpp"
#include "weft/fiber/turns_test_support.hpp"
#include "weft/os/fault_handler.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/preemptible.hpp"

// In the section: sends SIGURG to its own thread `count` times, with nothing between the system call's end and
// the handler, and gives how often the thread's registers were not what they had been.
extern "C" std::uint64_t weft_test_signal_itself(std::uint64_t process, std::uint64_t thread,
                                                 std::uint64_t count);
extern "C" char weft_test_after_signal[];
extern "C" __attribute__((visibility("hidden"))) void weft_preempt_stub() noexcept;
extern "C" __attribute__((visibility("hidden"))) char weft_preempt_stub_end[];
// The same, outside of the section, on both sides of it.
extern "C" std::uint64_t weft_test_signal_itself_before(std::uint64_t process, std::uint64_t thread,
                                                        std::uint64_t count);
extern "C" std::uint64_t weft_test_signal_itself_behind(std::uint64_t process, std::uint64_t thread,
                                                        std::uint64_t count);
extern "C" __attribute__((visibility("hidden"))) char __start_weft_preemptible[],
    __stop_weft_preemptible[];
// clang-format off
#define WEFT_SIGNAL_ITSELF(section, name, label)                                                   \
  asm("        .pushsection " section ",\"ax\",@progbits\n"                                        \
      "        .globl " name "\n        .type " name ",@function\n" name ":\n"                     \
      "        .cfi_startproc\n"                                                                   \
      "        movq %rdx, %r8\n        xorl %r9d, %r9d\n        movq $0x123456789, %r10\n"         \
      "        movq %r10, -8(%rsp)\n        movq %r10, -128(%rsp)\n        std\n"                  \
      "1:      movl $234, %eax\n        movl $23, %edx\n        syscall\n" label                   \
      "        testq %rax, %rax\n        jz 2f\n        incq %r9\n"                                \
      "2:      cmpq %r10, -8(%rsp)\n        je 3f\n        incq %r9\n"                             \
      "3:      cmpq %r10, -128(%rsp)\n        je 4f\n        incq %r9\n"                           \
      "4:      pushfq\n        popq %rax\n        testl $0x400, %eax\n        jnz 5f\n        incq %r9\n" \
      "5:      movq %r10, -8(%rsp)\n        decq %r8\n        jnz 1b\n        cld\n"               \
      "        movq %r9, %rax\n        ret\n        .cfi_endproc\n        .popsection\n")
WEFT_SIGNAL_ITSELF("weft_preemptible", "weft_test_signal_itself",
                   "        .globl weft_test_after_signal\nweft_test_after_signal:\n");
WEFT_SIGNAL_ITSELF(".text", "weft_test_signal_itself_before", "");
WEFT_SIGNAL_ITSELF("weft_test_behind", "weft_test_signal_itself_behind", "");
// clang-format on

namespace weft::fiber_test {
namespace {

using detail::preempt_calls;
using detail::preemption;
using detail::stack_bounds;

constexpr std::chrono::seconds patience{20};  // a bound for what takes milliseconds

// Of this thread alone, which all of these tests run on.
turns* running = nullptr;
bool is_due = true;
std::uint64_t asked = 0;
std::uint64_t gave_way = 0;
void (*on_the_way)() = nullptr;

constexpr preempt_calls test_calls{[]() noexcept {
                                     ++asked;
                                     if (running == nullptr || !is_due) return stack_bounds{};
                                     return stack_bounds{running->on().low(), running->on().top()};
                                   },
                                   []() noexcept {
                                     ++gave_way;
                                     if (on_the_way != nullptr) on_the_way();
                                     turns* const mine = running;
                                     running = nullptr;
                                     mine->yield();
                                     running = mine;
                                   }};

std::uint64_t signal_itself(std::uint64_t count) {
  return weft_test_signal_itself(static_cast<std::uint64_t>(::getpid()), os::current_thread_id(),
                                 count);
}

/// Resumes it until it is over; counts how often it came back before.
int run(turns& t) {
  for (int times = 0;; ++times) {
    running = &t;
    t.resume();
    running = nullptr;
    if (t.is_over()) return times;
  }
}

class preempt : public ::testing::Test {
 protected:
  void SetUp() override {
    if (preemption::why_not() != nullptr) GTEST_SKIP() << preemption::why_not();
    ASSERT_TRUE(preemption::use(test_calls));
    preemption::open_this_thread();
    is_due = true;
    asked = gave_way = 0;
    on_the_way = nullptr;
  }
};

TEST_F(preempt, code_of_the_section_gives_way_at_each_signal_and_goes_on) {
  std::uint64_t wrong = ~std::uint64_t{0};
  turns t([&](turns&) { wrong = signal_itself(1000); });
  EXPECT_EQ(run(t), 1000);
  EXPECT_EQ(gave_way, 1000u);
  EXPECT_EQ(wrong, 0u) << "registers, flags or words below the stack pointer";
}

TEST_F(preempt, other_code_does_not) {
  const auto before = reinterpret_cast<std::uintptr_t>(&weft_test_signal_itself_before);
  const auto behind = reinterpret_cast<std::uintptr_t>(&weft_test_signal_itself_behind);
  ASSERT_LT(before, reinterpret_cast<std::uintptr_t>(__start_weft_preemptible));
  ASSERT_GE(behind, reinterpret_cast<std::uintptr_t>(__stop_weft_preemptible));
  const auto process = static_cast<std::uint64_t>(::getpid());
  turns t([&](turns&) {
    EXPECT_EQ(weft_test_signal_itself_before(process, os::current_thread_id(), 10), 0u);
    EXPECT_EQ(weft_test_signal_itself_behind(process, os::current_thread_id(), 10), 0u);
  });
  EXPECT_EQ(run(t), 0);
  EXPECT_EQ(asked, 0u);
}

TEST_F(preempt, who_is_not_due_does_not) {
  is_due = false;
  turns t([&](turns&) { EXPECT_EQ(signal_itself(10), 0u); });
  EXPECT_EQ(run(t), 0);
  EXPECT_EQ(asked, 10u);
}

TEST_F(preempt, what_runs_on_another_stack_does_not) {
  turns t([](turns&) {});
  running = &t;  // its bounds, but the thread is on its own stack
  EXPECT_EQ(signal_itself(10), 0u);
  running = nullptr;
  EXPECT_EQ(gave_way, 0u);
  EXPECT_EQ(asked, 10u);
  t.resume();
}

/// Uses so much of the stack first.
WEFT_NOINLINE std::uint64_t deep_down(std::size_t bytes) {
  auto* const room = static_cast<volatile char*>(__builtin_alloca(bytes));
  room[0] = 1;
  const std::uint64_t wrong = signal_itself(10);
  return wrong + room[0] - 1;
}

TEST_F(preempt, a_stack_without_room_for_it_does_not) {
  turns t([&](turns& self) { EXPECT_EQ(deep_down(self.on().bytes() - 6 * 1024), 0u); });
  EXPECT_EQ(run(t), 0);
  EXPECT_EQ(asked, 10u);
  turns other([&](turns& self) { EXPECT_EQ(deep_down(self.on().bytes() - 40 * 1024), 0u); });
  EXPECT_EQ(run(other), 10);
}

TEST_F(preempt, a_thread_without_a_stack_for_handlers_does_not) {
  turns t([&](turns&) {
    stack_t ours = {}, none = {};
    none.ss_flags = SS_DISABLE;
    ASSERT_EQ(::sigaltstack(&none, &ours), 0);
    EXPECT_EQ(signal_itself(10), 0u);
    ASSERT_EQ(::sigaltstack(&ours, nullptr), 0);
  });
  EXPECT_EQ(run(t), 0);
  EXPECT_EQ(asked, 10u);
}

TEST_F(preempt, debuggers_see_the_interrupted_function_and_who_called_it) {
  static std::vector<std::uintptr_t> seen;
  static _Unwind_Reason_Code end;
  seen.clear();
  on_the_way = [] {
    end = _Unwind_Backtrace(
        [](_Unwind_Context* frame, void*) {
          seen.push_back(_Unwind_GetIP(frame));
          return seen.size() < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
        },
        nullptr);
  };
  turns t([](turns&) { EXPECT_EQ(signal_itself(1), 0u); });
  EXPECT_EQ(run(t), 1);
  EXPECT_EQ(end, _URC_END_OF_STACK);
  const auto at = reinterpret_cast<std::uintptr_t>(weft_test_after_signal);
  std::size_t where = 0;
  while (where < seen.size() && seen[where] != at) ++where;
  ASSERT_LT(where, seen.size()) << "the place where it was interrupted, to the byte";
  EXPECT_GE(where, 2u);                // give_way and the stub
  EXPECT_GE(seen.size() - where, 4u);  // signal_itself(), the body, turns::run, the entry
}

/// Sends SIGURG to its thread each 50 us: by the kernel, so that no other thread needs a processor for it.
class timed_signals {
 public:
  timed_signals() {
    sigevent how = {};
    how.sigev_notify = SIGEV_THREAD_ID;
    how.sigev_signo = SIGURG;
    how._sigev_un._tid = static_cast<pid_t>(os::current_thread_id());
    EXPECT_EQ(::timer_create(CLOCK_MONOTONIC, &how, &timer_), 0);
    const itimerspec each{.it_interval = {0, 50'000}, .it_value = {0, 50'000}};
    EXPECT_EQ(::timer_settime(timer_, 0, &each, nullptr), 0);
  }
  timed_signals(const timed_signals&) = delete;
  ~timed_signals() { ::timer_delete(timer_); }

 private:
  timer_t timer_{};
};

/// Runs `k` in a context again and again, until it was interrupted so often; `meanwhile` each time.
template <class Meanwhile>
void interrupt_often(const kernel& k, int often, Meanwhile meanwhile) {
  SCOPED_TRACE(k.name);
  const std::uint64_t expected = k.run(12345, k.count);
  const auto give_up_at = std::chrono::steady_clock::now() + patience;
  const timed_signals signals;
  std::uint64_t result = 0;
  int times = 0;
  while (times < often && std::chrono::steady_clock::now() < give_up_at) {
    turns t([&](turns&) { result = k.run(12345, k.count); });
    for (;; ++times) {
      running = &t;
      t.resume();
      running = nullptr;
      if (t.is_over()) break;
      meanwhile();
    }
    ASSERT_EQ(result, expected);
  }
  EXPECT_GE(times, often) << "too seldom to say anything";
}

TEST_F(preempt, each_kind_of_register_is_kept_though_all_are_overwritten) {
  // Between two turns the thread itself runs the kernels, which leave nothing in them as it was.
  for (const kernel& k : kernels()) {
    interrupt_often(k, 100, [] {
      for (const kernel& other : kernels()) static_cast<void>(other.run(7, 10));
    });
  }
}

TEST_F(preempt, x87_is_empty_for_who_runs_meanwhile) {
  const kernel& full = kernels()[1];
  const std::uint64_t expected = full.run(5, full.count);
  interrupt_often(full, 100, [&] {
    ASSERT_EQ(full.run(5, full.count), expected) << "it needs all eight places";
  });
}

// The trap flag makes a SIGTRAP of each instruction. A sanitizer's handler comes later, or not at all.
#if !WEFT_TSAN && !WEFT_ASAN

struct stepping {
  int steps = 0;
  int right = 0;
};
stepping stepped;

void at_each_step(int, siginfo_t*, void* at) {
  const auto ip =
      static_cast<std::uintptr_t>(static_cast<ucontext_t*>(at)->uc_mcontext.gregs[REG_RIP]);
  if (ip < reinterpret_cast<std::uintptr_t>(&weft_preempt_stub) ||
      ip >= reinterpret_cast<std::uintptr_t>(weft_preempt_stub_end)) {
    return;
  }
  ++stepped.steps;
  struct walk {
    bool saw_it = false;
    int frames = 0;
  } w;
  const auto end = _Unwind_Backtrace(
      [](_Unwind_Context* frame, void* to) {
        auto& walked = *static_cast<walk*>(to);
        // Where it was interrupted, and what was in r10 there, which the stub may have anything in.
        if (_Unwind_GetIP(frame) == reinterpret_cast<std::uintptr_t>(weft_test_after_signal)) {
          walked.saw_it = _Unwind_GetGR(frame, 10) == 0x123456789;
        }
        return ++walked.frames < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
      },
      &w);
  if (end == _URC_END_OF_STACK && w.saw_it) ++stepped.right;
}

TEST_F(preempt, unwinder_gets_through_at_every_instruction_of_the_stub) {
  struct sigaction act = {}, old = {};
  act.sa_sigaction = at_each_step;
  act.sa_flags = SA_SIGINFO | SA_ONSTACK;
  ASSERT_EQ(::sigaction(SIGTRAP, &act, &old), 0);
  stepped = {};
  std::uint64_t wrong = 1;
  turns t([&](turns&) {
    const std::uint64_t process = static_cast<std::uint64_t>(::getpid());
    const std::uint64_t thread = os::current_thread_id();
    asm volatile(
        "leaq -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; leaq 128(%%rsp), %%rsp" ::
            : "memory", "cc");
    wrong = weft_test_signal_itself(process, thread, 1);
    asm volatile(
        "leaq -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; leaq 128(%%rsp), %%rsp" ::
            : "memory", "cc");
  });
  EXPECT_EQ(run(t), 1);
  ::sigaction(SIGTRAP, &old, nullptr);
  EXPECT_EQ(wrong, 0u);
  EXPECT_GE(stepped.steps, 50);
  EXPECT_EQ(stepped.right, stepped.steps);
}

#endif

TEST_F(preempt, each_kernel_tells_its_seeds_and_rounding_apart) {
  for (const kernel& k : kernels()) {
    SCOPED_TRACE(k.name);
    EXPECT_NE(k.run(1, k.count), k.run(2, k.count));
    EXPECT_NE(k.run(1, k.count), k.run(1, k.count - 1));
  }
  const kernel& rounds = kernels()[2];
  const std::uint64_t nearest = rounds.run(3, rounds.count);
  std::fesetround(FE_UPWARD);
  const std::uint64_t up = rounds.run(3, rounds.count);
  std::fesetround(FE_TONEAREST);
  EXPECT_NE(nearest, up);
}

TEST_F(preempt, handler_leaves_errno_alone) {
  errno = 77;
  turns t([](turns&) { static_cast<void>(signal_itself(3)); });
  EXPECT_EQ(run(t), 3);
  ::raise(SIGURG);
  EXPECT_EQ(errno, 77);
}

// In processes of their own: the handler is installed once.
using preempt_death = ::testing::Test;

volatile sig_atomic_t came_through = 0;
volatile sig_atomic_t about_whom = 0;

TEST(preempt_death, who_handled_the_signal_before_gets_it_still) {
  if (preemption::why_not() != nullptr) GTEST_SKIP() << preemption::why_not();
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto in_child = [](bool with_info) {
    struct sigaction mine = {};
    if (with_info) {
      mine.sa_flags = SA_SIGINFO;
      mine.sa_sigaction = [](int, siginfo_t* about, void*) {
        came_through = came_through + 1;
        about_whom = about->si_pid;
        errno = 5;
      };
    } else {
      mine.sa_handler = [](int) { came_through = came_through + 1; };
    }
    ::sigaction(SIGURG, &mine, nullptr);
    if (!preemption::use(test_calls)) std::_Exit(3);
    preemption::open_this_thread();
    errno = 0;
    ::kill(::getpid(), SIGURG);
    const bool kept = errno == 0;
    turns t([](turns&) { static_cast<void>(signal_itself(3)); });
    const int times = run(t);
    std::_Exit(came_through == 4 && times == 3 && kept && (!with_info || about_whom == ::getpid())
                   ? 0
                   : 1);
  };
  EXPECT_EXIT(in_child(true), ::testing::ExitedWithCode(0), "");
  EXPECT_EXIT(in_child(false), ::testing::ExitedWithCode(0), "");
}

TEST(preempt_death, can_be_switched_off) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ::setenv("WEFT_PREEMPT", "off", 1);
  const auto in_child = [] {
    struct sigaction now = {};
    if (preemption::use(test_calls) || preemption::why_not() == nullptr) std::_Exit(1);
    ::sigaction(SIGURG, nullptr, &now);
    std::fputs(preemption::why_not(), stderr);
    std::_Exit(now.sa_handler == SIG_DFL ? 0 : 2);
  };
  EXPECT_EXIT(in_child(), ::testing::ExitedWithCode(0), "WEFT_PREEMPT is off|Sanitizer");
  ::unsetenv("WEFT_PREEMPT");
}

}  // namespace
}  // namespace weft::fiber_test
