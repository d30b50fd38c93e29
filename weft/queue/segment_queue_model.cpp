// segment_queue under all schedules, with blocks of two items: order, conservation, blocks that are
// used anew at once, and what a searcher may trust (P5).
#include "weft/queue/segment_queue.hpp"

#include "weft/testing/model/linked_item.hpp"
#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

using model::linked_item;

template <unsigned LifeBits = 34, unsigned FirstBits = 2>
using queue = segment_queue<linked_item, 3, LifeBits, FirstBits>;

template <class Queue>
void push(Queue& q, linked_item& item) {
  item.prepare();
  q.push(&item);
}
template <class Queue>
void push_two(Queue& q, linked_item& a, linked_item& b) {
  a.prepare();
  b.prepare();
  a.next = &b;
  q.push_batch(&a, &b, 2);
}
template <class Queue>
void pop(Queue& q) {
  if (linked_item* i = q.pop()) i->run();
}
template <class Queue>
void drain(Queue& q) {
  while (linked_item* i = q.pop()) i->run();
}
template <unsigned N>
void check_all_run(model::world& model, linked_item (&items)[N]) {
  for (linked_item& i : items) model.check(i.was_run(), "an item was lost");
}

WEFT_MODEL_TEST(segment_queue, two_push_one_pops,
                model::kills("segment_queue.push.relaxed", "segment_queue.pop.slot_relaxed"),
                model::stale_max(1, "more takes minutes")) {
  model.label("queue");
  queue<> q;
  linked_item items[3];
  model.thread("single", [&] { push(q, items[0]); });
  model.thread("batch", [&] { push_two(q, items[1], items[2]); });
  model.thread("popper", [&] {
    const auto got = q.pop_batch(2);
    unsigned n = 0;
    for (linked_item* i = got.first; i; i = i->next) i->run(), ++n;
    model.check(n == got.count, "the chain has another length than it says");
    pop(q);
  });
  model.run();
  model.check(q.empty() == (q.len_hint() == 0), "empty and len_hint differ");
  const bool second = items[2].was_run();
  while (linked_item* i = q.pop()) {
    if (i == &items[1]) model.check(!second, "a batch was taken out of order");
    i->run();
  }
  check_all_run(model, items);
}

WEFT_MODEL_TEST(segment_queue, keeps_order) {
  model.label("queue");
  queue<> q;
  linked_item items[5];
  model.thread("pusher", [&] {
    for (linked_item& i : items) push(q, i);
  });
  int next = 0;
  const auto take = [&](linked_item* i) {
    model.check(i == &items[next++], "two items changed places, or one was lost");
    i->run();
  };
  model.thread("popper", [&] {
    for (int k = 0; k < 3; ++k) {
      if (linked_item* i = q.pop()) take(i);
    }
  });
  model.run();
  while (linked_item* i = q.pop()) take(i);
  check_all_run(model, items);
}

// A batch hangs blocks in, while another pusher and a popper come to the place where it does.
WEFT_MODEL_TEST(segment_queue, pushes_over_the_end_of_a_block,
                model::stale_max(0, "the orders are the other models' matter")) {
  model.label("queue");
  queue<> q;
  linked_item items[5];
  push(q, items[0]);
  model.thread("first", [&] { push_two(q, items[1], items[2]); });
  model.thread("second", [&] {
    push(q, items[3]);
    push(q, items[4]);
  });
  model.thread("popper", [&] { pop(q); });
  model.run();
  drain(q);
  model.check(q.len_hint() == 0, "an empty queue has a length");
  check_all_run(model, items);
}

// A popper comes to a block that a slow pusher has hung in, and not moved the tail to. The block
// before it must not go round while the tail names it.
WEFT_MODEL_TEST(segment_queue, pop_behind_a_slow_push,
                model::kills("segment_queue.pop.passes_tail"),
                model::stale_max(0, "what counts here is who moves when")) {
  model.label("queue");
  queue<> q;
  linked_item items[5];
  push(q, items[0]);
  model.thread("batch", [&] { push_two(q, items[1], items[2]); });
  model.thread("slow", [&] {
    push(q, items[3]);
    push(q, items[4]);
  });
  model.thread("popper", [&] { pop(q), pop(q), pop(q); });
  model.run();
  drain(q);
  check_all_run(model, items);
}

// Two poppers of several at once, over the end of a block.
WEFT_MODEL_TEST(segment_queue, two_pop_batches,
                model::stale_max(0, "the orders are the other models' matter")) {
  model.label("queue");
  queue<> q;
  linked_item items[5];
  for (int i = 0; i < 4; ++i) push(q, items[i]);
  for (int t = 0; t < 2; ++t) {
    model.thread("popper", [&] {
      linked_item* before = nullptr;
      for (linked_item* i = q.pop_batch(3).first; i; i = i->next) {
        model.check(!before || before < i, "two items changed places");
        i->run();
        before = i;
      }
    });
  }
  model.thread("pusher", [&] { push(q, items[4]); });
  model.run();
  drain(q);
  check_all_run(model, items);
}

// Blocks that others made and this thread has never heard of (a chunk of the pool each).
WEFT_MODEL_TEST(segment_queue, push_into_a_new_chunk,
                model::kills("segment_queue.end.tail_relaxed", "segment_queue.help.relaxed",
                             "segment_queue.hang.relaxed", "segment_queue.end.slot_relaxed"),
                model::stale_max(1, "more takes minutes")) {
  model.label("queue");
  queue<34, 1> q;
  linked_item items[4];
  model.thread("grows", [&] {
    push_two(q, items[0], items[1]);
    push(q, items[2]);
  });
  model.thread("knows nothing", [&] { push(q, items[3]); });
  model.run();
  drain(q);
  check_all_run(model, items);
}
WEFT_MODEL_TEST(segment_queue, pop_from_a_new_chunk,
                model::kills("segment_queue.pop.head_relaxed", "segment_queue.leave.relaxed"),
                model::stale_max(1, "more takes minutes")) {
  model.label("queue");
  queue<34, 1> q;
  linked_item items[3];
  push(q, items[0]);
  model.thread("grows", [&] { push_two(q, items[1], items[2]); });
  model.thread("leaves", [&] { pop(q), pop(q); });
  model.thread("knows nothing", [&] { pop(q); });
  model.run();
  drain(q);
  check_all_run(model, items);
}

// P5, with a pusher who goes by what another one, not yet fenced, has pushed.
WEFT_MODEL_TEST(segment_queue, pusher_or_sleeper_sees_the_other,
                model::kills("segment_queue_model.pusher_fence",
                             "segment_queue_model.sleeper_fence",
                             "segment_queue.push.filled_relaxed")) {
  model.label("queue");
  queue<> q;
  atomic<bool> asleep(false);
  linked_item items[2];
  bool pusher_saw = false, sleeper_saw = false;
  model.thread("slow", [&] { push(q, items[0]); });
  model.thread("pusher", [&] {
    push(q, items[1]);
    if (!model.mutant("segment_queue_model.pusher_fence")) fence(order::seq_cst);
    pusher_saw = asleep.load(order::relaxed);
  });
  model.thread("sleeper", [&] {
    asleep.store(true, order::relaxed);
    if (!model.mutant("segment_queue_model.sleeper_fence")) fence(order::seq_cst);
    sleeper_saw = !q.empty();
  });
  model.run();
  model.check(pusher_saw || sleeper_saw, "an item lies there and its taker sleeps");
  drain(q);
}
// The same over the end of a block, with the head and the tail on the move.
WEFT_MODEL_TEST(segment_queue, pusher_or_sleeper_at_the_end_of_a_block,
                model::kills("segment_queue_model.pusher_fence",
                             "segment_queue_model.sleeper_fence"),
                model::stale_max(2, "more takes minutes")) {
  model.label("queue");
  queue<> q;
  atomic<bool> asleep(false);
  linked_item items[4];
  push(q, items[0]);
  push(q, items[1]);
  bool pusher_saw = false, sleeper_saw = false;
  model.thread("popper", [&] { pop(q), pop(q); });
  model.thread("pusher", [&] {
    push_two(q, items[2], items[3]);
    if (!model.mutant("segment_queue_model.pusher_fence")) fence(order::seq_cst);
    pusher_saw = asleep.load(order::relaxed);
  });
  model.thread("sleeper", [&] {
    asleep.store(true, order::relaxed);
    if (!model.mutant("segment_queue_model.sleeper_fence")) fence(order::seq_cst);
    sleeper_saw = !q.empty();
  });
  model.run();
  model.check(pusher_saw || sleeper_saw, "an item lies there and its taker sleeps");
  drain(q);
  check_all_run(model, items);
}

// A popper and a pusher sleep while their block is emptied, used anew, and emptied again.
template <unsigned LifeBits>
void block_comes_back(model::world& model) {
  model.label("queue");
  queue<LifeBits, 2> q;
  linked_item items[11];
  push(q, items[0]);
  model.thread("sleepy", [&] { pop(q); });
  model.thread("owner", [&] {
    for (int i = 1; i < 11; ++i) {
      push(q, items[i]);
      pop(q);
    }
  });
  model.run();
  drain(q);
  check_all_run(model, items);
}
template <unsigned LifeBits>
void push_into_a_block_that_comes_back(model::world& model) {
  model.label("queue");
  queue<LifeBits, 2> q;
  linked_item items[10];
  bool visible = true;
  model::ghost<bool> had(false);  // no step lies between a claim and what is done with it
  model.thread("sleepy", [&] {
    push(q, items[0]);
    visible = !q.empty() || had.get();
  });
  model.thread("owner", [&] {
    for (int i = 1; i < 10; ++i) {
      push(q, items[i]);
      linked_item* const got = i < 9 ? q.pop() : nullptr;
      if (!got) continue;
      got->run();
      if (got == &items[0]) had.set(true);
    }
  });
  model.run();
  drain(q);
  model.check(visible, "a push ended, and its item could not be found");
  check_all_run(model, items);
}
WEFT_MODEL_TEST(segment_queue, aba_is_found_with_1_bit, model::expects_bug("data race")) {
  block_comes_back<1>(model);
}
WEFT_MODEL_TEST(segment_queue, no_aba_with_8_bits,
                model::stale_max(0, "what counts here is who moves when")) {
  block_comes_back<8>(model);
}
WEFT_MODEL_TEST(segment_queue, push_into_a_later_life_is_found_with_1_bit,
                model::expects_bug("could not be found")) {
  push_into_a_block_that_comes_back<1>(model);
}
WEFT_MODEL_TEST(segment_queue, no_push_into_a_later_life_with_8_bits,
                model::kills("segment_queue.end.any_life"),
                model::stale_max(0, "what counts here is who moves when")) {
  push_into_a_block_that_comes_back<8>(model);
}

}  // namespace
}  // namespace weft
