// A worker's inbox, its parker and the idle set together, under all schedules: a job that is sent to one
// worker is run by it although that worker sleeps, wakes and is named by others as it likes; and what
// the others push meanwhile is not left lying either.
//
// The worker does what runtime/worker.cpp does, in the smallest form: an empty look at the inbox comes
// before each sleep, and who wakes it for its inbox does not go through the idle set (R4 of idle.hpp).
#include "weft/queue/idle.hpp"
#include "weft/queue/inbox.hpp"
#include "weft/queue/injector.hpp"
#include "weft/queue/parker.hpp"
#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

struct toy_worker {
  explicit toy_worker(model::world& w) noexcept : world(w) {}

  model::world& world;
  inbox<linked_item> arrivals;
  injector<linked_item> injected;
  idle sleepers{1};
  parker sleep;
  atomic<bool> over{false};

  void send(linked_item& item) {  // runtime_core::send_home
    item.prepare();
    const bool first = arrivals.push(&item);
    if (first && !world.mutant("arrivals_model.no_unpark")) static_cast<void>(sleep.unpark());
  }
  void inject(linked_item& item) {
    item.prepare();
    injected.push(&item);
    if (sleepers.worker_to_notify()) static_cast<void>(sleep.unpark());
  }
  bool take_arrivals() {
    bool some = false;
    for (linked_item* i = arrivals.take_all().first; i;) {
      linked_item* const next = i->next;
      i->run();
      some = true;
      i = next;
    }
    return some;
  }
  void work() {
    bool searching = false;
    for (;;) {
      bool some = take_arrivals();
      if (linked_item* const item = injected.pop()) {
        item->run();
        some = true;
      }
      if (some) {
        if (searching) static_cast<void>(sleepers.stop_searching());  // R2: nobody else is there
        searching = false;
        continue;
      }
      if (over.load(order::acquire)) return;
      const bool look_again = sleepers.sleep(0, searching);
      searching = false;
      if (look_again && !injected.empty()) {  // R3. The inbox needs no second look: wakes are kept
        searching = sleepers.wake_self(0) ? sleepers.try_start_searching() : true;
        continue;
      }
      if (world.mutant("arrivals_model.forgets_the_wake")) {
        static_cast<void>(sleep.end_park());
      }
      sleep.park();
      const bool named = !world.mutant("arrivals_model.no_wake_self") && !sleepers.wake_self(0);
      if (named) searching = true;
    }
  }
  void come_to_rest() {
    world.check(world.run_until_idle() == 1, "the worker does not sleep, though there is no work");
    world.check(arrivals.empty(), "a job lies in the inbox of a worker that sleeps");
    world.check(injected.empty(), "a job lies in the injector while the worker sleeps");
    world.check(sleepers.searching_hint() == 0, "a worker that sleeps counts as searching");
    over.store(true, order::release);
    static_cast<void>(sleep.unpark());
    world.wind_down();
  }
};

WEFT_MODEL_TEST(arrivals, a_job_sent_to_a_worker_ends_its_sleep,
                model::kills("arrivals_model.no_unpark", "arrivals_model.forgets_the_wake",
                             "inbox.push.never_first", "inbox.push.relaxed", "inbox.take.relaxed"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  toy_worker worker(model);
  linked_item items[2];
  model.thread("worker", [&] { worker.work(); });
  model.thread("sender", [&] { worker.send(items[0]); });
  model.thread("other sender", [&] { worker.send(items[1]); });
  worker.come_to_rest();
  for (linked_item& i : items) model.check(i.was_run(), "a job was not run");
}

// It is woken for its inbox while another thread names it for the injector: it must know whether it
// counts as searching.
WEFT_MODEL_TEST(arrivals, a_worker_woken_for_its_inbox_misses_nothing_else,
                model::kills("arrivals_model.no_wake_self", "arrivals_model.no_unpark"),
                model::stale_max(1, "the fences are the matter of idle_model.cpp"),
                model::spurious_max(0, "sleeps that end for nothing are the parker's model")) {
  toy_worker worker(model);
  linked_item items[2];
  model.thread("worker", [&] { worker.work(); });
  model.thread("sender", [&] { worker.send(items[0]); });
  model.thread("outsider", [&] { worker.inject(items[1]); });
  worker.come_to_rest();
  for (linked_item& i : items) model.check(i.was_run(), "a job was not run");
}

}  // namespace
}  // namespace weft
