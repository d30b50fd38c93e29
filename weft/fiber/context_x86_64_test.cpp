// context on x86-64: each register that a callee keeps, the words of floating-point modes bit by bit, and
// an unwinder at every instruction of a switch.
#include <gtest/gtest.h>
#include <signal.h>
#include <ucontext.h>
#include <unwind.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "weft/fiber/context.hpp"
#include "weft/fiber/turns_test_support.hpp"

// Fills rbx, rbp and r12 to r15 with seed + 1 to seed + 6, calls f(argument), and says in a bit each which
// of them is not the same then.
extern "C" std::uint64_t weft_test_hold_registers(void (*f)(void*), void* argument,
                                                  std::uint64_t seed);
asm(R"(
        .text
        .globl  weft_test_hold_registers
        .type   weft_test_hold_registers,@function
weft_test_hold_registers:
        .cfi_startproc
        pushq %rbx
        .cfi_adjust_cfa_offset 8
        pushq %rbp
        .cfi_adjust_cfa_offset 8
        pushq %r12
        .cfi_adjust_cfa_offset 8
        pushq %r13
        .cfi_adjust_cfa_offset 8
        pushq %r14
        .cfi_adjust_cfa_offset 8
        pushq %r15
        .cfi_adjust_cfa_offset 8
        pushq %rdx
        .cfi_adjust_cfa_offset 8
        leaq 1(%rdx), %rbx
        leaq 2(%rdx), %rbp
        leaq 3(%rdx), %r12
        leaq 4(%rdx), %r13
        leaq 5(%rdx), %r14
        leaq 6(%rdx), %r15
        movq %rdi, %rax
        movq %rsi, %rdi
        callq *%rax
        popq %rdx
        .cfi_adjust_cfa_offset -8
        subq %rdx, %rbx
        subq %rdx, %rbp
        subq %rdx, %r12
        subq %rdx, %r13
        subq %rdx, %r14
        subq %rdx, %r15
        xorl %eax, %eax
        xorl %ecx, %ecx
        cmpq $1, %rbx
        setne %cl
        orq %rcx, %rax
        cmpq $2, %rbp
        setne %cl
        leaq (%rax,%rcx,2), %rax
        cmpq $3, %r12
        setne %cl
        leaq (%rax,%rcx,4), %rax
        cmpq $4, %r13
        setne %cl
        leaq (%rax,%rcx,8), %rax
        cmpq $5, %r14
        setne %cl
        shlq $4, %rcx
        orq %rcx, %rax
        movl $0, %ecx
        cmpq $6, %r15
        setne %cl
        shlq $5, %rcx
        orq %rcx, %rax
        popq %r15
        .cfi_adjust_cfa_offset -8
        popq %r14
        .cfi_adjust_cfa_offset -8
        popq %r13
        .cfi_adjust_cfa_offset -8
        popq %r12
        .cfi_adjust_cfa_offset -8
        popq %rbp
        .cfi_adjust_cfa_offset -8
        popq %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_endproc
        .size   weft_test_hold_registers,.-weft_test_hold_registers
)");

extern "C" {
__attribute__((visibility("hidden"))) extern char weft_context_boot[];
__attribute__((visibility("hidden"))) void weft_context_switch(void**, void*) noexcept;
}

namespace weft {
namespace {

using fiber_test::turns;

TEST(fiber_context_x86_64, every_register_that_a_callee_keeps_is_kept) {
  std::uint64_t wrong = 0;
  std::vector<std::unique_ptr<turns>> all;
  for (std::uint64_t i = 0; i < 8; ++i) {
    all.push_back(std::make_unique<turns>([&wrong, i](turns& self) {
      for (std::uint64_t n = 0; n < 1000; ++n) {
        wrong |= weft_test_hold_registers([](void* t) { static_cast<turns*>(t)->yield(); }, &self,
                                          i << 32 | n << 8);
      }
    }));
  }
  struct call {
    turns* t;
  };
  while (!all.back()->is_over()) {
    for (auto& t : all) {
      call c{t.get()};
      // The thread's own registers, too.
      wrong |= weft_test_hold_registers([](void* a) { static_cast<call*>(a)->t->resume(); }, &c,
                                        ~std::uint64_t{0} << 40);
    }
  }
  EXPECT_EQ(wrong, 0u) << "bits: rbx rbp r12 r13 r14 r15";
}

std::uint32_t mxcsr() {
  std::uint32_t word = 0;
  asm volatile("stmxcsr %0" : "=m"(word));
  return word & 0xffc0;
}
void set_mxcsr(std::uint32_t word) { asm volatile("ldmxcsr %0" : : "m"(word)); }
std::uint16_t x87_control() {
  std::uint16_t word = 0;
  asm volatile("fnstcw %0" : "=m"(word));
  return word;
}
void set_x87_control(std::uint16_t word) { asm volatile("fldcw %0" : : "m"(word)); }

TEST(fiber_context_x86_64, each_mode_of_mxcsr_and_of_the_x87_is_each_ones_own) {
  // Denormals are zero, each mask, rounding, flush to zero; and the x87's masks, precision, rounding.
  constexpr std::array<std::uint32_t, 5> vector{0x1fc0, 0x1f80 | 0x6000, 0x9f80, 0x1f00, 0x1f80};
  constexpr std::array<std::uint16_t, 5> scalar{0x027f, 0x0c7f, 0x037e, 0x007f, 0x037f};
  const auto before = mxcsr();
  const auto before_x87 = x87_control();
  int wrong = 0;
  std::vector<std::unique_ptr<turns>> all;
  for (std::size_t i = 0; i < vector.size(); ++i) {
    all.push_back(std::make_unique<turns>([&, i](turns& self) {
      if (mxcsr() != before || x87_control() != before_x87) ++wrong;
      set_mxcsr(vector[i]);
      set_x87_control(scalar[i]);
      for (int n = 0; n < 3; ++n) {
        self.yield();
        if (mxcsr() != vector[i] || x87_control() != scalar[i]) ++wrong;
      }
    }));
  }
  for (int n = 0; n < 4; ++n) {
    for (auto& t : all) {
      t->resume();
      EXPECT_EQ(mxcsr(), before);
      EXPECT_EQ(x87_control(), before_x87);
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST(fiber_context_x86_64, flag_that_one_raised_under_its_masks_is_no_signal_to_another) {
  const auto divide = [] {
    volatile long double zero = 0, one = 1;
    volatile long double quotient = one / zero;  // masked here: infinite, and a sticky flag
    static_cast<void>(quotient);
  };
  const auto run = [&] {
    int done = 0;
    turns careful([&](turns& self) {
      set_x87_control(0x037b);  // a division by zero is a signal to this one
      self.yield();
      volatile long double two = 2, three = 3;
      volatile long double product = two * three;
      done = static_cast<int>(product);
    });
    careful.resume();
    divide();
    careful.resume();
    // And when it is the first switch to one that was made under other masks.
    turns later([&](turns& self) {
      self.yield();
      volatile long double two = 2, four = 4;
      volatile long double product = two * four;
      done += static_cast<int>(product);
    });
    std::_Exit(done == 6 && (later.resume(), divide(), later.resume(), done == 14) ? 0 : 1);
  };
  EXPECT_EXIT(run(), ::testing::ExitedWithCode(0), "");
}

// The trap flag makes a SIGTRAP of each instruction. A sanitizer's handler comes later, or not at all.
#if !WEFT_TSAN && !WEFT_ASAN

struct stepping {
  int steps = 0;
  int in_boot = 0;    // walks that ended at the entry of a context
  int elsewhere = 0;  // that ended properly elsewhere: on the thread
  int broken = 0;
};
stepping seen;
const char* thread_end;  // an address in the frame that all of the thread's walks must pass

void at_each_step(int, siginfo_t*, void* at) {
  const auto ip =
      static_cast<std::uintptr_t>(static_cast<ucontext_t*>(at)->uc_mcontext.gregs[REG_RIP]);
  const auto begin = reinterpret_cast<std::uintptr_t>(&weft_context_switch);
  const auto boot = reinterpret_cast<std::uintptr_t>(weft_context_boot);
  const bool ours = (ip >= begin && ip < begin + 128) || (ip >= boot && ip < boot + 16);
  if (!ours) return;
  ++seen.steps;
  struct walk {
    std::uintptr_t last = 0;
    bool last_is_known =
        false;  // there are rules for unwinding it: the walk did not just lose its way
    bool passed_thread = false;
    int frames = 0;
  } w;
  const auto end = _Unwind_Backtrace(
      [](_Unwind_Context* frame, void* to) {
        auto& walked = *static_cast<walk*>(to);
        const auto here = _Unwind_GetIP(frame);
        if (here != 0) {
          // Of what is before the address: a call, where there was one.
          const void* const function = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(here));
          walked.last = here;
          walked.last_is_known = function != nullptr;
          if (function == thread_end) walked.passed_thread = true;
        }
        return ++walked.frames < 200 ? _URC_NO_REASON : _URC_NORMAL_STOP;
      },
      &w);
  if (end != _URC_END_OF_STACK) {
    ++seen.broken;
  } else if (w.last >= boot && w.last <= boot + 16) {
    ++(w.last_is_known ? seen.in_boot : seen.broken);
  } else if (w.passed_thread) {
    ++seen.elsewhere;
  } else {
    ++seen.broken;
  }
}

/// Past the red zone, where a function that calls none may have its locals.
void set_trap_flag(bool on) {
  if (on) {
    asm volatile(
        "leaq -128(%%rsp), %%rsp; pushfq; orq $0x100, (%%rsp); popfq; leaq 128(%%rsp), %%rsp" ::
            : "memory", "cc");
  } else {
    asm volatile(
        "leaq -128(%%rsp), %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; leaq 128(%%rsp), %%rsp" ::
            : "memory", "cc");
  }
}

__attribute__((noinline)) void step_through(turns& t, context& here) {
  set_trap_flag(true);
  t.resume(here);
  t.resume(here);
  set_trap_flag(false);
  asm volatile("");
}

TEST(fiber_context_x86_64, unwinder_gets_through_at_every_instruction_of_a_switch) {
  struct sigaction act = {}, old = {};
  act.sa_sigaction = at_each_step;
  act.sa_flags = SA_SIGINFO;
  ASSERT_EQ(::sigaction(SIGTRAP, &act, &old), 0);
  seen = {};
  thread_end = reinterpret_cast<const char*>(&step_through);
  turns t([](turns& self) { self.yield(); });
  context here;
  step_through(t, here);
  ::sigaction(SIGTRAP, &old, nullptr);
  EXPECT_TRUE(t.is_over());
  EXPECT_EQ(seen.broken, 0);
  // Four switches of 26 instructions, each half on one stack and half on the other.
  EXPECT_GE(seen.steps, 4 * 20);
  EXPECT_GE(seen.in_boot, 4 * 8);
  EXPECT_GE(seen.elsewhere, 4 * 8);
}

#endif

}  // namespace
}  // namespace weft
