// join_set: jobs whose results come as they finish.
//
//   co_await with_join_set<page>([&](join_set<page>& set) -> task<> {
//     for (const auto& url : urls) set.spawn(fetch, url);
//     while (auto next = co_await set.next()) {     // in the order in which they end
//       if (next->has_value()) keep(next->value());
//     }
//   });                                             // what still runs is stopped, and awaited
//
// The set belongs to the block: it can be neither moved nor outlived by its jobs, so these may use what
// the awaiting task has, as a scope's children do. on_exit() works as in a scope.
//
//   Result     with_join_set() gives what its body returns
//   Errors     a job's exception is in its outcome, and concerns nobody else. What the body throws, or
//              an error that it returns, ends the block as in scope()
//   Cancel     a stop of the awaiting job goes to the body and all jobs, whose ends are awaited. next():
//              lossless; an outcome that was not given stays in the set
//   Threads    spawn(), stop_all(), size(): any, while the set lives; next(): one waiter at a time
//   Cost       a job: as a child of a scope, a pooled block for the outcome, and one locked section
//   Protocol   join_set.cpp
//   After      Tokio's JoinSet
#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "weft/base/cache_line.hpp"
#include "weft/task/claim.hpp"
#include "weft/task/join_handle.hpp"
#include "weft/together/scope.hpp"

namespace weft {

namespace detail {

class join_next;

/// The outcome of one job.
class join_node {
 public:
  join_node(const join_node&) = delete;
  join_node& operator=(const join_node&) = delete;

 protected:
  join_node() noexcept {}
  ~join_node() = default;

 private:
  friend class join_queue;
  join_node* next_ = nullptr;
};

/// Outcomes in the order of time, and who waits for the next.
class join_queue {
 public:
  join_queue() noexcept {}
  join_queue(const join_queue&) = delete;
  join_queue& operator=(const join_queue&) = delete;

  /// There will be one more.
  void expect() noexcept;
  /// Here it is. The last access of its job to the queue.
  void deliver(join_node& ended) noexcept;
  /// Outcomes that are there, or will be, and were not taken.
  std::size_t size() noexcept;
  /// One that is there, or nullptr.
  join_node* take() noexcept;

 private:
  friend class join_next;
  join_node* pop() noexcept;

  spin_lock lock_;  // guards what follows
  join_node* first_ = nullptr;
  join_node* last_ = nullptr;
  std::size_t ready_ = 0;
  std::size_t expected_ = 0;
  join_next* waiter_ = nullptr;
};

/// Waiting for an outcome.
class join_next : public operation {
 public:
  explicit join_next(join_queue& of) noexcept : of_(of) {}
  bool await_ready() noexcept;
  std::coroutine_handle<> start(promise_base& waiter) noexcept;
  void withdraw() noexcept final;
  const char* what() const noexcept final { return "join_set"; }
  /// It may stand in a select: see wait_list::waiter.
  static constexpr bool takes_claim = true;

 protected:
  ~join_next() = default;
  join_node* node_ = nullptr;  // after the end: nullptr if none is left

 private:
  friend class join_queue;
  bool take_or_see_the_end() noexcept;
  bool may_be_given() noexcept;
  join_queue& of_;
  bool withdrawn_ = false;
};

}  // namespace detail

template <class T>
class join_set {
  class node final : public detail::join_node {
   public:
    node() noexcept {}
    static node& make() {
      static_assert(alignof(node) <= cache_line,
                    "join_set<T>: what a job gives is aligned to more than 64 bytes; give a pointer "
                    "to it");
      return *::new (allocate_frame(sizeof(node))) node;
    }
    static void free(node& n) noexcept {
      n.~node();
      free_frame(&n, sizeof(node));
    }
    std::optional<outcome<T>> got;
  };
  /// What a job of the set tells, and whom.
  class teller {
   public:
    teller(join_set& set, node& n) noexcept : set_(&set), node_(&n), epoch_(set.scope_->epoch()) {}
    void ended(detail::child_group&, detail::result_slot<T>& slot) noexcept { tell(slot, false); }
    template <class>
    void stopped(detail::child_group&) noexcept {
      detail::result_slot<T> none;
      tell(none, true);
    }
    std::uint32_t epoch() const noexcept { return epoch_; }

   private:
    void tell(detail::result_slot<T>& slot, bool stopped) noexcept {
      try {
        node_->got.emplace(slot, stopped);
      } catch (...) {  // the value's move
        detail::result_slot<T> failed;
        failed.set_error(std::current_exception());
        node_->got.emplace(failed, false);
      }
      set_->queue_.deliver(*node_);
    }
    join_set* set_;
    node* node_;
    std::uint32_t epoch_;
  };

 public:
  explicit join_set(detail::scope_operation& of) noexcept : scope_(&of) {}
  join_set(const join_set&) = delete;
  join_set& operator=(const join_set&) = delete;
  ~join_set() {
    while (auto* const n = queue_.take()) node::free(static_cast<node&>(*n));
  }

  /// Runs f(args...) beside the caller. f and args are copied (or moved) into the job. Does nothing once
  /// the block is to stop. f returns a task<T> or a T.
  template <class F, class... A>
    requires spawnable<F, A...>
  void spawn(F&& f, A&&... args) {
    spawn(spawn_options{}, std::forward<F>(f), std::forward<A>(args)...);
  }
  template <class F, class... A>
    requires spawnable<F, A...>
  void spawn(spawn_options options, F&& f, A&&... args) {
    static_assert(std::is_same_v<detail::spawned_value_t<F, A...>, T>,
                  "join_set<T>::spawn(): the function gives something else than T");
    if (scope_->stopping()) return;
    node& n = node::make();
    queue_.expect();
    try {
      detail::spawn_child(*scope_, teller(*this, n), options, std::forward<F>(f),
                          std::forward<A>(args)...);
    } catch (...) {  // an argument's copy; its outcome is that it was stopped
      detail::result_slot<T> none;
      n.got.emplace(none, true);
      queue_.deliver(n);
      throw;
    }
  }

  /// Only here to refuse, with advice.
  template <class F, class... A>
    requires(!detail::can_spawn<F, A...>)
  void spawn(F&&, A&&...) {
    detail::explain_spawn<F, A...>();
  }

  class next_awaiter final : public awaitable_operation<next_awaiter, detail::join_next> {
   public:
    explicit next_awaiter(join_set& set) noexcept
        : awaitable_operation<next_awaiter, detail::join_next>(set.queue_) {}
    bool await_ready() noexcept { return detail::join_next::await_ready(); }
    std::optional<outcome<T>> await_resume() {
      if (this->node_ == nullptr) return std::nullopt;
      auto& ended = static_cast<node&>(*this->node_);
      std::optional<outcome<T>> given(std::move(ended.got));
      node::free(ended);
      return given;
    }
  };
  /// Waits for the next job to end: how it ended. std::nullopt: none is left.
  [[nodiscard("co_await it")]] next_awaiter next() noexcept { return next_awaiter(*this); }

  /// The jobs that were spawned so far are to end; next() gives their outcomes. Does not wait.
  void stop_all() noexcept { scope_->stop_all_so_far(); }
  /// Jobs whose outcome next() has not given.
  std::size_t size() noexcept { return queue_.size(); }

 private:
  detail::scope_operation* scope_;
  detail::join_queue queue_;
};

namespace detail {

template <class T, class F>
using join_set_value_t = typename std::invoke_result_t<F&, join_set<T>&>::value_type;

template <class T, class F>
class join_set_await final : public scope_await_base<join_set_await<T, F>, join_set_value_t<T, F>> {
  using base = scope_await_base<join_set_await, join_set_value_t<T, F>>;

 public:
  explicit join_set_await(F& f) noexcept : base(base::ends::with_the_body), f_(f), set_(*this) {}
  auto body() { return std::invoke(f_, set_); }

 private:
  F& f_;
  join_set<T> set_;
};

}  // namespace detail

/// See the top of the file. `body` takes a join_set<T>& and returns a task.
template <class T, class F>
  requires std::invocable<std::remove_reference_t<F>&, join_set<T>&>
[[nodiscard("co_await it")]] auto with_join_set(F&& body WEFT_LIFETIMEBOUND) {
  static_assert(safe_in_await<F>, WEFT_SAFE_IN_AWAIT_MESSAGE);
  return awaited_in_place<detail::join_set_await<T, std::remove_reference_t<F>>>(body);
}

}  // namespace weft
