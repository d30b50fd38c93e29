// Invariants
//   I1  thread_ is set while the fiber runs: the context of who resumed it, which stands on the stack of
//       that call of go_on(). So a thread needs no context that lives longer, and whoever resumes a
//       fiber from another one's stack (a job that runs a loop of its own) is no special case.
//   I2  What a fiber waits in is begun by whoever resumed it, after it has left its stack: once it is begun
//       another thread may resume the fiber, or end it, and nothing of either is touched any more.
//   I3  A fiber does not keep the address of what is thread-local across a switch: running(), which it
//       calls, is not inlined. go_on() keeps it: it comes back on the thread that it left.
//   I4  While a fiber inside of a region runs, the worker's turn_state has the number of the thread: it is
//       written where a region is entered and left, and where the fiber comes and goes meanwhile. Where
//       nobody is preempted there are no regions to it: regions_ stays 0, and no thread is open to signals.
//
// After a switch the processor predicts each return wrong that belongs to a call from before it (15 to 20 cycles
// each). So there are as few as can be between the switch and who waits, or who runs jobs: what stands
// between is in line, on both sides.
//
// A stop ends at the fiber_wait, as at a catch_stop: frames of coroutines inside of what is awaited are
// destroyed before, as everywhere, and then the stack is unwound by a throw from there.
//
// Rejected
//   _Unwind_ForcedUnwind: a `catch (...)` inside of a handler would terminate without a word (the C++
//     library cannot stack a foreign exception on a caught one), std::uncaught_exceptions() would be 0 in
//     destructors, and both catch it in `catch (...)` all the same.
//   To let a swallowed stop be, and throw again at the next await: a loop that logs and goes on never ends.
//   To begin the operation on the fiber's stack: it could be resumed before it has left.
#include "weft/runtime/fiber.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "weft/base/assert.hpp"
#include "weft/base/cache_line.hpp"
#include "weft/os/fault_handler.hpp"
#include "weft/os/fork.hpp"
#include "weft/os/thread.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/core.hpp"
#include "weft/runtime/fiber_stacks.hpp"
#include "weft/runtime/preemptible.hpp"
#include "weft/runtime/runtime.hpp"
#include "weft/runtime/worker.hpp"
#include "weft/task/current.hpp"

namespace weft::detail {
namespace {

// A look costs 0.5 us, a fiber 0.1 in all.
constexpr std::uint32_t depth_noted_every = 1024;

struct of_thread {
  fiber* running = nullptr;
  context::of_thread own;    // known: it has a stack for signals, too, or there is none to be had
  std::uint64_t number = 0;  // 0: not asked for yet
  std::uint32_t ended = 0;   // fibers
  std::uint32_t number_is_of = 0;  // which process: fork_generation()
};
// Read in handlers of SIGSEGV and SIGURG, so never allocated on demand.
thread_local constinit of_thread this_threads __attribute__((tls_model("initial-exec"))) = {};

WEFT_NOINLINE void get_ready(of_thread& thread) noexcept {
  thread.own = context::of_thread::look_up();
  os::use_signal_stack();
}

[[noreturn]] void end_program(const char* what) noexcept {
  const job* const running = current_job();
  std::fprintf(stderr, "weft: fiber %llu '%s': %s\n",
               running != nullptr ? static_cast<unsigned long long>(running->id()) : 0,
               running != nullptr ? running->name() : "", what);
  std::abort();
}

}  // namespace

// --- the fiber ------------------------------------------------------------------------------------

WEFT_NOINLINE fiber* fiber::running() noexcept {
  asm volatile("");
  return this_threads.running;
}

fiber::fiber(stack on, std::size_t usable, root_job& owner, const fiber_calls& calls) noexcept
    : context_(on.low(), usable, &main, this), stack_(on), owner_(owner), calls_(calls) {}

/// In a handler, on a stack for handlers.
void fiber::tell_of_overflow(const void* address) noexcept {
  const fiber* const here = running();
  if (here == nullptr) return;
  const auto found = fiber_stacks::find_guard(address);
  if (!found || found->low() != here->stack_.low()) return;
  char number[21];
  const auto decimal = [&number](std::uint64_t n) noexcept {
    char* at = number + sizeof(number) - 1;
    *at = '\0';
    do {
      *--at = static_cast<char>('0' + n % 10);
      n /= 10;
    } while (n != 0);
    return at;
  };
  os::write_from_handler("weft: fiber ");
  os::write_from_handler(decimal(here->owner_.id()));
  os::write_from_handler(" '");
  os::write_from_handler(here->owner_.name());
  os::write_from_handler("' ran over the end of its stack of ");
  os::write_from_handler(decimal(here->stack_.bytes() >> 10));
  os::write_from_handler(
      " KiB: give it more by go(spawn_options{.stack = ...}, f) or runtime_options::fiber_stack, "
      "or "
      "keep large objects off it\n");
}

fiber& fiber::make(std::size_t stack_bytes, root_job& owner, const fiber_calls& calls) {
  [[maybe_unused]] static const bool told = (os::tell_of_faults(&tell_of_overflow), true);
  const auto on = fiber_stacks::take(stack_bytes);
  if (!on) throw std::bad_alloc();
  constexpr std::size_t own_bytes = (sizeof(fiber) + cache_line - 1) / cache_line * cache_line;
  const std::size_t usable = (on->bytes() - own_bytes) & ~(cache_line - 1);
  return *::new (static_cast<void*>(on->low() + usable)) fiber(*on, usable, owner, calls);
}

void fiber::give_back(fiber& over) noexcept {
  const stack free = over.stack_;
  over.~fiber();
  if (WEFT_UNLIKELY(this_threads.ended++ % depth_noted_every == 0)) fiber_stacks::note_depth(free);
  fiber_stacks::give(free);
}

context& fiber::main(void* self) {
  auto& mine = *static_cast<fiber*>(self);
  mine.calls_.run(mine.owner_);
  return *mine.thread_;
}

WEFT_ALWAYS_INLINE std::coroutine_handle<> fiber::go_on() noexcept {
  of_thread& thread = this_threads;  // I3
  if (WEFT_UNLIKELY(!thread.own.is_known())) get_ready(thread);
  context here(thread.own);
  thread_ = &here;  // I1
  fiber* const outer = std::exchange(thread.running, this);
  if (WEFT_UNLIKELY(regions_ != 0)) open_to_signals(true);
  context::switch_to(here, context_);
  thread.running = outer;
  if (WEFT_UNLIKELY(regions_ != 0)) open_to_signals(false);
  if (WEFT_LIKELY(!context_.is_over())) return std::exchange(begins_, nullptr)->begin();  // I2
  root_job& ended = owner_;
  const fiber_calls& calls = calls_;
  give_back(*this);
  return calls.end(ended);
}

WEFT_ALWAYS_INLINE void fiber::wait_in(fiber_wait& w) noexcept {
  begins_ = &w;
  context::switch_to(context_, *thread_);
}

void fiber::unwind() {
  if (unwinding_) {
    end_program(
        "awaits after it was stopped. Either catch (...) kept the exception of the stop, which it "
        "must rethrow, or a destructor awaits: in a shield_scope it may");
  }
  unwinding_ = true;
  throw fiber_stop();
}

void fiber_stop::was_swallowed() noexcept {
  end_program(
      "was stopped, and a catch (...) did not rethrow what it caught: end such a handler with "
      "`throw;`, or await(catch_stop(op)) where the stop is to be seen");
}

fiber& make_fiber(std::size_t stack_bytes, root_job& owner, const fiber_calls& calls) {
  return fiber::make(stack_bytes, owner, calls);
}
std::coroutine_handle<> begin_fiber(fiber& ready) noexcept { return ready.go_on(); }
void discard_fiber(fiber& unused) noexcept { fiber::give_back(unused); }

void assert_stop_not_swallowed(const fiber& running, bool stopped) noexcept {
  if (WEFT_LIKELY(running.is_unwinding() == stopped)) return;
  end_program(
      "was stopped, and a catch (...) kept the exception of the stop: end such a handler with "
      "`throw;`, or await(catch_stop(op)) where the stop is to be seen");
}

void was_ended_by_force() noexcept {
  end_program(
      "was left by what is no C++ exception: a thread was ended (pthread_exit, pthread_cancel) in "
      "the middle of it; return from the fiber's function instead, and end threads outside of "
      "fibers");
}

// --- its await ------------------------------------------------------------------------------------

WEFT_NOINLINE fiber_wait::fiber_wait(fiber& waiting, void* awaiter, starter start) noexcept
    : fiber_(waiting), awaiter_(awaiter), start_(start) {
  promise_base& as_waiter = this->promise();
  as_waiter.attach(static_cast<boundary&>(*this), waiting.owner());
}

WEFT_NOINLINE void fiber_wait::suspend() {
  fiber_.wait_in(*this);
  if (WEFT_UNLIKELY(thrown_ != nullptr)) std::rethrow_exception(std::move(thrown_));
  if (WEFT_UNLIKELY(this->stopped())) fiber_.unwind();
}

std::coroutine_handle<> fiber_wait::begin() noexcept {
  const std::coroutine_handle<relay_promise> me = base::handle();
  try {
    return start_(awaiter_, me);
  } catch (...) {  // it does not wait then
    thrown_ = std::current_exception();
    return me;
  }
}

WEFT_ALWAYS_INLINE std::coroutine_handle<> fiber_wait::resumed() noexcept { return fiber_.go_on(); }

WEFT_NOINLINE fiber& this_fiber() noexcept {
  fiber* const here = fiber::running();
  job* const running = current_job();
  if (WEFT_LIKELY(here != nullptr && &here->owner() == running)) return *here;
  WEFT_ASSERT(running == nullptr,
              "weft::await() was called in a job that is no fiber, or in a coroutine that a fiber "
              "awaits: co_await it, or start the function by weft::go()");
  WEFT_ASSERT(
      running != nullptr,
      "weft::await() was called in a plain thread: use weft::block_on or runtime::block_on");
  std::abort();
}

// --- regions --------------------------------------------------------------------------------------

namespace {

/// The turn that was taken away. A stop is not looked at: whoever is in the middle of a computation could do
/// nothing with it.
class preempted final : public awaitable_operation<preempted> {
 public:
  preempted() noexcept {}
  std::coroutine_handle<> start(promise_base& waiter) noexcept {
    job& owner = *waiter.owner();
    if (owner.home().goes_on(owner)) return waiter.handle();
    owner.yield_in(*this, waiter);
    return std::noop_coroutine();
  }
  void withdraw() noexcept override {}
  const char* what() const noexcept override { return "preempted"; }
  void await_resume() const noexcept {}
};

// As I3: errno is thread-local.
WEFT_NOINLINE int errno_here() noexcept {
  asm volatile("");
  return errno;
}
WEFT_NOINLINE void set_errno_here(int number) noexcept {
  asm volatile("");
  errno = number;
}

}  // namespace

/// In a handler.
stack_bounds fiber::to_give_way() noexcept {
  const fiber* const here = running();
  const thread_state& mine = this_thread_state();
  // A job that a fiber runs in a loop of its own, on its own stack, is not the fiber.
  if (here == nullptr || here->regions_ == 0 || &here->owner_ != mine.running) return {};
  if (mine.port == nullptr || !mine.port->current_turn.is_to_end()) return {};
  return {here->stack_.low(), reinterpret_cast<const std::byte*>(here)};
}

/// Below an interrupted function, which knows nothing of it: not even errno may change.
void fiber::give_way() noexcept {
  const int kept = errno_here();
  preempted turn;
  await_in_fiber(turn);
  set_errno_here(kept);
}

WEFT_NOINLINE void fiber::open_to_signals(bool open) noexcept {
  asm volatile("");
  fork_port* const port = this_thread_state().port;
  if (port == nullptr) return;  // a thread that is no worker has no turns
  if (!open) return port->current_turn.open_to_signals(0);
  of_thread& mine = this_threads;
  const std::uint32_t process = os::fork_generation();
  if (WEFT_UNLIKELY(mine.number == 0 || mine.number_is_of != process)) {
    mine.number = os::current_thread_id();
    mine.number_is_of = process;
    preemption::open_this_thread();
  }
  port->current_turn.open_to_signals(mine.number);
}

void fiber::enter_region() noexcept {
  static constexpr preempt_calls calls{&to_give_way, &give_way};
  static const bool by_signal = preemption::use(calls);
  if (by_signal && regions_++ == 0) open_to_signals(true);
}

void fiber::leave_region() noexcept {
  if (regions_ != 0 && --regions_ == 0) open_to_signals(false);
}

preemptible_region::preemptible_region() noexcept
    : of_(this_task::in_fiber() ? fiber::running() : nullptr) {
  if (of_ != nullptr) of_->enter_region();
}
preemptible_region::~preemptible_region() {
  if (of_ != nullptr) of_->leave_region();
}

// --- where it belongs -----------------------------------------------------------------------------

namespace {
constexpr std::size_t usual_stack_bytes = runtime_options().fiber_stack;
}

fiber_plan plan_fiber(const spawn_options& options) noexcept {
  job* const running = current_job();
  WEFT_ASSERT(running != nullptr,
              "weft::go was called outside of a job; use runtime::go on this thread");
  if (worker* const w = current_worker()) return plan_fiber(w->core(), options);
  return {running->home(), options.stack != 0 ? options.stack : usual_stack_bytes, any_worker};
}

fiber_plan plan_fiber(runtime_core& core, const spawn_options& options) noexcept {
  const bool placed = options.migrates || options.worker != any_worker;
  return {core, options.stack != 0 ? options.stack : core.fiber_stack(),
          placed ? any_worker : core.home_of_new()};
}

}  // namespace weft::detail

namespace weft::this_task {

WEFT_NOINLINE bool in_fiber() noexcept {
  const detail::fiber* const here = detail::fiber::running();
  return here != nullptr && &here->owner() == current_job();
}

WEFT_NOINLINE std::size_t stack_high_watermark() noexcept {
  return in_fiber() ? detail::fiber::running()->on().high_watermark() : 0;
}

}  // namespace weft::this_task
