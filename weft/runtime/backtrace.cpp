#include "weft/runtime/backtrace.hpp"

#include <unwind.h>

#include <cinttypes>
#include <cstdio>

#include "weft/os/symbol.hpp"
#include "weft/runtime/await.hpp"
#include "weft/runtime/fiber.hpp"
#include "weft/task/await_chain.hpp"
#include "weft/task/current.hpp"

namespace weft {

class backtrace_maker final : public detail::await_chain::listener {
 public:
  explicit backtrace_maker(backtrace& to) noexcept : to_(to) {}

  bool coroutine(void* frame) override {
    // The first word of a frame is what resumes it; of one that is suspended, and of one that is about
    // to be, it does not change. Of one that is at its end it is null, and the second is what destroys it.
    void** const words = static_cast<void**>(frame);
    return add(backtrace::kind::coroutine, words[0] != nullptr ? words[0] : words[1]);
  }
  void stack_of_fiber(promise_base& waiting) override {
    detail::fiber_wait::from(waiting).waiting_fiber().visit(&unwind_here, this);
  }
  void end_of(const job& part) override {
    if (part.id() == 0 && *part.name() == '\0')
      return;  // no job of its own: an operand of select()
    backtrace::frame made;
    made.what = backtrace::kind::job;
    made.job_id = part.id();
    made.job_name = part.name();
    to_.frames_.push_back(std::move(made));
  }

  /// The functions on the stack that calls it.
  static void unwind_here(void* self) noexcept { _Unwind_Backtrace(&note_function, self); }
  /// What an unwind could not say by throwing.
  void finish() {
    if (failed_) throw std::bad_alloc();
  }

 private:
  bool add(backtrace::kind what, const void* address) {
    if (count_ == backtrace::frames_max) {
      to_.truncated_ = true;
      return false;
    }
    backtrace::frame made;
    made.what = what;
    made.address = address;
    to_.frames_.push_back(std::move(made));
    ++count_;
    return true;
  }
  static _Unwind_Reason_Code note_function(_Unwind_Context* at, void* self) {
    auto& mine = *static_cast<backtrace_maker*>(self);
    const auto address = _Unwind_GetIP(at);
    if (address == 0) return _URC_END_OF_STACK;
    if (mine.is_own_) {  // unwind_here()
      mine.is_own_ = false;
      return _URC_NO_REASON;
    }
    try {
      // The call, and not what comes after it, which may be another line or function.
      const auto* const call = reinterpret_cast<const char*>(address) - 1;  // NOLINT
      return mine.add(backtrace::kind::function, call) ? _URC_NO_REASON : _URC_END_OF_STACK;
    } catch (...) {  // an unwinder is no place to throw through
      mine.failed_ = true;
      return _URC_END_OF_STACK;
    }
  }

  backtrace& to_;
  std::size_t count_ = 0;
  bool is_own_ = true;
  bool failed_ = false;
};

std::string backtrace::frame::symbol() const {
  return address != nullptr ? os::symbol_at(address).name : std::string();
}

std::string to_string(const backtrace& b) {
  std::string text;
  unsigned number = 0;
  char part[64];
  for (const backtrace::frame& f : b) {
    if (f.what == backtrace::kind::job) {
      std::snprintf(part, sizeof part, "in job %" PRIu64 " '", f.job_id);
      text.append(part).append(f.job_name).append("'\n");
      continue;
    }
    const os::symbol at = os::symbol_at(f.address);
    std::snprintf(part, sizeof part, "#%u %s ", number++,
                  f.what == backtrace::kind::coroutine ? "co_await" : "call");
    text.append(part).append(at.name.empty() ? "?" : at.name).append(" (");
    std::snprintf(part, sizeof part, "+0x%zx)\n", at.offset);
    text.append(at.module.empty() ? "?" : at.module).append(part);
  }
  if (b.truncated()) text.append("and more\n");
  return text;
}

namespace detail {

WEFT_NOINLINE bool backtrace_await::await_ready() {
  if (!this_task::in_fiber()) return false;
  backtrace_maker maker(found_);
  backtrace_maker::unwind_here(&maker);
  maker.finish();
  await_chain::walk_from(*current_job(), maker);
  return true;
}

backtrace backtrace_from(promise_base& innermost) {
  backtrace found;
  backtrace_maker maker(found);
  await_chain::walk(innermost, maker);
  maker.finish();
  return found;
}

backtrace backtrace_from_ended(promise_base& ended, const job& running) {
  backtrace found;
  backtrace_maker maker(found);
  await_chain::walk_from_ended(ended, running, maker);
  maker.finish();
  return found;
}

void backtrace_await::look_from(promise_base& innermost) { found_ = backtrace_from(innermost); }

}  // namespace detail
}  // namespace weft
