// injector under all schedules: order, conservation, and the length as a promise to searchers (P2).
#include "weft/queue/injector.hpp"

#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

WEFT_MODEL_TEST(injector, two_push_one_pops) {
  model.label("injector");
  injector<linked_item> q;
  linked_item items[3];
  for (linked_item& i : items) i.prepare();
  model.thread([&] { q.push(&items[0]); });
  model.thread([&] {
    items[1].next = &items[2];
    q.push_batch(&items[1], &items[2], 2);
  });
  model.thread([&] {
    const auto got = q.pop_batch(2);
    unsigned n = 0;
    for (linked_item* i = got.first; i; i = i->next) i->run(), ++n;
    model.check(n == got.count, "the chain has another length than it says");
    if (linked_item* i = q.pop()) i->run();
  });
  model.run();
  model.check(q.empty() == (q.len_hint() == 0), "empty and len_hint differ");
  bool second = items[2].was_run();
  while (linked_item* i = q.pop()) {
    if (i == &items[1]) model.check(!second, "a batch was taken out of order");
    i->run();
  }
  for (linked_item& i : items) model.check(i.was_run(), "an item was lost");
}

// The other half of the handshake is a sleeper's word; here in its smallest form.
WEFT_MODEL_TEST(injector, pusher_or_sleeper_sees_the_other,
                model::kills("injector_model.pusher_fence", "injector_model.sleeper_fence")) {
  injector<linked_item> q;
  atomic<bool> asleep(false);
  linked_item item;
  item.prepare();
  bool pusher_saw = false, sleeper_saw = false;
  model.thread("pusher", [&] {
    q.push(&item);
    if (!model.mutant("injector_model.pusher_fence")) fence(order::seq_cst);
    pusher_saw = asleep.load(order::relaxed);
  });
  model.thread("sleeper", [&] {
    asleep.store(true, order::relaxed);
    if (!model.mutant("injector_model.sleeper_fence")) fence(order::seq_cst);
    sleeper_saw = !q.empty();
  });
  model.run();
  model.check(pusher_saw || sleeper_saw, "an item lies there and its taker sleeps");
  if (linked_item* i = q.pop()) i->run();
}

}  // namespace
}  // namespace weft
