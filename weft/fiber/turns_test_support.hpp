// What tests of contexts share: a function on a stack of a pool, and the thread that it goes back to.
#pragma once

#include <functional>
#include <utility>

#include "weft/fiber/context.hpp"
#include "weft/fiber/stack.hpp"

namespace weft::fiber_test {

/// Runs `body(*this)` in turns: resume() outside of it, yield() inside.
class turns {
 public:
  explicit turns(std::function<void(turns&)> body, stack_pool& pool = common_pool())
      : pool_(pool),
        on_(pool.take().value()),
        body_(std::move(body)),
        self_(on_.low(), on_.bytes(), run, this) {}
  ~turns() { pool_.give(on_); }
  turns(const turns&) = delete;
  turns& operator=(const turns&) = delete;

  /// From a thread, or from another one's body.
  void resume() {
    context here;
    resume(here);
  }
  void resume(context& here) {
    resumer_ = &here;
    context::switch_to(here, self_);
  }
  void yield() { context::switch_to(self_, *resumer_); }
  bool is_over() const { return self_.is_over(); }
  const stack& on() const { return on_; }
  context& self() { return self_; }

  static stack_pool& common_pool() {
    static stack_pool pool({.bytes = 256 * 1024});
    return pool;
  }

 private:
  static context& run(void* argument) {
    auto& t = *static_cast<turns*>(argument);
    t.body_(t);
    return *t.resumer_;
  }

  stack_pool& pool_;
  stack on_;
  std::function<void(turns&)> body_;
  context self_;
  context* resumer_ = nullptr;
};

}  // namespace weft::fiber_test
