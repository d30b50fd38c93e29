// The AArch64 context: x19 to x28, d8 to d15, FPCR, exceptions, threads, where an unwinder stops. Stands
// alone, so that a cross compiler without GoogleTest builds it. Exit code 0: all is as it should be.
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include <cerrno>
#include <cfenv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "weft/fiber/context.hpp"
#include "weft/fiber/preempt.hpp"
#include "weft/os/memory.hpp"
#include "weft/os/stack_pages.hpp"

extern "C" __attribute__((visibility("hidden"))) char weft_context_boot[];

// Fills x19 to x28 with seed + 19 to seed + 28 and d8 to d15 with seed + 108 to seed + 115, calls
// f(argument), and says how many of them are not the same then.
extern "C" std::uint64_t weft_test_hold_registers(void (*f)(void*), void* argument,
                                                  std::uint64_t seed);
// clang-format off
asm(R"(
        .text
        .globl  weft_test_hold_registers
        .type   weft_test_hold_registers,%function
weft_test_hold_registers:
        .cfi_startproc
        hint #34
        sub sp, sp, #176
        .cfi_adjust_cfa_offset 176
        stp x29, x30, [sp]
        .cfi_rel_offset x29, 0
        .cfi_rel_offset x30, 8
        stp x19, x20, [sp, #16]
        stp x21, x22, [sp, #32]
        stp x23, x24, [sp, #48]
        stp x25, x26, [sp, #64]
        stp x27, x28, [sp, #80]
        stp d8, d9, [sp, #96]
        stp d10, d11, [sp, #112]
        stp d12, d13, [sp, #128]
        stp d14, d15, [sp, #144]
        str x2, [sp, #160]
        .irp n,19,20,21,22,23,24,25,26,27,28
        add x\n, x2, #\n
        .endr
        .irp n,8,9,10,11,12,13,14,15
        add x9, x2, #100 + \n
        fmov d\n, x9
        .endr
        mov x9, x0
        mov x0, x1
        blr x9
        ldr x2, [sp, #160]
        mov x0, #0
        .irp n,19,20,21,22,23,24,25,26,27,28
        add x9, x2, #\n
        cmp x9, x\n
        cinc x0, x0, ne
        .endr
        .irp n,8,9,10,11,12,13,14,15
        add x9, x2, #100 + \n
        fmov x10, d\n
        cmp x9, x10
        cinc x0, x0, ne
        .endr
        ldp x19, x20, [sp, #16]
        ldp x21, x22, [sp, #32]
        ldp x23, x24, [sp, #48]
        ldp x25, x26, [sp, #64]
        ldp x27, x28, [sp, #80]
        ldp d8, d9, [sp, #96]
        ldp d10, d11, [sp, #112]
        ldp d12, d13, [sp, #128]
        ldp d14, d15, [sp, #144]
        ldp x29, x30, [sp]
        add sp, sp, #176
        .cfi_adjust_cfa_offset -176
        ret
        .cfi_endproc
        .size   weft_test_hold_registers,.-weft_test_hold_registers
)");
// clang-format on

namespace {

using weft::context;

int failures = 0;
void expect(bool is_true, const char* what) {
  if (is_true) return;
  ++failures;
  std::printf("not true: %s\n", what);
}

class turns {
 public:
  explicit turns(std::function<void(turns&)> body)
      : body_(std::move(body)), self_(memory_.get(), bytes, run, this) {}
  void resume() {
    context here;
    resumer_ = &here;
    context::switch_to(here, self_);
  }
  void yield() { context::switch_to(self_, *resumer_); }
  bool is_over() const { return self_.is_over(); }
  context& self() { return self_; }

 private:
  static constexpr std::size_t bytes = 256 * 1024;
  static context& run(void* argument) {
    auto& t = *static_cast<turns*>(argument);
    t.body_(t);
    return *t.resumer_;
  }
  std::unique_ptr<char[]> memory_{new char[bytes]};
  std::function<void(turns&)> body_;
  context self_;
  context* resumer_ = nullptr;
};

std::string what_is_caught() {
  const auto now = std::current_exception();
  if (!now) return "nothing";
  try {
    std::rethrow_exception(now);
  } catch (const std::exception& e) {
    return e.what();
  }
}

void keeps_registers_modes_and_exceptions() {
  constexpr int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};
  std::uint64_t lost = 0;
  int wrong_modes = 0, wrong_exceptions = 0, uncaught = 0;
  std::vector<std::unique_ptr<turns>> all;
  for (std::uint64_t i = 0; i < 16; ++i) {
    all.push_back(std::make_unique<turns>([&, i](turns& self) {
      if (std::fegetround() != FE_TONEAREST) ++wrong_modes;
      std::fesetround(modes[i % 4]);
      for (std::uint64_t n = 0; n < 3000; ++n) {
        lost += weft_test_hold_registers([](void* t) { static_cast<turns*>(t)->yield(); }, &self,
                                         i << 40 | n << 8);
        if (std::fegetround() != modes[i % 4]) ++wrong_modes;
        if (n % 100 != 0) continue;
        try {
          throw std::runtime_error(std::to_string(i));
        } catch (const std::exception&) {
          self.yield();
          if (what_is_caught() != std::to_string(i)) ++wrong_exceptions;
        }
        if (std::uncaught_exceptions() != 0) ++uncaught;
      }
    }));
  }
  while (!all.back()->is_over()) {
    for (auto& t : all) {
      if (!t->is_over()) t->resume();
      if (std::fegetround() != FE_TONEAREST) ++wrong_modes;
    }
  }
  expect(lost == 0, "each register that a callee keeps is kept");
  expect(wrong_modes == 0, "rounding is each one's own");
  expect(wrong_exceptions == 0, "what is caught is each one's own");
  expect(uncaught == 0, "nothing is uncaught after a catch");
}

void goes_on_on_other_threads() {
  std::uint64_t lost = 0;
  int wrong = 0;
  turns t([&](turns& self) {
    for (std::uint64_t n = 0; n < 100; ++n) {
      try {
        throw std::runtime_error(std::to_string(n));
      } catch (const std::exception&) {
        lost +=
            weft_test_hold_registers([](void* a) { static_cast<turns*>(a)->yield(); }, &self, n);
        if (what_is_caught() != std::to_string(n)) ++wrong;
      }
    }
  });
  while (!t.is_over()) std::thread([&] { t.resume(); }).join();
  expect(lost == 0, "registers come along to another thread");
  expect(wrong == 0, "what is caught comes along to another thread");
}

void unwinder_stops_at_the_entry() {
  std::uintptr_t last = 0;
  int frames = 0;
  _Unwind_Reason_Code end = _URC_NO_REASON;
  turns t([&](turns&) {
    struct walk {
      std::uintptr_t& last;
      int& frames;
    } w{last, frames};
    end = _Unwind_Backtrace(
        [](_Unwind_Context* frame, void* to) {
          auto& walked = *static_cast<walk*>(to);
          if (_Unwind_GetIP(frame) != 0) walked.last = _Unwind_GetIP(frame);
          return ++walked.frames < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
        },
        &w);
  });
  t.resume();
  const auto boot = reinterpret_cast<std::uintptr_t>(weft_context_boot);
  expect(end == _URC_END_OF_STACK, "an unwinder comes to an end");
  expect(frames >= 3 && last >= boot && last <= boot + 16, "that is the entry of the context");
}

void visitor_unwinds_what_was_left() {
  struct walk {
    int frames = 0;
    std::uintptr_t last = 0;
  };
  bool went_on = false;
  turns t([&](turns& self) {
    self.yield();
    went_on = true;
  });
  t.resume();
  walk w;
  t.self().visit(
      [](void* to) {
        _Unwind_Backtrace(
            [](_Unwind_Context* frame, void* into) {
              auto& walked = *static_cast<walk*>(into);
              if (_Unwind_GetIP(frame) != 0) walked.last = _Unwind_GetIP(frame);
              return ++walked.frames < 100 ? _URC_NO_REASON : _URC_NORMAL_STOP;
            },
            to);
      },
      &w);
  const auto boot = reinterpret_cast<std::uintptr_t>(weft_context_boot);
  expect(w.frames >= 5 && w.last >= boot && w.last <= boot + 16, "a visitor finds the entry");
  t.resume();
  expect(went_on, "who was visited goes on");
}

/// An emulator says yes to marks in the page table, and makes none: then they are not known.
void guard_that_is_installed_guards() {
  using namespace weft::os;
  const std::size_t bytes = page_size();
  int ends[2];
  const auto pages = reserve_pages(bytes);
  if (!pages || ::pipe(ends) != 0) return expect(false, "there is a page and a pipe");
  for (const auto kind : {guard_kind::advice, guard_kind::protection}) {
    const auto guarded = guard_pages(*pages, bytes, kind);
    if (guarded) {
      expect(::write(ends[1], *pages, 1) < 0 && errno == EFAULT, "a guard lets nothing through");
    } else {
      expect(guarded.error() == std::errc::invalid_argument, "a kind is refused as not known");
    }
  }
}

/// Regions are entered, and nobody is interrupted in them: no handler is there that could be.
void nobody_is_preempted() {
  using weft::detail::preemption;
  static constexpr weft::detail::preempt_calls never{
      []() noexcept {
        expect(false, "who is due is not asked for");
        return weft::detail::stack_bounds{};
      },
      []() noexcept { expect(false, "nobody gives way"); }};
  expect(preemption::why_not() != nullptr, "there is a reason");
  expect(!preemption::use(never), "use() says so");
  preemption::open_this_thread();
  preemption::interrupt(static_cast<std::uint64_t>(::gettid()));
  struct sigaction now = {};
  expect(::sigaction(SIGURG, nullptr, &now) == 0 && now.sa_handler == SIG_DFL,
         "no handler is installed");
  expect(weft::detail::preempt_statistics().calls_pushed == 0, "no call was pushed");
}

/// In the terminate handler, which the personality routine leads to without unwinding.
void exception_that_leaves_ends_the_program() {
  static bool unwound = false;
  struct notes {
    ~notes() { unwound = true; }
  };
  std::set_terminate([] {
    expect(!unwound, "the stack is whole when an exception leaves");
    expect(what_is_caught() == "boom", "std::terminate() knows what it was");
    std::_Exit(failures == 0 ? 0 : 1);
  });
  turns t([](turns&) {
    notes n;
    throw std::runtime_error("boom");
  });
  t.resume();
  expect(false, "an exception that leaves ends the program");
}

}  // namespace

int main() {
  keeps_registers_modes_and_exceptions();
  goes_on_on_other_threads();
  unwinder_stops_at_the_entry();
  visitor_unwinds_what_was_left();
  guard_that_is_installed_guards();
  nobody_is_preempted();
  std::fflush(stdout);
  exception_that_leaves_ends_the_program();
  return 1;
}
