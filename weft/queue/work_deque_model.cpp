// work_deque under all schedules: each item is taken once, by an owner that has neither exchange nor
// fence in its pop, or by a thief; no slot is read while it is written, none after its buffer died.
#include "weft/queue/work_deque.hpp"

#include "weft/os/membarrier.hpp"
#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;
using deque = work_deque<linked_item>;

constexpr bool asymmetric = true;
constexpr bool symmetric = false;

void heavy() { os::heavy_fence(); }
/// Where membarrier is refused the deque must not call it.
void refused() { model::world().check(false, "a heavy fence was asked for in vain"); }

template <class Deque>
void push(Deque& d, linked_item& item) {
  item.prepare();
  d.push(&item);
}

template <class Deque>
bool pop_and_run(Deque& d) {
  linked_item* const i = d.pop();
  if (i) i->run();
  return i != nullptr;
}

template <class Deque>
void drain(Deque& d) {
  while (pop_and_run(d)) {
  }
}

template <class Deque>
unsigned steal_and_run(Deque& d, unsigned max = 1, void (*fence)() = heavy) {
  linked_item* taken[4];
  const unsigned n = d.steal_batch(fence, taken, max);
  for (unsigned i = 0; i < n; ++i) {
    model::world().check(taken[i] != nullptr, "a slot was taken that nobody had filled");
    taken[i]->run();
  }
  return n;
}

template <unsigned N>
void check_all_run(model::world& model, linked_item (&items)[N]) {
  for (linked_item& i : items) model.check(i.was_run(), "an item was lost");
}

// ---- the last item ---------------------------------------------------------------------------

WEFT_MODEL_TEST(work_deque, last_item_goes_to_one_of_owner_and_thief,
                model::kills("work_deque.push.bottom_relaxed", "work_deque.steal.bottom_relaxed",
                             "work_deque.pop.load_first", "work_deque.pop.ignores_claims",
                             "work_deque.steal.no_heavy_fence", "work_deque.steal.bottom_before",
                             "work_deque.steal.firm_by_store", "work_deque.steal.after_loss"),
                model::reaches("owner", "thief")) {
  deque d(asymmetric, 2);
  linked_item items[2];
  model.thread("owner", [&] {
    push(d, items[0]);
    if (pop_and_run(d)) model.outcome("owner");
    push(d, items[1]);
    drain(d);
  });
  model.thread("thief", [&] {
    if (steal_and_run(d) != 0) model.outcome("thief");
  });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(work_deque, last_item_with_two_thieves,
                model::kills("work_deque.steal.over_a_claim")) {
  deque d(asymmetric, 2);
  linked_item items[2];
  model.thread("owner", [&] {
    for (linked_item& i : items) push(d, i);
    drain(d);
  });
  for (const char* name : {"thief 1", "thief 2"}) model.thread(name, [&] { steal_and_run(d); });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(work_deque, last_item_without_membarrier,
                model::kills("work_deque.pop.no_exchange", "work_deque.pop.exchange_acq_rel",
                             "work_deque.pop.top_not_seq_cst", "work_deque.steal.no_heavy_fence"),
                model::reaches("owner", "thief")) {
  deque d(symmetric, 2);
  linked_item items[2];
  model.thread("owner", [&] {
    push(d, items[0]);
    if (pop_and_run(d)) model.outcome("owner");
    push(d, items[1]);
    drain(d);
  });
  model.thread("thief", [&] {
    if (steal_and_run(d, 1, refused) != 0) model.outcome("thief");
  });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(work_deque, two_thieves_without_membarrier) {
  deque d(symmetric, 2);
  linked_item items[2];
  model.thread("owner", [&] {
    for (linked_item& i : items) push(d, i);
    drain(d);
  });
  for (const char* name : {"thief 1", "thief 2"}) {
    model.thread(name, [&] { steal_and_run(d, 1, refused); });
  }
  model.run();
  check_all_run(model, items);
}

// The claim that the owner took away is made again by the second thief: the first must not mistake
// it for its own.
WEFT_MODEL_TEST(work_deque, settled_claim_does_not_come_back,
                model::kills("work_deque.pop.keeps_start")) {
  deque d(asymmetric, 2);
  linked_item items[2];
  model.thread("owner", [&] {
    for (linked_item& i : items) {
      push(d, i);
      pop_and_run(d);
    }
  });
  for (const char* name : {"thief 1", "thief 2"}) model.thread(name, [&] { steal_and_run(d); });
  model.run();
  check_all_run(model, items);
}

// ---- pop_if: what fork_join does ---------------------------------------------------------------

WEFT_MODEL_TEST(work_deque, pop_if_is_true_exactly_when_nobody_stole_it,
                model::kills("work_deque.pop.ignores_claims", "work_deque.pop.load_first"),
                model::reaches("inner stolen", "outer stolen", "nothing stolen")) {
  deque d(asymmetric, 2);
  linked_item outer, inner;
  plain<bool> outer_mine(false), inner_mine(false);
  model.thread("owner", [&] {
    push(d, outer);
    push(d, inner);
    inner_mine.set(d.pop_if(&inner));
    if (inner_mine.get()) {
      inner.run();
      model.check(!d.pop_if(&inner), "a stale slot was taken for an item");
    }
    outer_mine.set(d.pop_if(&outer));
    if (outer_mine.get()) {
      outer.run();
      model.check(!d.pop_if(&outer), "a stale slot was taken for an item");
    }
  });
  for (const char* name : {"thief 1", "thief 2"}) model.thread(name, [&] { steal_and_run(d); });
  model.run();
  model.check(inner.was_run() && outer.was_run(), "an item was lost");
  model.outcome(!inner_mine.get()   ? "inner stolen"
                : !outer_mine.get() ? "outer stolen"
                                    : "nothing stolen");
}

// ---- several at once ---------------------------------------------------------------------------

void batch_against_pops(model::world& model, bool mode, void (*fence)()) {
  deque d(mode, 4);
  linked_item items[4];
  for (linked_item& i : items) push(d, i);
  model.thread("owner", [&] { drain(d); });
  model.thread("thief", [&] {
    const unsigned n = steal_and_run(d, 4, fence);
    model.outcome(n == 0 ? "none" : n == 1 ? "one" : "two");
  });
  model.run();
  check_all_run(model, items);
}
WEFT_MODEL_TEST(work_deque, batch_against_pops,
                model::kills("work_deque.pop.load_first", "work_deque.pop.ignores_claims",
                             "work_deque.steal.no_heavy_fence", "work_deque.steal.bottom_before",
                             "work_deque.steal.firm_by_store"),
                model::reaches("none", "one", "two")) {
  batch_against_pops(model, asymmetric, heavy);
}
WEFT_MODEL_TEST(work_deque, batch_against_pops_without_membarrier,
                model::kills("work_deque.pop.no_exchange", "work_deque.pop.exchange_acq_rel",
                             "work_deque.pop.top_not_seq_cst"),
                model::reaches("none", "one", "two")) {
  batch_against_pops(model, symmetric, refused);
}

// The owner eats into the claim from its young end and pushes there anew, over slots that the thief
// would have copied.
WEFT_MODEL_TEST(work_deque, batch_against_pop_and_push,
                model::kills("work_deque.pop.bottom_relaxed", "work_deque.pop.ignores_claims",
                             "work_deque.pop.does_not_cut", "work_deque.steal.ignores_cut")) {
  deque d(asymmetric, 4);
  linked_item items[5];
  model.thread("owner", [&] {
    for (int i = 0; i < 3; ++i) push(d, items[i]);
    pop_and_run(d);
    pop_and_run(d);
    push(d, items[3]);
    push(d, items[4]);
    drain(d);
  });
  model.thread("thief", [&] { steal_and_run(d, 4); });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(work_deque, batches_of_two_thieves) {
  deque d(asymmetric, 4);
  linked_item items[4];
  for (linked_item& i : items) push(d, i);
  model.thread("owner", [&] { drain(d); });
  for (const char* name : {"thief 1", "thief 2"}) model.thread(name, [&] { steal_and_run(d, 2); });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(work_deque, pushed_batch_is_seen_whole,
                model::kills("work_deque.push_batch.relaxed"), model::reaches("before", "after")) {
  deque d(asymmetric, 2);
  linked_item items[3];
  model.thread("owner", [&] {
    linked_item* batch[3];
    for (unsigned i = 0; i < 3; ++i) {
      items[i].prepare();
      batch[i] = &items[i];
    }
    d.push_batch(batch);
    drain(d);
  });
  model.thread("thief", [&] {
    const std::size_t n = d.len_hint();
    model.check(n <= 3, "more is seen than there was");
    model.outcome(n == 0 ? "before" : "after");
    steal_and_run(d, 4);
  });
  model.run();
  check_all_run(model, items);
}

// ---- slots and buffers -------------------------------------------------------------------------

// The ring comes round to the slots that a thief is copying.
WEFT_MODEL_TEST(work_deque, slot_is_written_again_after_it_was_copied,
                model::kills("work_deque.push.top_relaxed", "work_deque.steal.done_relaxed",
                             "work_deque.push.room_in_claim")) {
  deque d(asymmetric, 2);
  linked_item items[4];
  model.thread("owner", [&] {
    for (linked_item& i : items) push(d, i);
    drain(d);
  });
  model.thread("thief", [&] {
    steal_and_run(d);
    steal_and_run(d);
  });
  model.run();
  check_all_run(model, items);
}

// As before, but what tells the owner is not a push that found no room: it is a pop that found
// nothing.
WEFT_MODEL_TEST(work_deque, empty_pop_learns_that_slots_are_free,
                model::kills("work_deque.pop.top_relaxed", "work_deque.pop.room_in_claim")) {
  deque d(asymmetric, 2);
  linked_item items[4];
  model.thread("owner", [&] {
    push(d, items[0]);
    push(d, items[1]);
    drain(d);
    push(d, items[2]);
    push(d, items[3]);
    drain(d);
  });
  model.thread("thief", [&] { steal_and_run(d, 2); });
  model.run();
  check_all_run(model, items);
}

// What the first thief has copied, the owner hears of through the second one's word.
WEFT_MODEL_TEST(work_deque, second_thief_passes_on_what_the_first_has_done) {
  deque d(asymmetric, 2);
  linked_item items[4];
  push(d, items[0]);
  push(d, items[1]);
  model.thread("owner", [&] {
    push(d, items[2]);
    push(d, items[3]);
    drain(d);
  });
  for (const char* name : {"thief 1", "thief 2"}) model.thread(name, [&] { steal_and_run(d); });
  model.run();
  check_all_run(model, items);
}

WEFT_MODEL_TEST(work_deque, growth_under_a_thief,
                model::kills("work_deque.grow.publish_relaxed", "work_deque.steal.buffer_relaxed",
                             "work_deque.grow.from_end", "work_deque.grow.one_less",
                             "work_deque.grow.frees"),
                model::reaches("stolen", "not stolen")) {
  deque d(asymmetric, 2);
  linked_item items[4];
  push(d, items[0]);
  push(d, items[1]);
  model.thread("owner", [&] {
    push(d, items[2]);
    push(d, items[3]);
    drain(d);
  });
  model.thread("thief", [&] { model.outcome(steal_and_run(d, 2) != 0 ? "stolen" : "not stolen"); });
  model.run();
  check_all_run(model, items);
}

// Twice in a row, from a ring that has come round: old buffers stay readable.
WEFT_MODEL_TEST(work_deque, growth_twice_under_a_thief, model::kills("work_deque.grow.frees")) {
  deque d(asymmetric, 1);
  linked_item items[4];
  model.thread("owner", [&] {
    for (linked_item& i : items) push(d, i);
    drain(d);
  });
  model.thread("thief", [&] {
    steal_and_run(d);
    steal_and_run(d, 2);
  });
  model.run();
  check_all_run(model, items);
}

// ---- the owner's role moves ----------------------------------------------------------------------

WEFT_MODEL_TEST(work_deque, owner_is_handed_over,
                model::kills("work_deque_model.relaxed_hand_over")) {
  deque d(asymmetric, 2);
  linked_item items[4];
  atomic<int> handed(0);
  model.thread("first owner", [&] {
    push(d, items[0]);
    push(d, items[1]);
    pop_and_run(d);
    push(d, items[2]);
    handed.store(
        1, model.mutant("work_deque_model.relaxed_hand_over") ? order::relaxed : order::release);
  });
  model.thread("second owner", [&] {
    if (handed.load(order::acquire) == 0) return;
    pop_and_run(d);
    push(d, items[3]);
    drain(d);
  });
  model.thread("thief", [&] { steal_and_run(d, 2); });
  model.run();
  if (!items[3].prepared.get()) push(d, items[3]);
  drain(d);
  check_all_run(model, items);
}

// ---- the hints -----------------------------------------------------------------------------------

// What a worker relies on before it sleeps: pusher stores, fence, look for sleepers; sleeper
// registers, fence, looks at the deque.
WEFT_MODEL_TEST(work_deque, hint_shows_an_item_across_two_fences) {
  deque d(asymmetric, 2);
  linked_item item;
  atomic<int> asleep(0);
  plain<bool> seen_asleep(false), seen_item(false);
  model.thread("owner", [&] {
    push(d, item);
    fence(order::seq_cst);
    seen_asleep.set(asleep.load(order::relaxed) != 0);
  });
  model.thread("sleeper", [&] {
    asleep.store(1, order::relaxed);
    fence(order::seq_cst);
    seen_item.set(!d.empty_hint());
  });
  model.thread("thief", [&] { steal_and_run(d); });
  model.run();
  // A thief that runs it is awake itself.
  model.check(seen_asleep.get() || seen_item.get() || item.was_run(), "a wake was lost");
  drain(d);
}

// A thief that found another at work may go to sleep: the other one has found something, or all was
// taken by the owner.
WEFT_MODEL_TEST(work_deque, one_of_two_thieves_gets_something_if_the_owner_takes_nothing) {
  deque d(asymmetric, 2);
  linked_item items[2];
  push(d, items[0]);
  push(d, items[1]);
  plain<unsigned> got[2];
  for (int t = 0; t < 2; ++t) model.thread([&, t] { got[t].set(steal_and_run(d)); });
  model.run();
  model.check(got[0].get() + got[1].get() >= 1, "two thieves stood in each other's way");
  drain(d);
  check_all_run(model, items);
}

// ---- the index -----------------------------------------------------------------------------------

// One thief sleeps in its claim. The owner takes that item from it, and then others steal until start
// is the same again, with 3 bits after eight items; if the next thief claims there, its claim looks
// like that of the first, and both run the item. What happens during the sleep is told as part of it, in one thread: only
// where the two thieves meet is there something to explore.
template <class Index, unsigned ClaimBits>
void whole_turn_of_the_index(model::world& model) {
  work_deque<linked_item, Index, ClaimBits> d(asymmetric, 1);
  linked_item items[9];
  push(d, items[0]);
  model.thread("sleeper", [&] {
    linked_item* const taken = d.steal([&] {
      os::heavy_fence();
      pop_and_run(d);
      for (int i = 1; i < 8; ++i) {
        push(d, items[i]);
        if (steal_and_run(d) == 0) drain(d);
      }
      push(d, items[8]);
    });
    if (taken) taken->run();
    if (!items[8].prepared.get()) {  // the other thief had claimed before it could
      pop_and_run(d);
      for (int i = 1; i < 9; ++i) push(d, items[i]), drain(d);
    }
    drain(d);
  });
  model.thread("thief", [&] { steal_and_run(d); });
  model.run();
  check_all_run(model, items);
}
WEFT_MODEL_TEST(work_deque, aba_is_found_with_3_bits, model::expects_bug("data race")) {
  whole_turn_of_the_index<std::uint8_t, 5>(model);
}
WEFT_MODEL_TEST(work_deque, no_aba_with_4_bits) { whole_turn_of_the_index<std::uint8_t, 4>(model); }

}  // namespace
}  // namespace weft
