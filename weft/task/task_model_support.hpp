// task_model_support: a job for models: its thread of control is a thread of the model, which
// sleeps until somebody schedules it.
#pragma once

#include "weft/base/time.hpp"
#include "weft/os/futex.hpp"
#include "weft/task/job.hpp"
#include "weft/task/promise.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::model {

class job_thread : public scheduler, public job {
 public:
  job_thread() noexcept : job(static_cast<scheduler&>(*this), idle_kind) {
    inner_.attach(edge_, *this);
  }

  promise_base& who() noexcept { return inner_; }

  /// What the answer of an operation's start() makes of the coroutine that waits.
  enum class after_start { waits, goes_on, unwinds };
  after_start read(std::coroutine_handle<> next) noexcept {
    if (next.address() == inner_.handle().address()) return after_start::goes_on;
    return next.address() == edge_.handle().address() ? after_start::unwinds : after_start::waits;
  }

  /// Sleeps until it is scheduled, once. Result: the operation that it was woken from.
  operation* sleep() {
    while (ready_.load(order::acquire) == 0) {
      static_cast<void>(os::futex_wait(ready_, 0, never_ns));
    }
    ready_.store(0, order::relaxed);
    return take_woken();
  }
  bool scheduled() const noexcept { return ready_.load(order::acquire) != 0; }

  void schedule(job&, wake_kind) noexcept override {
    if (ready_.exchange(1, order::release) != 0) world().check(false, "a job was scheduled twice");
    os::futex_wake(ready_, 1);
  }

 private:
  class promise final : public promise_base {};
  class edge final : public boundary {
   public:
    edge() noexcept : boundary(nullptr) {}
  };
  promise inner_;  // in front: the address of its frame must be no other's
  atomic<std::uint32_t> ready_{0};
  edge edge_;
};

}  // namespace weft::model
