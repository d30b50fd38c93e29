// inbox under all schedules: nothing lost, each pusher's order kept, and the owner woken whenever
// something lies there.
#include "weft/queue/inbox.hpp"

#include "weft/queue/parker.hpp"
#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

template <class Chain>
unsigned run_all(model::world& model, const Chain& chain) {
  unsigned n = 0;
  for (linked_item* i = chain.first; i;) {
    linked_item* const next = i->next;
    i->next = nullptr;  // as one does who frees it: nobody else may look any more
    i->run();
    ++n;
    i = next;
  }
  model.check(n == chain.count, "the chain has another length than it says");
  return n;
}

WEFT_MODEL_TEST(inbox, owner_sleeps_until_it_is_woken,
                model::kills("inbox.push.relaxed", "inbox.take.relaxed", "inbox.push.never_first",
                             "inbox_model.second_wakes")) {
  model.label("inbox");
  inbox<linked_item> box;
  model.label("parker");
  parker bed;
  linked_item items[3];
  const auto push = [&](int i) {
    items[i].prepare();
    const bool first = box.push(&items[i]);
    if (first != model.mutant("inbox_model.second_wakes")) static_cast<void>(bed.unpark());
  };
  model.thread("owner", [&] {
    for (unsigned had = 0; had < 3;) {
      const auto chain = box.take_all();
      if (!chain.first) bed.park();  // a lost wake is a deadlock
      had += run_all(model, chain);
    }
  });
  model.thread("pusher 1", [&] { push(0), push(1); });
  model.thread("pusher 2", [&] { push(2); });
  model.run();
}

WEFT_MODEL_TEST(inbox, keeps_each_pushers_order) {
  inbox<linked_item> box;
  linked_item items[4];
  int turn = 0, taken_in[4] = {};
  const auto take = [&] {
    for (linked_item* i = box.take_all().first; i; i = i->next) {
      i->run();
      taken_in[i - items] = turn++;
    }
  };
  for (int p = 0; p < 2; ++p) {
    model.thread("pusher", [&, p] {
      for (int i = 2 * p; i < 2 * p + 2; ++i) {
        items[i].prepare();
        static_cast<void>(box.push(&items[i]));
      }
    });
  }
  model.thread("owner", [&] { take(), take(); });
  model.run();
  take();
  for (linked_item& i : items) model.check(i.was_run(), "an item was lost");
  model.check(taken_in[0] < taken_in[1] && taken_in[2] < taken_in[3], "two items changed places");
}

// An item that comes back while a pusher's look is old: the list is right all the same.
WEFT_MODEL_TEST(inbox, item_that_comes_back_under_a_push) {
  inbox<linked_item> box;
  linked_item back, other;
  back.prepare();
  other.prepare();
  static_cast<void>(box.push(&back));
  unsigned had = 0;
  const auto take = [&] {
    for (linked_item* i = box.take_all().first; i;) {
      linked_item* const next = i->next;
      had += i == &back ? 1 : 10;
      i = next;
    }
  };
  model.thread("pusher", [&] { static_cast<void>(box.push(&other)); });
  model.thread("owner", [&] {
    take();
    if (had % 10 == 1) static_cast<void>(box.push(&back));
    take();
  });
  model.run();
  take();
  model.check(had == 12, "an item was lost or had twice");
}

}  // namespace
}  // namespace weft
