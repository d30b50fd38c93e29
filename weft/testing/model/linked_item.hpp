// linked_item: the piece of work that models put into queues. It knows whether it was run exactly
// once, and the checker watches its payload and its link for data races.
#pragma once

#include "weft/base/atomic.hpp"
#include "weft/testing/model/model.hpp"

namespace weft::model {

struct linked_item {
  /// An ordinary `linked_item* next` to the code under test.
  class link {
   public:
    operator linked_item*() const noexcept { return to_.get(); }
    link& operator=(linked_item* to) noexcept {
      to_.set(to);
      return *this;
    }

   private:
    plain<linked_item*> to_;
  };

  link next;
  plain<bool> prepared;
  plain<int> runs;

  /// To be called before it is pushed: whoever runs it must see this.
  void prepare() noexcept { prepared.set(true); }
  void run() {
    if (!prepared.get()) fail_because("an item was run before it was pushed");
    runs.set(runs.get() + 1);
    if (runs.get() > 1) fail_because("an item was run twice");
  }
  bool was_run() const noexcept { return runs.get() == 1; }

 private:
  static void fail_because(const char* why) { world().check(false, why); }
};

}  // namespace weft::model
