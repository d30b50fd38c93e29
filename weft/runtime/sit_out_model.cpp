// A benched worker beside one that takes part (sit_out.cpp), on idle, injector, run queue and parker, in
// the smallest form: no work lies anywhere while worker 0 sleeps, and no call back is lost.
#include "weft/queue/idle.hpp"
#include "weft/queue/injector.hpp"
#include "weft/queue/parker.hpp"
#include "weft/queue/run_queue.hpp"
#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

constexpr unsigned benched = 1;

struct toy_runtime {
  toy_runtime(model::world& w, bool asymmetric) : world(w), sleepers(2, asymmetric) {}

  model::world& world;
  injector<linked_item> injected;
  run_queue<linked_item, 2> of_benched, mine;
  idle sleepers;
  parker parkers[2];
  atomic<unsigned> active{1};
  atomic<bool> over{false};

  void notify(idle::pusher who) {
    if (const auto worker = sleepers.worker_to_notify(who)) {
      static_cast<void>(parkers[*worker].unpark());
    }
  }
  linked_item* find() {
    if (linked_item* const i = injected.pop()) return i;
    return of_benched.steal_into(mine);
  }
  bool any_work() { return !injected.empty() || !of_benched.empty_hint(); }

  /// As worker::loop().
  void take_part() {
    bool searching = false;
    for (;;) {
      linked_item* item = find();
      if (item == nullptr && !searching && (searching = sleepers.try_start_searching()))
        item = find();
      if (item != nullptr) {
        if (searching && sleepers.stop_searching()) notify(idle::pusher::worker);
        searching = false;
        item->run();
        continue;
      }
      if (over.load(order::acquire)) return;
      const bool last = sleepers.sleep(0, searching);
      searching = false;
      if (last && any_work()) {
        if (sleepers.wake_self(0)) {
          searching = sleepers.try_start_searching();
        } else {
          parkers[0].park();
          searching = true;
        }
        continue;
      }
      parkers[0].park();
      searching = !sleepers.wake_self(0);
    }
  }

  /// As worker::sit_out(), for a worker that may be searching.
  void begin_to_sit_out(bool searching) {
    if (searching && sleepers.stop_searching() && !world.mutant("sit_out_model.no_chain")) {
      notify(idle::pusher::worker);
    }
  }
  /// What its driver does when something completes.
  void complete(linked_item& item) {
    item.prepare();
    of_benched.push_back(&item, injected);
    notify(idle::pusher::worker);
  }
  void give_away() {
    bool any = false;
    while (linked_item* const i = of_benched.pop()) {
      i->next = nullptr;
      injected.push(i);
      any = true;
    }
    if (any && !world.mutant("sit_out_model.gives_away_in_silence")) notify(idle::pusher::outsider);
  }

  void come_to_rest(linked_item& item) {
    const int asleep = world.run_until_idle();
    world.check(!any_work(), "work lies in a queue while the only worker that takes part sleeps");
    world.check(asleep == 1, "the worker does not sleep, though there is no work");
    world.check(sleepers.searching_hint() == 0, "all is at rest, and somebody counts as searching");
    over.store(true, order::release);
    static_cast<void>(parkers[0].unpark());
    world.wind_down();
    world.check(item.was_run(), "an item was not run");
  }
};

void driver_wakes_a_job(model::world& model, bool asymmetric) {
  toy_runtime rt(model, asymmetric);
  linked_item items[1];
  model.thread("takes part", [&] { rt.take_part(); });
  model.thread("benched", [&] {
    rt.complete(items[0]);
    rt.give_away();
  });
  rt.come_to_rest(items[0]);
}

WEFT_MODEL_TEST(sit_out, a_job_that_its_driver_wakes_is_run_by_who_takes_part,
                model::kills("sit_out_model.gives_away_in_silence"),
                model::stale_max(1, "the fences have models of their own (idle)"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  driver_wakes_a_job(model, false);
}

WEFT_MODEL_TEST(sit_out, the_same_where_membarrier_works,
                model::kills("sit_out_model.gives_away_in_silence"),
                model::stale_max(1, "the fences have models of their own (idle)"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  driver_wakes_a_job(model, true);
}

// Benched in its sleep, and named by a pusher before it knows: what it was woken for is not lost.
WEFT_MODEL_TEST(sit_out, who_is_woken_to_search_and_finds_itself_benched_wakes_another,
                model::kills("sit_out_model.no_chain"),
                model::stale_max(1, "the fences have models of their own (idle)"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  toy_runtime rt(model, false);
  linked_item items[1];
  static_cast<void>(rt.sleepers.sleep(benched, false));
  model.thread("takes part", [&] { rt.take_part(); });
  model.thread("outsider", [&] {
    items[0].prepare();
    rt.injected.push(&items[0]);
    rt.notify(idle::pusher::outsider);
    // The end of the test wakes nobody who was not named.
    static_cast<void>(rt.parkers[benched].unpark());
  });
  model.thread("benched", [&] {
    rt.parkers[benched].park();
    rt.begin_to_sit_out(!rt.sleepers.wake_self(benched));
  });
  rt.come_to_rest(items[0]);
}

WEFT_MODEL_TEST(sit_out, a_call_back_is_not_lost,
                model::kills("sit_out_model.calls_before_it_grants")) {
  toy_runtime rt(model, false);
  model.thread("benched", [&] {
    while (rt.active.load(order::relaxed) <= benched) rt.parkers[benched].park();
  });
  model.thread("grants", [&] {
    const bool early = model.mutant("sit_out_model.calls_before_it_grants");
    if (early) static_cast<void>(rt.parkers[benched].unpark());
    static_cast<void>(rt.active.exchange(2, order::seq_cst));
    if (!early) static_cast<void>(rt.parkers[benched].unpark());
  });
  model.check(model.run_until_idle() == 0, "it was called back, and sits on");
  model.wind_down();
}

}  // namespace
}  // namespace weft
