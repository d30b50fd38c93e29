// stop_token: a stop that is asked for by hand, from anywhere, of the shape of the standard's.
//
//   stop_source source;
//   const auto page = co_await with_stop(source.get_token(), fetch(url));   // result<...>
//   ...
//   source.request_stop();      // any thread: the fetch ends with errc operation_canceled
//
// It is for stops that follow no block, a button of a window or a message; where a block is what ends,
// scope and timeout need no token.
//
//   Threads  all members from any thread; copies share one state
//   Cost     a source: one allocation. with_stop: one pooled frame, two short locked sections
//   After    std::stop_token, which costs <atomic> and knows nothing of jobs
#pragma once

#include <concepts>
#include <optional>
#include <type_traits>
#include <utility>

#include "weft/base/intrusive_list.hpp"
#include "weft/base/result.hpp"
#include "weft/base/spin_lock.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/together/timeout.hpp"

namespace weft {

class stop_token;

namespace detail {

/// Something that wants to know of the stop.
class stop_link : public list_hook<> {
 public:
  using called = void (*)(stop_link&) noexcept;
  explicit stop_link(called f) noexcept : called_(f) {}

 private:
  friend class stop_state;
  called called_;
};

class stop_state {
 public:
  static stop_state* make() { return new stop_state; }
  void keep() noexcept { keepers_.fetch_add(1, order::relaxed); }  // by who has a share already
  void drop() noexcept {
    if (keepers_.fetch_sub(1, WEFT_MUTATE("stop_token.drop.relaxed", order::acq_rel,
                                          order::relaxed)) == 1) {  // P4
      delete this;
    }
  }
  void keep_source() noexcept { sources_.fetch_add(1, order::relaxed); }  // by a source
  void drop_source() noexcept {
    sources_.fetch_sub(
        1, WEFT_MUTATE("stop_token.source.relaxed", order::release, order::relaxed));  // P5
  }
  bool has_source() const noexcept { return sources_.load(order::acquire) != 0; }  // P5
  bool requested() noexcept {
    if (requested_.load(order::acquire)) return true;  // P3
    if (WEFT_LIKELY(!looks_)) return false;
    look();
    return requested_.load(order::acquire);  // P3
  }
  /// It was requested, or may be.
  bool possible() noexcept {
    // In this order: the last source may ask for the stop, and go, in between.
    return WEFT_MUTATE("stop_token.possible.asked_first", has_source() || requested(),
                       requested() || has_source());
  }

  /// True: this was the first one; all links were called, on this thread.
  bool request() noexcept;
  /// False: the stop came first, and the link is not called.
  [[nodiscard]] bool add(stop_link& link) noexcept;
  /// False: it was called, or is being called by another thread.
  [[nodiscard]] bool remove(stop_link& link) noexcept;
  /// Afterwards it is not being called any more, unless by the calling thread.
  void wait_until_called(const stop_link& link) noexcept;

 protected:
  stop_state() noexcept {}
  /// looks: nobody may have come to say that it is requested; look() finds out.
  explicit stop_state(bool looks) noexcept : looks_(looks) {}
  virtual ~stop_state() = default;
  virtual void look() noexcept {}

 private:
  atomic<std::uint32_t> keepers_{1};
  atomic<std::uint32_t> sources_{1};
  atomic<bool> requested_{false};  // set under lock_
  const bool looks_ = false;
  atomic<const stop_link*> calling_{nullptr};  // by the requesting thread
  plain<const void*> caller_{nullptr};         // its thread; under lock_
  spin_lock lock_;
  intrusive_list<stop_link> links_;
};

/// Shares a state, or has none.
class stop_share {
 public:
  stop_share() noexcept = default;
  explicit stop_share(stop_state* taken) noexcept : state_(taken) {}
  stop_share(const stop_share& other) noexcept : state_(other.state_) {
    if (state_ != nullptr) state_->keep();
  }
  stop_share(stop_share&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
  stop_share& operator=(stop_share other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~stop_share() {
    if (state_ != nullptr) state_->drop();
  }
  stop_state* get() const noexcept { return state_; }

 private:
  stop_state* state_ = nullptr;
};

}  // namespace detail

namespace this_task {
/// Of the running job: stopped when the job is, for code that is to hear of that elsewhere than in an
/// await: a loop that computes, the function of spawn_blocking(), a callback. Outside of a job: never
/// stopped. It may outlive the job, and is stopped for ever if the job was, even if the job ended otherwise.
///
/// A stop_callback runs on the thread that stops the job. (Of a child of a scope, or a branch, that has not
/// waited yet, at its first wait, at its end, or when somebody asks stop_requested(), whatever is first.)
/// Inside of timeout(), race() and their like it is the branch's: stopped when that is cut off, too.
///
/// Cost    the first one of a job: an allocation and a locked section; then the section. Its end: another
/// Throws  std::bad_alloc
weft::stop_token stop_token();
}  // namespace this_task

class stop_token {
 public:
  /// Of no source: never stopped.
  stop_token() noexcept = default;
  bool stop_requested() const noexcept {
    return state_.get() != nullptr && state_.get()->requested();
  }
  /// False: there was no request, and there is nobody left to make one.
  bool stop_possible() const noexcept {
    return state_.get() != nullptr && state_.get()->possible();
  }
  friend bool operator==(const stop_token& a, const stop_token& b) noexcept {
    return a.state_.get() == b.state_.get();
  }
  detail::stop_state* state() const noexcept { return state_.get(); }

 private:
  friend class stop_source;
  friend stop_token this_task::stop_token();
  explicit stop_token(const detail::stop_share& of) noexcept : state_(of) {}
  detail::stop_share state_;
};

class stop_source {
 public:
  stop_source() : state_(detail::stop_state::make()) {}
  stop_source(const stop_source& other) noexcept : state_(other.state_) {
    if (state_.get() != nullptr) state_.get()->keep_source();
  }
  stop_source(stop_source&& other) noexcept : state_(std::move(other.state_)) {}
  stop_source& operator=(stop_source other) noexcept {
    std::swap(state_, other.state_);
    return *this;
  }
  ~stop_source() {
    if (state_.get() != nullptr) state_.get()->drop_source();
  }

  stop_token get_token() const noexcept { return stop_token(state_); }
  /// True: this was the first request. Callbacks have run when it returns, on this thread.
  bool request_stop() noexcept { return state_.get() != nullptr && state_.get()->request(); }
  bool stop_requested() const noexcept {
    return state_.get() != nullptr && state_.get()->requested();
  }
  bool stop_possible() const noexcept { return state_.get() != nullptr; }

 private:
  detail::stop_share state_;
};

/// Calls f() once the stop is requested: on the requesting thread, or at once if it was before. After
/// the destructor f neither runs nor will run, unless f itself destroys this.
template <class F>
class stop_callback final : private detail::stop_link {
 public:
  template <class G>
    requires std::constructible_from<F, G>
  stop_callback(const stop_token& token, G&& f)
      : stop_link([](stop_link& self) noexcept { static_cast<stop_callback&>(self).f_(); }),
        token_(token),
        f_(std::forward<G>(f)) {
    if (token_.state() == nullptr) return;
    added_ = token_.state()->add(*this);
    if (!added_) f_();
  }
  stop_callback(const stop_callback&) = delete;
  stop_callback& operator=(const stop_callback&) = delete;
  ~stop_callback() {
    if (added_ && !token_.state()->remove(*this)) token_.state()->wait_until_called(*this);
  }

 private:
  stop_token token_;
  F f_;
  bool added_ = false;
};
template <class F>
stop_callback(stop_token, F) -> stop_callback<F>;

namespace detail {

/// A branch against a token. The protocol is that of timeout.cpp, the token in the place of the timer.
class with_stop_operation : public join_operation, private stop_link {
 public:
  void withdraw() noexcept final {
    if (!WEFT_MUTATE("with_stop.withdraw.stops_nobody", false, true)) branch_.stop();
  }  // the answer is joined()
  const char* what() const noexcept final { return "with_stop"; }

 protected:
  with_stop_operation(root_job& branch, const stop_token& token) noexcept
      : join_operation(branch.join), stop_link(&called), branch_(branch), token_(token) {}
  ~with_stop_operation() = default;

  std::coroutine_handle<> start_branch(promise_base& waiter) noexcept;
  bool cut_off() const noexcept { return branch_.was_stopped; }
  bool launched() const noexcept { return launched_; }

 private:
  void joined() noexcept final;
  static void called(stop_link& link) noexcept;
  void leave(std::uint32_t parties) noexcept;

  root_job& branch_;
  const stop_token token_;
  atomic<std::uint32_t> parties_{2};
  bool launched_ = false;
  plain<bool> requested_{false};
};

template <class A>
class with_stop_await final {
  using T = await_result_t<A&&>;
  using R = typename timed_result<T>::type;

  class operation_of final : public with_stop_operation {
   public:
    operation_of(root<T>& branch, const stop_token& token) noexcept
        : with_stop_operation(branch, token), branch_(branch) {}
    ~operation_of() {
      if (!launched()) branch_.discard();  // never ran, nobody knows it
    }
    std::coroutine_handle<> start(promise_base& waiter) noexcept { return start_branch(waiter); }
    using with_stop_operation::cut_off;
    using with_stop_operation::launched;

   private:
    root<T>& branch_;
  };

 public:
  with_stop_await(const stop_token& token, A& awaitable) noexcept
      : token_(token), awaitable_(awaitable) {}
  with_stop_await(const with_stop_await&) = delete;
  with_stop_await& operator=(const with_stop_await&) = delete;
  ~with_stop_await() {
    const bool own = operation_ && operation_->launched();
    operation_.reset();
    if (own) branch_->drop();
  }

  bool await_ready() const noexcept { return false; }
  template <class P>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<P> waiter) {
    static_assert(weft_promise<P>, "with_stop() can be awaited in a weft::task only");
    branch_ = &make_awaiting_job<detail::awaits_for::with_stop>(waiter.promise().owner()->home(),
                                                                awaitable_);
    operation_.emplace(*branch_, token_);
    return operation_->start(waiter.promise());
  }
  R await_resume() {
    branch_->claimed = true;
    if (operation_->cut_off()) {
      return std::unexpected(std::make_error_code(std::errc::operation_canceled));
    }
    if constexpr (std::is_void_v<T>) {
      branch_->slot().take();
      return R();
    } else {
      return branch_->slot().take();
    }
  }

 private:
  const stop_token token_;
  A& awaitable_;
  root<T>* branch_ = nullptr;
  std::optional<operation_of> operation_;
};

}  // namespace detail

/// Awaits `awaitable` until somebody asks the token's source to stop; then it is stopped, and its end is
/// awaited. If the request came before, it does not begin. What completed all the same is given.
///
/// Result  result<T>, as of timeout(); errc operation_canceled if it was cut off
/// Cancel  as timeout()
template <class A>
[[nodiscard("co_await it")]] auto with_stop(const stop_token& token,
                                            A&& awaitable WEFT_LIFETIMEBOUND) {
  static_assert(!is_kept_combinator<A>, WEFT_KEPT_COMBINATOR_MESSAGE);
  return awaited_in_place<detail::with_stop_await<std::remove_reference_t<A>>>(token, awaitable);
}

}  // namespace weft
