// file_request: a call on a file that is awaited. The ring makes it where the driver of this worker has
// one that can; else a thread of the blocking pool does, with the same meaning.
//
//   Cancel   Both ways the await ends only after the kernel, or the thread, has let go of the buffer. A
//            call that had not begun is taken back and had no effect. One that had begun ends, and its
//            result is given: who reads a disk cannot be called off. A `whole` read or write that the
//            ring does in pieces ends between two of them, and says how far it came
//   Errors   invalid_argument: an offset of 2^63 or more, whoever would make the call.
//            resource_unavailable_try_again: the pool was asked, and there is no thread
//   Cost     no allocation; the ring: a wait as of a socket. The pool: a hop there and back
#pragma once

#include <cstdint>
#include <limits>
#include <system_error>

#include "weft/os/file_call.hpp"
#include "weft/runtime/blocking.hpp"
#include "weft/runtime/io_request.hpp"

namespace weft::fs::detail {

class file_request {
 public:
  file_request(const file_request&) = delete;
  file_request& operator=(const file_request&) = delete;
  bool await_ready() const noexcept { return way_ == way::none; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) noexcept {
    static_assert(weft_promise<P>, "files can be awaited in a weft::task only");
    return start(waiter.promise());
  }

 protected:
  explicit file_request(const os::file_call& call, bool whole = false) noexcept
      : call_(call), whole_(whole) {
    // A ring takes the last one for "at the file's position", and would do something else than asked.
    constexpr auto last = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (call.offset > last) answer_is(-static_cast<std::int64_t>(std::errc::invalid_argument));
  }
  ~file_request() = default;
  /// The call is not to be made: its answer is known.
  void answer_is(std::int64_t known) noexcept {
    way_ = way::none;
    pool_.answer = known;
  }

  std::int64_t answer() const noexcept { return way_ == way::ring ? ring_.answer : pool_.answer; }
  /// Bytes that were read or written, also where the answer is an error.
  std::size_t moved() const noexcept { return way_ == way::ring ? ring_.moved : pool_.moved; }
  bool interrupted() const noexcept { return answer() == io::io_operation::answer_interrupted; }
  result<std::size_t> count() const noexcept;
  result<void> success() const noexcept;

 private:
  enum class way : unsigned char { unknown, none, ring, pool };

  class on_ring final : public io::request {
   public:
    on_ring() noexcept {}
    using request::driver_does_file;
    void await_resume() noexcept {}
  };
  class on_pool final : public awaitable_operation<on_pool, weft::detail::blocking_work> {
   public:
    on_pool() noexcept : awaitable_operation(nullptr) {}
    void perform() noexcept override;
    void refuse(std::exception_ptr) noexcept override;

    const os::file_call* call = nullptr;
    std::int64_t answer = 0;
    std::size_t moved = 0;
    bool whole = false;
  };
  std::coroutine_handle<> start(promise_base& waiter) noexcept;

  const os::file_call call_;
  way way_ = way::unknown;
  const bool whole_;
  on_ring ring_;
  on_pool pool_;
};

/// Gives whether it worked.
class plain_request final : public file_request {
 public:
  explicit plain_request(const os::file_call& call) noexcept : file_request(call) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<void> await_resume() noexcept { return success(); }
};

/// Gives a count, or a descriptor.
class count_request final : public file_request {
 public:
  explicit count_request(const os::file_call& call) noexcept : file_request(call) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<std::size_t> await_resume() noexcept { return count(); }
};

/// Gives what the system says of a file. The path outlives the await.
class stat_request final : private os::file_stat, public file_request {
 public:
  stat_request(int file, const char* path, bool follow) noexcept
      : file_request(os::call_to_stat(file, path, follow, *this)) {}
  [[nodiscard(WEFT_RESULT_MESSAGE)]] result<os::file_metadata> await_resume() noexcept {
    const auto done = success();
    if (!done) return std::unexpected(done.error());
    return os::metadata_of(*this);
  }
};

}  // namespace weft::fs::detail
