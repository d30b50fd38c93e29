// Protocol
//   The handler of SIGURG decides, and does no more than to push a call: it stores where the thread was below the
//   128 bytes that a function may use below its stack pointer, and lets the thread go on in
//   weft_preempt_stub (preempt_x86_64.S), which saves all registers and calls give_way().
//   I1  A call is pushed only while the program counter is in the section: then the thread is neither in the C
//       library nor in weft, nor in a stub or another handler, and holds what no code of the section
//       may hold: a lock, the address of what is thread-local.
//   I2  The handler runs on another stack than the one that it pushes on, else it would write into its own
//       frame, which the kernel reads when it returns.
//   I3  The stack has room for what is pushed and for all that give_way() does.
//   P1  use(): calls_ (release)  ->  the handler: (acquire): what they are.
// Who wants what runs here to give way has said so before he sends the signal; here it is only asked for.
// So a signal that comes late, from elsewhere, or for nothing, does nothing, and the next one makes up for one
// that found the program counter elsewhere.
//
// Each SIGURG goes on to who handled it before, ours, too: signals that are pending merge, and one that
// says that urgent data are there may be in it. Handlers of SIGURG have to bear one that is for nothing.
//
// Rejected
//   To switch stacks inside the handler: the frame that the kernel made would be returned from on another thread
//     (its alternate stack comes with it), the mask of signals would have to be put right, and a stack would
//     need room for that frame.
//   To save with XSAVE or FXSAVE where there is no XSAVEC: processors without it are older than 2015.
#include <cpuid.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "weft/base/atomic.hpp"
#include "weft/base/setting.hpp"
#include "weft/fiber/preempt.hpp"
#include "weft/os/fault_handler.hpp"

#define WEFT_HIDDEN __attribute__((visibility("hidden")))

// Of the stub.
extern "C" {
WEFT_HIDDEN constinit std::uint64_t weft_preempt_xsave_bytes = 0;
WEFT_HIDDEN constinit std::uint64_t weft_preempt_xsave_mask = 0;
WEFT_HIDDEN void weft_preempt_stub() noexcept;
WEFT_HIDDEN void weft_preempt_give_way() noexcept;
WEFT_HIDDEN std::size_t weft_context_shadow_stack() noexcept;
// Made by the linker; null where nothing stands in the section.
__attribute__((weak)) extern const char __start_weft_preemptible[];
__attribute__((weak)) extern const char __stop_weft_preemptible[];
}

namespace weft::detail {
namespace {

constexpr std::uintptr_t below_stack_pointer = 128;  // a leaf's, as the ABI has it
// What give_way() uses of the stack: 1 KiB, and some of that for builds without optimisation.
constexpr std::uintptr_t room_to_give_way = std::uintptr_t{6} << 10;
constexpr std::uint64_t own_of_threads = std::uint64_t{1} << 9;  // PKRU: not the fiber's

constinit atomic<const preempt_calls*> calls{nullptr};
constinit atomic<std::uint64_t> pushed{0};  // a figure; relaxed
struct sigaction before;                    // written before the handler is there

bool runs_in_valgrind() noexcept {
  // Four rotations that do nothing together, and no compiler makes: valgrind takes them for a question.
  const unsigned long question[6] = {0x1001, 0, 0, 0, 0, 0};
  unsigned long answer = 0;
  asm volatile(
      "rolq $3, %%rdi\n\trolq $13, %%rdi\n\trolq $61, %%rdi\n\trolq $51, %%rdi\n\t"
      "xchgq %%rbx, %%rbx"
      : "+d"(answer)
      : "a"(&question[0])
      : "cc", "memory");
  return answer != 0;
}

/// False: the processor, or the system, has no XSAVEC.
bool find_out_what_to_save() noexcept {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_OSXSAVE) == 0) return false;
  if (__get_cpuid_count(0xd, 1, &a, &b, &c, &d) == 0 || (a & 2) == 0) return false;
  unsigned low = 0, high = 0;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  weft_preempt_xsave_mask = ((std::uint64_t{high} << 32) | low) & ~own_of_threads;
  // Of what is enabled, in the form that has a fixed place for each; the compact one may begin each part
  // at a multiple of 64.
  __cpuid_count(0xd, 0, a, b, c, d);
  weft_preempt_xsave_bytes = (std::uint64_t{b} + 64 * 8 + 63) & ~std::uint64_t{63};
  return true;
}

const char* find_out_why_not() noexcept {
  if (WEFT_TSAN) return "ThreadSanitizer holds signals back until the next call of the C library";
  if (is_set_to("WEFT_PREEMPT", "off", "on")) return "WEFT_PREEMPT is off";
  if (runs_in_valgrind()) return "valgrind does not follow it";
  if (weft_context_shadow_stack() != 0) return "the thread has a shadow stack (CET)";
  if (!find_out_what_to_save()) return "the processor, or the system, has no XSAVEC";
  return nullptr;
}

void pass_on(int number, siginfo_t* about, void* machine) noexcept {
  if ((before.sa_flags & SA_SIGINFO) != 0) return before.sa_sigaction(number, about, machine);
  if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) return;  // both: nothing
  before.sa_handler(number);
}

void handle(int number, siginfo_t* about, void* machine) {
  const int kept = errno;
  pass_on(number, about, machine);
  errno = kept;
  auto& registers = static_cast<ucontext_t*>(machine)->uc_mcontext.gregs;
  const auto pc = static_cast<std::uintptr_t>(registers[REG_RIP]);
  const auto sp = static_cast<std::uintptr_t>(registers[REG_RSP]);
  if (pc < reinterpret_cast<std::uintptr_t>(__start_weft_preemptible) ||  // I1
      pc >= reinterpret_cast<std::uintptr_t>(__stop_weft_preemptible)) {
    return;
  }
  const stack_bounds on = calls.load(order::acquire)->due();  // P1
  if (on.low == nullptr) return;
  const auto low = reinterpret_cast<std::uintptr_t>(on.low);
  const auto top = reinterpret_cast<std::uintptr_t>(on.top);
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  if (here >= low && here < top) return;  // I2
  const std::uintptr_t needed =
      4 * below_stack_pointer + weft_preempt_xsave_bytes + room_to_give_way;
  if (sp > top || sp < low || sp - low < needed) return;  // I3
  const std::uintptr_t pushed_at = sp - below_stack_pointer - sizeof pc;
  std::memcpy(reinterpret_cast<void*>(pushed_at), &pc, sizeof pc);  // NOLINT
  registers[REG_RSP] = static_cast<greg_t>(pushed_at);
  registers[REG_RIP] = reinterpret_cast<greg_t>(&weft_preempt_stub);
}

bool install() noexcept {
  if (::sigaction(SIGURG, nullptr, &before) != 0) return false;
  struct sigaction ours = {};
  ours.sa_sigaction = &handle;
  ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
  ::sigemptyset(&ours.sa_mask);
  return ::sigaction(SIGURG, &ours, nullptr) == 0;
}

}  // namespace

const char* preemption::why_not() noexcept {
  static const char* const why = find_out_why_not();
  return why;
}

bool preemption::use(const preempt_calls& from_now_on) noexcept {
  if (why_not() != nullptr) return false;
  calls.store(&from_now_on, order::release);  // P1
  static const bool installed = install();
  return installed;
}

void preemption::open_this_thread() noexcept {
  os::use_signal_stack();
  sigset_t ours;
  ::sigemptyset(&ours);
  ::sigaddset(&ours, SIGURG);
  ::pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
}

void preemption::interrupt(std::uint64_t thread) noexcept {
  const int kept = errno;
  ::syscall(SYS_tgkill, ::getpid(), static_cast<pid_t>(thread), SIGURG);
  errno = kept;
}

preempt_figures preempt_statistics() noexcept {
  return {.calls_pushed = pushed.load(order::relaxed)};
}

}  // namespace weft::detail

void weft_preempt_give_way() noexcept {
  using namespace weft;
  detail::pushed.fetch_add(1, order::relaxed);
  detail::calls.load(order::acquire)->give_way();  // P1
}
