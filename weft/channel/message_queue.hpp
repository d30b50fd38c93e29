// message_queue: a queue of fixed size between any number of writers and readers, which says what is to
// happen when it is full, and keeps books.
//
//   message_queue<event> log(1024, overflow::drop_oldest);
//   log.try_send(e);                            // from any thread, of a runtime or not
//   const auto got = co_await log.recv();       // or block_on(log.recv()), or log.try_recv()
//   const auto books = log.stats();             // books.dropped
//
//   Fairness  first come, first served, on both sides; nobody overtakes a waiting writer
//   Threads   any. It must outlive all calls, and who waits; it is used by reference
//   Cost      a send or receive that need not wait: a spin lock, held for a move of T (two, where the
//             oldest is dropped). Otherwise one wait and one wake; the value goes to the reader directly
//   Cancel    a send that is stopped has sent nothing, a receive that is stopped has received nothing
//   Budget    what need not wait spends some
//   Memory    the slots, made at once, for as long as it lives. Nothing for a message or a wait
//   Closing   by close(): nothing goes in any more, and who waits to send has the value back. Readers get
//             what is in line, then nullopt
//   T         its move must not throw; it is made under the lock, and must not use the same queue
//   Protocol  below, at message_queue
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "weft/base/assert.hpp"
#include "weft/channel/message_ring.hpp"
#include "weft/channel/news.hpp"
#include "weft/channel/send_result.hpp"

namespace weft {

/// What a send to a full message_queue does.
enum class overflow : std::uint8_t {
  drop_oldest,   // destroys the message that is next in line, and counts it
  block_writer,  // waits; try_send() gives the value back
  fail,          // gives the value back: send_status::full
};

/// The books: at every moment enqueued == dequeued + dropped + size.
struct message_queue_stats {
  std::uint64_t enqueued = 0;    // sent, those that went to a waiting reader directly included
  std::uint64_t dequeued = 0;    // received
  std::uint64_t dropped = 0;     // by overflow::drop_oldest
  std::uint64_t high_water = 0;  // most messages that were in line at a time
  std::uint64_t size = 0;        // in line now
  friend bool operator==(const message_queue_stats&, const message_queue_stats&) = default;
};

// Protocol
//
// Everything is under lock_.
//
//   I1  Readers wait only if no message is in line (and no writer waits, as then it is full).
//   I2  Writers wait only if it is full, not closed, and the policy is block_writer.
//   I3  Who looks for messages (readable()) waits only if none is in line and it is not closed; it joined
//       the line at `appended_` messages, which grows with each that is put in line. Who puts the first
//       one in line wakes those.
//   I4  After closing nothing goes in, and nobody begins to wait but readers' looks, which end at once.
//   I5  The books change in the hold of the lock in which the message moves.
template <class T>
class message_queue {
  class receiving : public detail::line_waiter {
   public:
    explicit receiving(message_queue& q) noexcept : line_waiter(q.lock_), queue(q) {}
    bool await_ready() noexcept { return may_try_now() && queue.take_now(got) != taken::empty; }
    std::coroutine_handle<> start(promise_base& who) noexcept {
      return wait_in_line(
          who,
          [this](detail::line_waiter*& woken) -> detail::line_of_waiters* {
            return queue.take(got, woken) == taken::empty ? &queue.readers_ : nullptr;
          },
          [this](const detail::claiming_job&) -> detail::line_of_waiters* {
            return queue.readable_or_closed() ? nullptr : &queue.readers_;
          });
    }
    const char* what() const noexcept override { return "message_queue::recv"; }
    message_queue& queue;
    std::optional<T> got;

   protected:
    ~receiving() = default;
  };
  class sending : public detail::line_waiter {
   public:
    sending(message_queue& q, T& v) noexcept : line_waiter(q.lock_), queue(q), value(v) {}
    bool await_ready() noexcept {
      if (!may_try_now()) return false;
      status = queue.try_send_from(value);
      return status != send_status::full || queue.policy_ == overflow::fail;
    }
    std::coroutine_handle<> start(promise_base& who) noexcept {
      std::optional<T> lost;  // destroyed after the lock
      change then;
      const auto look = [&](detail::line_waiter*& woken) -> detail::line_of_waiters* {
        status = queue.put(value, lost, then);
        woken = then.reader;
        const bool waits = status == send_status::full && queue.policy_ == overflow::block_writer;
        return waits ? &queue.writers_ : nullptr;
      };
      const auto peek = [&](const detail::claiming_job&) -> detail::line_of_waiters* {
        const bool waits = !queue.closed_ && queue.messages_.count() == queue.capacity_ &&
                           queue.policy_ == overflow::block_writer;
        return waits ? &queue.writers_ : nullptr;
      };
      return wait_in_line(who, look, peek, [&]() noexcept {
        if (then.readable) queue.wake_lookers();
      });
    }
    const char* what() const noexcept override { return "message_queue::send"; }
    message_queue& queue;
    T& value;
    send_status status = send_status::full;

   protected:
    ~sending() = default;
  };
  class looking : public detail::numbered_waiter {
   public:
    explicit looking(message_queue& q) noexcept : numbered_waiter(q.lock_), queue(q) {}
    bool await_ready() noexcept {
      if (!may_try_now()) return false;
      const detail::patient_guard guard(queue.lock_);
      return queue.readable_or_closed();
    }
    std::coroutine_handle<> start(promise_base& who) noexcept {
      const auto line = [this]() -> detail::line_of_waiters* {
        if (queue.readable_or_closed()) return nullptr;
        return this->join(queue.lookers_, queue.appended_.get());
      };
      return this->wait_in_line(
          who, [&](detail::line_waiter*&) { return line(); },
          [&](const detail::claiming_job&) { return line(); });
    }
    const char* what() const noexcept override { return "message_queue::readable"; }
    message_queue& queue;

   protected:
    ~looking() = default;
  };

 public:
  class recv_operation;
  class recv_many_operation;
  class send_operation;
  class send_from_operation;
  class readable_operation;

  /// At least 1. Errors: std::bad_alloc.
  explicit message_queue(std::size_t capacity, overflow when_full = overflow::block_writer)
      : capacity_(capacity), policy_(when_full), messages_(checked(capacity)) {}
  message_queue(const message_queue&) = delete;
  message_queue& operator=(const message_queue&) = delete;
  /// Destroys what is in line. Nobody may wait.
  ~message_queue() = default;

  /// `co_await`: puts it in line, or does what the policy says.
  /// Result: true, or the value back: full (policy `fail` only) or closed.
  /// Cancel: the value is destroyed with the operation, unsent; send_from() keeps it.
  [[nodiscard("co_await it")]] send_operation send(T value) noexcept WEFT_LIFETIMEBOUND {
    return send_operation(*this, std::move(value));
  }
  /// As send(), but `value` stays the caller's, and where it is, until it is sent.
  [[nodiscard("co_await it")]] send_from_operation send_from(T& value WEFT_LIFETIMEBOUND) noexcept
      WEFT_LIFETIMEBOUND {
    return send_from_operation(*this, value);
  }
  /// Never waits: as send(), with policy block_writer as with `fail`.
  send_result<T> try_send(T value) noexcept {
    const send_status s = try_send_from(value);
    return s == send_status::sent ? send_result<T>() : send_result<T>(s, std::move(value));
  }
  /// As try_send(); unless it was sent, `value` is as it was.
  [[nodiscard]] send_status try_send_from(T& value) noexcept {
    std::optional<T> lost;  // destroyed last
    change then;
    send_status s = {};
    {
      const detail::patient_guard guard(lock_);
      s = put(value, lost, then);
    }
    if (then.reader != nullptr) then.reader->wake();
    if (then.readable) wake_lookers();
    return s;
  }

  /// `co_await`: the oldest message. Result: nullopt: closed, and there will be none.
  [[nodiscard("co_await it")]] recv_operation recv() noexcept WEFT_LIFETIMEBOUND {
    return recv_operation(*this);
  }
  /// `co_await`: waits for a message, then appends it and what else is in line to `out`, at most `max`.
  /// Result: how many; 0: closed, and there will be none, or `max` is 0. Errors: std::bad_alloc, at once.
  [[nodiscard("co_await it")]] recv_many_operation recv_many(std::vector<T>& out WEFT_LIFETIMEBOUND,
                                                             std::size_t max) WEFT_LIFETIMEBOUND {
    const std::size_t most = std::min(max, capacity_ + 1);  // before anything is taken
    if (out.capacity() - out.size() < most) {
      out.reserve(std::max(out.size() + most, 2 * out.capacity()));
    }
    return recv_many_operation(*this, out, most);
  }
  /// Never waits. Result: nullopt: there is nothing now.
  [[nodiscard]] std::optional<T> try_recv() noexcept {
    std::optional<T> got;
    static_cast<void>(take_now(got));
    return got;
  }
  /// `co_await`: waits until a message is in line, and takes nothing. All that wait so are woken.
  /// Result: false: closed, and there will be none. Where there are other readers, one of them may have
  /// taken it meanwhile: look with try_recv().
  [[nodiscard("co_await it")]] readable_operation readable() noexcept WEFT_LIFETIMEBOUND {
    return readable_operation(*this);
  }

  /// What is in line can still be received.
  void close() noexcept {
    {
      const detail::patient_guard guard(lock_);
      closed_ = true;
    }
    const auto nothing = [](detail::line_waiter&) noexcept {};
    detail::wake_line(lock_, readers_, nothing);
    detail::wake_line(lock_, lookers_, nothing);
    detail::wake_line(lock_, writers_, [](detail::line_waiter& w) noexcept {
      static_cast<sending&>(w).status = send_status::closed;
    });
  }
  /// A moment's truth, except for `true`.
  bool closed() noexcept {
    const detail::patient_guard guard(lock_);
    return closed_;
  }
  /// Of one moment.
  [[nodiscard]] message_queue_stats stats() noexcept {
    const detail::patient_guard guard(lock_);
    message_queue_stats now = books_;
    now.size = messages_.count();
    return now;
  }
  /// Messages in line; a moment's truth.
  std::size_t size() noexcept { return stats().size; }
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  enum class taken : std::uint8_t { got, empty, drained };
  /// What a send has to do after the lock.
  struct change {
    detail::line_waiter* reader = nullptr;  // has the message: wake it
    bool readable = false;                  // somebody waits for one to be in line
  };

  static std::size_t checked(std::size_t capacity) {
    detail::require_message<T>();
    WEFT_ASSERT(capacity != 0 && capacity <= detail::message_ring<T>::no_limit / 4,
                "a message_queue holds at least one message, and not more than fit into memory");
    return capacity;
  }

  // Under the lock.
  bool readable_or_closed() const noexcept { return messages_.count() != 0 || closed_; }
  send_status put(T& value, std::optional<T>& lost, change& then) noexcept {
    if (WEFT_MUTATE("message_queue.put.sees_no_closing", closed_, false)) {
      return send_status::closed;
    }
    if (WEFT_MUTATE("message_queue.put.sees_no_reader", !readers_.empty(), false)) {
      if (auto* const r = static_cast<receiving*>(detail::take_first(readers_))) {
        r->got.emplace(std::move(value));
        then.reader = r;
        ++books_.enqueued;
        ++books_.dequeued;
        return send_status::sent;
      }
    }
    if (messages_.count() == capacity_) {
      if (policy_ != overflow::drop_oldest) return send_status::full;
      messages_.pop([&](T&& oldest) noexcept { lost.emplace(std::move(oldest)); });
      ++books_.dropped;
    }
    append(value);
    then.readable = WEFT_MUTATE("message_queue.put.sees_no_looker", !lookers_.empty(), false);
    return send_status::sent;
  }
  void append(T& value) noexcept {
    const bool pushed = messages_.push(std::move(value));
    WEFT_ASSERT(pushed, "a message_queue has a slot for each message that it takes");
    appended_.set(appended_.get() + 1);
    ++books_.enqueued;
    books_.high_water = std::max<std::uint64_t>(books_.high_water, messages_.count());
  }
  taken take(std::optional<T>& got, detail::line_waiter*& woken) noexcept {
    if (messages_.count() == 0) return closed_ ? taken::drained : taken::empty;
    messages_.pop([&](T&& v) noexcept { got.emplace(std::move(v)); });
    ++books_.dequeued;
    if (WEFT_MUTATE("message_queue.take.lets_nobody_in", !writers_.empty(), false)) {
      if (auto* const s = static_cast<sending*>(detail::take_first(writers_))) {
        append(s->value);
        s->status = send_status::sent;
        woken = s;
      }
    }
    return taken::got;
  }

  // Not under the lock.
  taken take_now(std::optional<T>& got) noexcept {
    detail::line_waiter* woken = nullptr;
    taken t = {};
    {
      const detail::patient_guard guard(lock_);
      t = take(got, woken);
    }
    if (woken != nullptr) woken->wake();
    return t;
  }
  std::size_t take_many_now(std::vector<T>& out, std::size_t max) noexcept {
    std::optional<T> got;
    std::size_t n = 0;
    for (; n < max && take_now(got) == taken::got; ++n) out.push_back(std::move(*got));
    return n;
  }
  void wake_lookers() noexcept { detail::wake_older(lock_, lookers_, appended_); }

  spin_lock lock_;
  bool closed_ = false;
  const std::size_t capacity_;
  const overflow policy_;
  plain<std::uint64_t> appended_{0};
  message_queue_stats books_;
  detail::message_ring<T> messages_;
  detail::line_of_waiters readers_, writers_, lookers_;
};

template <class T>
class message_queue<T>::recv_operation final
    : public awaitable_operation<recv_operation, receiving> {
 public:
  explicit recv_operation(message_queue& q) noexcept
      : awaitable_operation<recv_operation, receiving>(q) {}
  bool await_ready() noexcept { return receiving::await_ready(); }
  std::optional<T> await_resume() noexcept { return std::move(this->got); }
};

template <class T>
class message_queue<T>::recv_many_operation final
    : public awaitable_operation<recv_many_operation, receiving> {
 public:
  recv_many_operation(message_queue& q, std::vector<T>& out, std::size_t max) noexcept
      : awaitable_operation<recv_many_operation, receiving>(q), out_(out), max_(max) {}
  bool await_ready() noexcept { return max_ == 0 || receiving::await_ready(); }
  std::size_t await_resume() noexcept {
    if (!this->got) return 0;
    out_.push_back(std::move(*this->got));  // there is room: see recv_many()
    return 1 + this->queue.take_many_now(out_, max_ - 1);
  }

 private:
  std::vector<T>& out_;
  const std::size_t max_;
};

/// The value is in the operation, and comes back with a refusal.
template <class T>
class message_queue<T>::send_operation final : public awaitable_operation<send_operation, sending> {
 public:
  send_operation(message_queue& q, T&& value) noexcept
      : awaitable_operation<send_operation, sending>(q, mine_), mine_(std::move(value)) {}
  bool await_ready() noexcept { return sending::await_ready(); }
  send_result<T> await_resume() noexcept {
    return this->status == send_status::sent ? send_result<T>()
                                             : send_result<T>(this->status, std::move(mine_));
  }

 private:
  T mine_;
};

template <class T>
class message_queue<T>::send_from_operation final
    : public awaitable_operation<send_from_operation, sending> {
 public:
  send_from_operation(message_queue& q, T& value) noexcept
      : awaitable_operation<send_from_operation, sending>(q, value) {}
  bool await_ready() noexcept { return sending::await_ready(); }
  send_status await_resume() noexcept { return this->status; }
};

template <class T>
class message_queue<T>::readable_operation final
    : public awaitable_operation<readable_operation, looking> {
 public:
  explicit readable_operation(message_queue& q) noexcept
      : awaitable_operation<readable_operation, looking>(q) {}
  bool await_ready() noexcept { return looking::await_ready(); }
  bool await_resume() noexcept {
    const detail::patient_guard guard(this->queue.lock_);
    return this->queue.messages_.count() != 0 || !this->queue.closed_;
  }
};

}  // namespace weft
