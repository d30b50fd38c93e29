// spin_lock (weft/base) under all schedules.
#include "weft/base/spin_lock.hpp"

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

WEFT_MODEL_TEST(spin_lock, keeps_one_in, model::kills("spin_lock_model.no_lock")) {
  spin_lock lock;
  plain<int> inside(0);
  for (int i = 0; i < 3; ++i) {
    model.thread([&] {
      const bool wrong = model.mutant("spin_lock_model.no_lock");
      if (!wrong) lock.lock();
      inside.set(inside.get() + 1);
      if (!wrong) lock.unlock();
    });
  }
  model.run();
  model.check(inside.get() == 3, "an increment was lost");
}

WEFT_MODEL_TEST(spin_lock, try_lock_fails_only_while_held, model::reaches("had it", "refused")) {
  spin_lock lock;
  plain<int> inside(0);
  model.thread([&] {
    spin_guard held(lock);
    inside.set(1);
  });
  model.thread([&] {
    if (lock.try_lock()) {
      inside.set(2);
      lock.unlock();
      model.outcome("had it");
    } else {
      model.outcome("refused");
    }
  });
  model.run();
}

}  // namespace
}  // namespace weft
