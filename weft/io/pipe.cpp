// Protocol
//
// Everything is under lock_, but the count of ends.
//
//   I1  Readers wait only if no byte is in it and the writer has not shut down.
//   I2  Writers wait only if bytes are in it, and the reader is there. (Each read that makes room lets in
//       the first of them, so after a read there are bytes in it again, or nobody waits to write.)
//   I3  A writer comes in behind those that wait.
//   I4  After closing nobody begins to wait.
//
// So no wake is lost: who changes what another waits for takes that one out of its line in the same hold.
//
// Orderings
//   P1  an end goes: fetch_sub (release)  ->  the last one (acquire): its accesses, before it is freed
//
// What was copied into a reader's memory, or out of a writer's, was copied under the lock by who took it out
// of the line: a stopper finds it taken, and leaves it alone. See line.cpp.
//
// Rejected: to wait in turns on two semaphores of bytes: a stop between the permit and the copy would have
// to give back, and two lines have two locks.
#include "weft/io/pipe.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "weft/base/assert.hpp"

namespace weft::io {
namespace detail {

using weft::detail::claiming_job;
using weft::detail::line_of_waiters;
using weft::detail::line_waiter;
using weft::detail::others_wait;
using weft::detail::patient_guard;
using weft::detail::take_first;
using weft::detail::wake_line;

class pipe_core {
 public:
  explicit pipe_core(std::size_t capacity)
      : capacity_(capacity), bytes_(std::make_unique_for_overwrite<std::byte[]>(capacity)) {}

  spin_lock& lock() noexcept { return lock_; }

  // Under the lock. The line to wait in, or nullptr: done, and `woken` is to be woken.
  line_of_waiters* read(pipe_reading& r, line_waiter*& woken) noexcept {
    if (reader_gone_.get()) return end(r, pipe_transfer::end::closed);
    if (count_.get() == 0)
      return WEFT_MUTATE("pipe.read.sees_no_end", writer_gone_.get(), false) ? nullptr
                                                                             : &readers_;  // I1
    r.moved_ = take(r.to_, std::min(r.size_, pipe_piece_max));
    if (WEFT_MUTATE("pipe.read.lets_nobody_in", writers_.empty(), true)) return nullptr;
    if (auto* const w = static_cast<pipe_writing*>(take_first(writers_))) {  // I2
      w->moved_ = put(w->from_, w->size_);
      woken = w;
    }
    return nullptr;
  }
  line_of_waiters* write(pipe_writing& w, line_waiter*& woken) noexcept {
    if (reader_gone_.get() || writer_gone_.get()) return end(w, pipe_transfer::end::broken);
    if (!writers_.empty() || count_.get() == capacity_) return &writers_;  // I3
    std::size_t direct = 0;
    auto* const r = WEFT_MUTATE("pipe.write.sees_no_reader", true, false)
                        ? static_cast<pipe_reading*>(take_first(readers_))
                        : nullptr;
    if (r != nullptr) {
      direct = std::min({r->size_, w.size_, pipe_piece_max});
      std::memcpy(r->to_, w.from_, direct);
      r->moved_ = direct;
      woken = r;
    }
    // While another waits to read, nothing may lie there: I1.
    const bool keeps = readers_.empty();
    w.moved_ =
        direct + (keeps ? put(w.from_ + direct, std::min(w.size_, pipe_piece_max) - direct) : 0);
    return nullptr;
  }
  // For a select, without effect: where it would wait.
  line_of_waiters* line_to_read(const claiming_job&) noexcept {
    return reader_gone_.get() || writer_gone_.get() || count_.get() != 0 ? nullptr : &readers_;
  }
  line_of_waiters* line_to_write(const claiming_job& me) noexcept {
    if (reader_gone_.get() || writer_gone_.get()) return nullptr;
    return count_.get() == capacity_ || others_wait(writers_, me) ? &writers_ : nullptr;
  }

  bool read_now(pipe_reading& r) noexcept {
    return now([&](line_waiter*& woken) { return read(r, woken); });
  }
  bool write_now(pipe_writing& w) noexcept {
    return now([&](line_waiter*& woken) { return write(w, woken); });
  }

  void close_reader() noexcept {
    {
      const patient_guard guard(lock_);
      reader_gone_.set(true);
      count_.set(0);
    }
    wake_line(lock_, writers_, [](line_waiter& w) noexcept {
      static_cast<pipe_writing&>(w).end_ = pipe_transfer::end::broken;
    });
    wake_line(lock_, readers_, [](line_waiter& r) noexcept {
      static_cast<pipe_reading&>(r).end_ = pipe_transfer::end::closed;
    });
  }
  void close_writer() noexcept {
    {
      const patient_guard guard(lock_);
      writer_gone_.set(true);
    }
    wake_line(lock_, readers_, [](line_waiter&) noexcept {});  // moved_ is 0: the end
    wake_line(lock_, writers_, [](line_waiter& w) noexcept {
      static_cast<pipe_writing&>(w).end_ = pipe_transfer::end::broken;
    });
  }
  std::size_t size() noexcept {
    const patient_guard guard(lock_);
    return count_.get();
  }
  static void leave(pipe_core* core) noexcept {
    if (core->ends_.fetch_sub(
            1, WEFT_MUTATE("pipe.leave.relaxed", order::acq_rel, order::relaxed)) == 1)
      delete core;  // P1
  }

 private:
  template <class Transfer>
  static line_of_waiters* end(Transfer& t, pipe_transfer::end how) noexcept {
    t.end_ = how;
    return nullptr;
  }
  template <class Look>
  bool now(Look look) noexcept {
    line_waiter* woken = nullptr;
    bool done = false;
    {
      const patient_guard guard(lock_);
      done = look(woken) == nullptr;
    }
    if (woken != nullptr) woken->wake();
    return done;
  }
  std::size_t take(std::byte* to, std::size_t most) noexcept {
    const std::size_t n = std::min(most, count_.get());
    const std::size_t first = std::min(n, capacity_ - head_);
    std::memcpy(to, bytes_.get() + head_, first);
    if (n != first) std::memcpy(to + first, bytes_.get(), n - first);
    head_ = head_ + n < capacity_ ? head_ + n : head_ + n - capacity_;
    count_.set(count_.get() - n);
    if (count_.get() == 0) head_ = 0;
    return n;
  }
  std::size_t put(const std::byte* from, std::size_t size) noexcept {
    const std::size_t n = std::min({size, capacity_ - count_.get(), pipe_piece_max});
    if (n == 0) return 0;
    const std::size_t tail = (head_ + count_.get()) % capacity_;
    const std::size_t first = std::min(n, capacity_ - tail);
    std::memcpy(bytes_.get() + tail, from, first);
    if (n != first) std::memcpy(bytes_.get(), from + first, n - first);
    count_.set(count_.get() + n);
    return n;
  }

  spin_lock lock_;
  plain<bool> reader_gone_{false};
  plain<bool> writer_gone_{false};
  const std::size_t capacity_;
  std::size_t head_ = 0;
  plain<std::size_t> count_{0};
  line_of_waiters readers_, writers_;
  const std::unique_ptr<std::byte[]> bytes_;
  atomic<std::uint8_t> ends_{2};
};

pipe_transfer::pipe_transfer(pipe_core& core, std::size_t size) noexcept
    : line_waiter(core.lock()), core_(core), size_(size) {}

result<std::size_t> pipe_transfer::outcome() const noexcept {
  switch (end_) {
    case end::fine:
      break;
    case end::closed:
      return std::unexpected(make_error_code(errc::closed));
    case end::broken:
      return std::unexpected(std::make_error_code(std::errc::broken_pipe));
  }
  return moved_;
}

bool pipe_reading::await_ready() noexcept {
  return size_ == 0 || (may_try_now() && core_.read_now(*this));
}
std::coroutine_handle<> pipe_reading::start(promise_base& who) noexcept {
  return wait_in_line(
      who, [this](line_waiter*& woken) { return core_.read(*this, woken); },
      [this](const claiming_job& me) { return core_.line_to_read(me); });
}
bool pipe_writing::await_ready() noexcept {
  return size_ == 0 || (may_try_now() && core_.write_now(*this));
}
std::coroutine_handle<> pipe_writing::start(promise_base& who) noexcept {
  return wait_in_line(
      who, [this](line_waiter*& woken) { return core_.write(*this, woken); },
      [this](const claiming_job& me) { return core_.line_to_write(me); });
}

}  // namespace detail

pipe_ends pipe(std::size_t capacity) {
  WEFT_ASSERT(capacity != 0, "a pipe holds at least one byte");
  auto* const core = new detail::pipe_core(capacity);
  return pipe_ends{pipe_reader(*core), pipe_writer(*core)};
}

pipe_reader& pipe_reader::operator=(pipe_reader&& other) noexcept {
  if (this != &other) {
    release();
    core_ = std::exchange(other.core_, nullptr);
  }
  return *this;
}
pipe_read_operation pipe_reader::read_some(std::span<std::byte> to) {
  WEFT_ASSERT(core_ != nullptr, "a pipe_reader that was moved from reads nothing");
  return pipe_read_operation(*core_, to);
}
void pipe_reader::close() noexcept {
  if (core_ != nullptr) core_->close_reader();
}
std::size_t pipe_reader::size() const noexcept { return core_ != nullptr ? core_->size() : 0; }
void pipe_reader::release() noexcept {
  if (core_ == nullptr) return;
  core_->close_reader();
  detail::pipe_core::leave(std::exchange(core_, nullptr));
}

pipe_writer& pipe_writer::operator=(pipe_writer&& other) noexcept {
  if (this != &other) {
    release();
    core_ = std::exchange(other.core_, nullptr);
  }
  return *this;
}
pipe_write_operation pipe_writer::write_some(std::span<const std::byte> from) {
  WEFT_ASSERT(core_ != nullptr, "a pipe_writer that was moved from writes nothing");
  return pipe_write_operation(*core_, from);
}
result<void> pipe_writer::shutdown_write() noexcept {
  if (core_ != nullptr) core_->close_writer();
  return {};
}
void pipe_writer::release() noexcept {
  if (core_ == nullptr) return;
  core_->close_writer();
  detail::pipe_core::leave(std::exchange(core_, nullptr));
}

}  // namespace weft::io
