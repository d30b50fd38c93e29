#include <pthread.h>
#include <sched.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/atomic.hpp"
#include "weft/base/census.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/os/error.hpp"
#include "weft/os/memory.hpp"
#include "weft/os/thread.hpp"

namespace weft {

void spin_wait_yield() noexcept { ::sched_yield(); }

namespace os {
namespace {

constexpr std::size_t name_bytes_max = 16;  // with the final NUL: what pthread_setname_np takes

struct beginning {
  void (*entry)(void*);
  void* argument;
  char name[name_bytes_max];
};

void copy_name(char (&to)[name_bytes_max], std::string_view name) noexcept {
  const std::size_t n = name.size() < name_bytes_max - 1 ? name.size() : name_bytes_max - 1;
  std::memcpy(to, name.data(), n);
  to[n] = '\0';
}

void* begin(void* raw) {
  const std::unique_ptr<beginning> how(static_cast<beginning*>(raw));
  ::pthread_setname_np(::pthread_self(), how->name);
  how->entry(how->argument);
  return nullptr;
}

/// EAGAIN of pthread_create, told so that it helps; compares equal to the generic code.
class refused_category final : public std::error_category {
 public:
  constexpr refused_category() noexcept {}
  const char* name() const noexcept override { return "thread"; }
  std::string message(int) const override {
    return "the system refuses another thread: raise the limit on processes (ulimit -u, "
           "pids.max of the control group, kernel.threads-max) or free memory for its stack";
  }
  std::error_condition default_error_condition(int) const noexcept override {
    return std::errc::resource_unavailable_try_again;
  }
};

/// Never destroyed: its codes may outlive the statics.
union immortal {
  constexpr immortal() noexcept : category() {}
  ~immortal() {}
  refused_category category;
};
constinit const immortal refused_start;

std::error_code why_refused(int number) noexcept {
  return number == EAGAIN ? std::error_code(number, refused_start.category) : from_errno(number);
}

#if WEFT_CENSUS
atomic<std::uint64_t> refusals;  // below: how many; above: after how many good ones

bool refuses_this_start() noexcept {
  constexpr std::uint64_t good_one = std::uint64_t{1} << 32;
  std::uint64_t seen = refusals.load(order::relaxed);
  while (static_cast<std::uint32_t>(seen) != 0) {
    const bool good = seen >= good_one;
    if (refusals.compare_exchange(seen, good ? seen - good_one : seen - 1, order::relaxed,
                                  order::relaxed)) {
      return !good;
    }
  }
  return false;
}
#else
constexpr bool refuses_this_start() noexcept { return false; }
#endif

static_assert(sizeof(pthread_t) <= sizeof(std::uintptr_t));

std::uint64_t as_number(pthread_t handle) noexcept {
  std::uint64_t number = 0;
  std::memcpy(&number, &handle, sizeof handle);
  return number;
}

pthread_t as_handle(std::uint64_t number) noexcept {
  pthread_t handle{};
  std::memcpy(&handle, &number, sizeof handle);
  return handle;
}

}  // namespace

thread::thread(thread&& other) noexcept
    : handle_(std::exchange(other.handle_, 0)), joinable_(std::exchange(other.joinable_, false)) {}

thread& thread::operator=(thread&& other) noexcept {
  WEFT_ASSERT(!joinable_, "a running thread was overwritten; join it first");
  handle_ = std::exchange(other.handle_, 0);
  joinable_ = std::exchange(other.joinable_, false);
  return *this;
}

thread::~thread() { WEFT_ASSERT(!joinable_, "a thread was destroyed without being joined"); }

result<thread> thread::start(std::string_view name, std::size_t stack_bytes, void (*entry)(void*),
                             void* argument) noexcept {
  auto* const how = new (std::nothrow) beginning{entry, argument, {}};
  if (how == nullptr) return std::unexpected(std::make_error_code(std::errc::not_enough_memory));
  copy_name(how->name, name);
  pthread_attr_t attributes;
  ::pthread_attr_init(&attributes);
  int refused = 0;
  if (stack_bytes != 0) {
    const auto least = static_cast<std::size_t>(PTHREAD_STACK_MIN);
    const std::size_t mask = page_size() - 1;
    const std::size_t bytes = ((stack_bytes > least ? stack_bytes : least) + mask) & ~mask;
    refused = ::pthread_attr_setstacksize(&attributes, bytes);
  }
  pthread_t handle{};
  if (refuses_this_start()) refused = EAGAIN;
  if (refused == 0) refused = ::pthread_create(&handle, &attributes, &begin, how);
  ::pthread_attr_destroy(&attributes);
  if (refused != 0) {
    delete how;
    return std::unexpected(why_refused(refused));
  }
  census_add(census_kind::threads, 1);
  thread started;
  started.handle_ = as_number(handle);
  started.joinable_ = true;
  return started;
}

void thread::join() noexcept {
  WEFT_ASSERT(joinable_, "a thread was joined that is not running");
  ::pthread_join(as_handle(handle_), nullptr);
  joinable_ = false;
  census_add(census_kind::threads, -1);
}

#if WEFT_CENSUS
void refuse_thread_starts(std::uint32_t good, std::uint32_t refused) noexcept {
  refusals.store(std::uint64_t{good} << 32 | refused, order::relaxed);
}
#endif

void set_current_thread_name(std::string_view name) noexcept {
  char cut[name_bytes_max];
  copy_name(cut, name);
  ::pthread_setname_np(::pthread_self(), cut);
}

void yield_thread() noexcept { ::sched_yield(); }

}  // namespace os
}  // namespace weft
