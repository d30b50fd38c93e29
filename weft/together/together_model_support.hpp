// together_model_support: what stands in for a branch in models: something to wait in, the thread that
// runs it, and a job that waits once.
#pragma once

#include "weft/os/futex.hpp"
#include "weft/task/current.hpp"
#include "weft/task/root.hpp"
#include "weft/task/task_model_support.hpp"

namespace weft::model {

class toy_promise final : public promise_base {};

/// Ends when it is withdrawn, or by whoever completes it; one word says which.
class toy_wait final : public operation {
 public:
  enum class begun { waits, stopped, over };
  [[nodiscard]] begun start(job& me, promise_base& who) noexcept {
    if (me.arm(*this, who) == job::arm_result::stopped) return begun::stopped;
    std::uint32_t seen = nothing;
    if (word_.compare_exchange(seen, waiting, order::release, order::acquire)) {
      return begun::waits;
    }
    if (seen == withdrawn) {
      finish(true);
      return begun::waits;
    }
    if (me.disarm(*this) == job::disarm_result::disarmed) return begun::over;
    finish(false);
    return begun::waits;
  }
  void withdraw() noexcept override {
    std::uint32_t seen = word_.load(order::relaxed);
    while (seen != done) {
      if (!word_.compare_exchange(seen, withdrawn, order::acq_rel, order::relaxed)) continue;
      if (seen == waiting) finish(true);
      return;
    }
  }
  void complete() noexcept {
    std::uint32_t seen = word_.load(order::relaxed);
    while (seen != withdrawn) {
      if (!word_.compare_exchange(seen, done, order::acq_rel, order::relaxed)) continue;
      if (seen == waiting) finish(false);
      return;
    }
  }
  const char* what() const noexcept override { return "toy"; }

 private:
  static constexpr std::uint32_t nothing = 0, waiting = 1, done = 2, withdrawn = 3;
  atomic<std::uint32_t> word_{nothing};
};

/// Where the thread sleeps that runs one job.
class toy_bed final : public scheduler {
 public:
  void schedule(job&, wake_kind why) noexcept override {
    if (why == wake_kind::spawned) return;  // its thread is there
    ready_.store(1, order::release);
    os::futex_wake(ready_, 1);
  }
  void sleep() {
    while (ready_.load(order::acquire) == 0) static_cast<void>(os::futex_wait(ready_, 0, never_ns));
  }
  plain<bool> has_work{true};  // for a thread that has been woken

 private:
  atomic<std::uint32_t> ready_{0};
};

/// A branch that waits once, in `op`, and gives 1. Its first part runs in the name of whoever starts it,
/// the second one on the bed's thread.
class toy_branch final : public detail::root_job {
 public:
  static toy_branch& make(toy_bed& bed, toy_wait& op, int& freed) {
    exchange_current_job(nullptr);  // what another execution has left
    return *new toy_branch(bed, op, freed);
  }
  /// By the bed's thread.
  static void run(toy_bed& bed, toy_branch& branch) {
    bed.sleep();
    if (!bed.has_work.get()) return;
    model::world().check(branch.take_woken() == &branch.op_, "woken from another operation");
    branch.finish(branch.op_.was_stopped());
  }
  plain<int> gave{0};

 private:
  toy_branch(toy_bed& bed, toy_wait& op, int& freed) noexcept
      : root_job(bed, how), bed_(bed), op_(op), freed_(freed) {}
  ~toy_branch() { ++freed_; }

  static std::coroutine_handle<> start_toy(root_job& self) noexcept {
    auto& mine = static_cast<toy_branch&>(self);
    mine.who_.become_root(mine);
    toy_wait::begun begins = toy_wait::begun::stopped;
    if (!mine.stop_requested()) begins = mine.op_.start(mine, mine.who_);
    if (begins == toy_wait::begun::waits) return std::noop_coroutine();  // it may be gone
    mine.bed_.has_work.set(false);
    mine.bed_.schedule(mine, wake_kind::woken);
    mine.finish(begins == toy_wait::begun::stopped);
    return std::noop_coroutine();
  }
  static void free_toy(root_job& self) noexcept { delete static_cast<toy_branch*>(&self); }
  static std::exception_ptr error_of(root_job&) noexcept { return nullptr; }
  static constexpr operations how{{.run = &root_job::run_root}, &start_toy, &free_toy, &error_of};

  void finish(bool stopped) noexcept {
    if (!stopped) gave.set(1);
    ended = true;
    was_stopped = stopped;
    static_cast<void>(end());  // it may be gone
  }
  toy_promise who_;
  toy_bed& bed_;
  toy_wait& op_;
  int& freed_;
};

}  // namespace weft::model
