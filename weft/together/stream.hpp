// stream: elements that come one after another, made by a coroutine that may wait between them.
//
//   stream<std::string> lines(net::tcp_stream& from) {
//     for (;;) {
//       auto line = co_await read_line(from);
//       if (!line) co_return;
//       co_yield std::move(*line);
//     }
//   }
//   auto all = lines(peer).filter(not_empty).take(10);
//   for (;;) {
//     auto next = co_await all.next();
//     if (!next) break;                        // the end
//     use(*next);
//   }
//
// Lazy: it begins at the first next(), and runs only while a next() is awaited, as a nested call of
// the job that awaits it. Operators are members of rvalues, so a chain reads from left to right, and
// takes what it is made of: stream_operators.hpp; with jobs of their own: stream_beside.hpp.
//
//   Elements   next() gives std::optional<T>; a stream<T&> gives T*, nullptr at its end. co_yield of what
//              has a name is a copy, of other things (co_yield std::move(x)) a move, into what next()
//              gives; of a T& none. What a T* points at lives until the next next()
//   Lifetimes  movable, for operators to own it, but not while its next() is awaited. The coroutine keeps
//              references to what it takes by reference: take what may be a temporary by value.
//              Destroying a stream destroys what is alive in it, at once: it waits at a co_yield then,
//              or did not begin, or has ended. (So on_exit() in it is of the consumer's scope, and must
//              not use its locals.) At its end its frame is gone
//   Threads    it runs in the job that awaits next(), wherever that runs: in another one the next time, if
//              you like, but in one at a time. Let no shield_scope, and no lock that belongs to a job,
//              live across a co_yield
//   Errors     an exception that leaves it leaves next(); the stream is then at its end
//   Cancel     a stop of the job that awaits next() destroys the frames innermost first: of what the
//              stream awaits, its own, the consumer's. If a boundary between the two (timeout(d, s.next()),
//              catch_stop, race) ends the stop, the stream is at its end: what it waited in is gone
//   Cost       one pooled frame a stream and operator; nothing an element but a direct transfer there
//              and back: no queue, no atomic, no allocation. As with tasks, who never really waits never
//              gives way to other jobs
//   GCC 12     refuses what a generator refuses: temporary aggregates and closures that own something
//   After      Rust's Stream and Kotlin's Flow in use; std::generator in form
#pragma once

#include <concepts>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/base/assert.hpp"
#include "weft/base/config.hpp"
#include "weft/base/safe_callable.hpp"
#include "weft/task/lost_processor.hpp"
#include "weft/task/promise.hpp"

namespace weft {

template <class T>
class stream;

namespace detail {

/// What co_yield and the end of a stream wait in: its consumer goes on.
class to_consumer {
 public:
  to_consumer() noexcept {}
  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> producing) const noexcept {
    if (WEFT_UNLIKELY(may_have_lost_processor())) return parent_elsewhere(producing.promise());
    return producing.promise().parent()->handle();
  }
  void await_resume() const noexcept {}
};

class stream_promise_base : public promise_base {
 public:
  std::suspend_always initial_suspend() const noexcept { return {}; }
  to_consumer final_suspend() const noexcept { return to_consumer(); }
  void return_void() const noexcept {}
  void unhandled_exception() noexcept {
    check_not_unwinding();
    error_ = std::current_exception();
  }

  /// `consumer` waits for the next element. What to resume.
  std::coroutine_handle<> pulled_by(promise_base& consumer) noexcept {
    WEFT_ASSERT(!running_,
                "a stream's next() is awaited twice at once: one job at a time, and not the stream "
                "itself");
    running_ = true;
    element_ = nullptr;
    attach(consumer);
    was_shielded_ = owner()->shielded();
    return handle();
  }
  /// The consumer goes on. What was given; nullptr: the end.
  void* arrived() noexcept {
    running_ = false;
    return element_;
  }
  bool running() const noexcept { return running_; }
  bool may_move() const noexcept { return may_move_; }
  std::exception_ptr take_error() noexcept { return std::exchange(error_, nullptr); }

 protected:
  stream_promise_base() noexcept = default;
  ~stream_promise_base() = default;
  template <class E>
  to_consumer give(E& element, bool may_move) noexcept {
    WEFT_CHECK_SLOW(owner()->shielded() == was_shielded_,
                    "a shield_scope lives across a co_yield: it would shield the consumer");
    element_ = const_cast<void*>(static_cast<const volatile void*>(std::addressof(element)));
    may_move_ = may_move;
    return to_consumer();
  }

 private:
  void* element_ = nullptr;
  std::exception_ptr error_;
  bool running_ = false;
  bool may_move_ = false;
  bool was_shielded_ = false;
};

/// For co_yield: what an operator was given, or has made, under a name that it needs no more.
template <class E>
class handed_on {
 public:
  explicit handed_on(E& e) noexcept : element(e) {}
  E& element;
};

template <class T>
class stream_promise final : public stream_promise_base {
  using object = std::remove_reference_t<T>;
  using value = std::remove_cv_t<object>;
  static constexpr bool by_value = !std::is_reference_v<T>;

 public:
  stream<T> get_return_object() noexcept;

  to_consumer yield_value(std::conditional_t<by_value, T&&, T> element) noexcept {
    if constexpr (by_value) refuse_unless_safe<value>();
    return give(element, by_value);
  }
  to_consumer yield_value(const object& element) noexcept
    requires by_value && std::copy_constructible<value>
  {
    return give(element, false);
  }
  template <class E>
    requires std::same_as<std::remove_cv_t<E>, value>
  to_consumer yield_value(handed_on<E> named) noexcept {
    return give(named.element, by_value);
  }
  /// Only here to refuse: temporaries, in braces, and of other types.
  to_consumer yield_value(value&&)
    requires(!by_value) && std::is_const_v<object> && (!safe_in_await<value>)
  {
    refuse_unless_safe<value>();
    return to_consumer();
  }
  template <class A>
    requires(!safe_in_await<A>)
  to_consumer yield_value(A&&) {
    refuse_unless_safe<A>();
    return to_consumer();
  }

 private:
  template <class A>
  static void refuse_unless_safe() noexcept {
    static_assert(safe_in_await<A>,
                  "GCC 12 would destroy this temporary aggregate or closure twice: name it first, "
                  "co_yield the name (a copy), or give its type a constructor");
  }
};

}  // namespace detail

/// See the top of the file.
template <class T>
class [[nodiscard("await its next(), or one of its sinks")]] stream {
  static_assert(std::is_lvalue_reference_v<T> ||
                    (std::is_object_v<T> && std::same_as<T, std::remove_cv_t<T>>),
                "a stream is of values or of lvalue references");
  static constexpr bool by_value = !std::is_reference_v<T>;

 public:
  using promise_type = detail::stream_promise<T>;
  using value_type = std::remove_cvref_t<T>;
  /// What next() gives.
  using element = std::conditional_t<by_value, std::optional<std::remove_reference_t<T>>,
                                     std::remove_reference_t<T>*>;

  explicit stream(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame.address()) {}
  stream(stream&& other) noexcept { take_from(other); }
  stream& operator=(stream&& other) noexcept {
    if (this != &other) {
      destroy();
      take_from(other);
    }
    return *this;
  }
  ~stream() { destroy(); }

  class next_awaiter {
   public:
    explicit next_awaiter(stream& of) noexcept : of_(of) {}
    bool await_ready() const noexcept { return of_.is_over(); }
    template <class P>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<P> consumer) noexcept {
      static_assert(weft_promise<P>,
                    "a weft::stream can be awaited in a weft::task or a weft::stream (or by "
                    "weft::block_on in a plain thread), not in a coroutine of another library");
      return of_.promise().pulled_by(consumer.promise());
    }
    element await_resume() { return of_.arrived(); }

   private:
    stream& of_;
  };
  /// `co_await`: the next element; empty at the end, and ever after (also of one that was moved from).
  [[nodiscard("co_await it")]] next_awaiter next() noexcept WEFT_LIFETIMEBOUND {
    return next_awaiter(*this);
  }

  // Operators: stream_operators.hpp. F as there; refused is what GCC 12 would destroy twice.
  template <safe_in_await F>
  auto map(F&& f) &&;
  template <safe_in_await P>
  stream filter(P&& p) &&;
  stream take(std::size_t n) &&;
  template <safe_in_await P>
  stream take_while(P&& p) &&;
  auto chunks(std::size_t n) &&;
  template <class Duration>
  stream throttle(Duration d) &&;
  template <class Duration>
  auto timeout(Duration d) &&;
  // Sinks: tasks that await all of it.
  auto collect() &&;
  template <safe_in_await F>
  auto for_each(F&& f) &&;
  // With jobs beside, children of a scope: stream_beside.hpp.
  template <class Scope, safe_in_await F>
  auto buffered(Scope in, std::size_t n, F&& f) &&;

 private:
  std::coroutine_handle<promise_type> handle() const noexcept {
    return std::coroutine_handle<promise_type>::from_address(frame_);
  }
  promise_type& promise() const noexcept { return handle().promise(); }
  /// Also if a stop of its consumer, which that has outlived, has destroyed the frame.
  bool is_over() noexcept {
    if (frame_ == nullptr) return true;
    if (WEFT_LIKELY(!promise_base::is_gone(frame_))) return false;
    promise_base::destroy(std::exchange(frame_, nullptr));
    return true;
  }
  void take_from(stream& other) noexcept {
    if (other.is_over()) {
      frame_ = nullptr;
      return;
    }
    frame_ = std::exchange(other.frame_, nullptr);
    WEFT_ASSERT(!promise().running(), "a stream was moved while its next() is awaited");
  }
  void destroy() noexcept {
    if (is_over()) return;
    WEFT_ASSERT(!promise().running(),
                "a stream was destroyed while its next() is awaited, or by itself");
    promise().abandon();  // a destructor in it that throws must resume nobody
    promise_base::destroy(std::exchange(frame_, nullptr));
  }
  element arrived() {
    if (WEFT_UNLIKELY(frame_ == nullptr)) return element();
    void* const given = promise().arrived();
    if (WEFT_UNLIKELY(given == nullptr)) {
      finish();
      return element();
    }
    auto* const e = static_cast<std::remove_reference_t<T>*>(given);
    if constexpr (!by_value) {
      return e;
    } else if constexpr (std::copy_constructible<T>) {
      return promise().may_move() ? element(std::in_place, std::move(*e))
                                  : element(std::in_place, std::as_const(*e));
    } else {
      return element(std::in_place, std::move(*e));
    }
  }
  WEFT_NOINLINE void finish() {
    const std::exception_ptr error = promise().take_error();
    destroy();
    if (error != nullptr) std::rethrow_exception(error);
  }

  void* frame_ = nullptr;
};

namespace detail {

template <class T>
stream<T> stream_promise<T>::get_return_object() noexcept {
  static_assert(weft_promise<stream_promise<T>>);
  return stream<T>(std::coroutine_handle<stream_promise<T>>::from_promise(*this));
}

}  // namespace detail
}  // namespace weft

#include "weft/together/stream_operators.hpp"  // the members above
