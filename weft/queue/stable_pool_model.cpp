// stable_pool under all schedules: a node is one thread's alone, and comes
// with what was done to it.
#include "weft/queue/stable_pool.hpp"

#include "weft/testing/model/model.hpp"

namespace weft {
namespace {

struct node {
  atomic<std::uint32_t> next_free;
  plain<int> owned;
};

template <class Pool>
std::uint32_t take(model::world& model, Pool& pool) {
  const std::uint32_t id = pool.take();
  model.check(id != 0, "no node");
  model.check(pool[id].owned.get() == 0, "a node was taken by two");
  pool[id].owned.set(1);
  return id;
}
template <class Pool>
void give(Pool& pool, std::uint32_t id) {
  pool[id].owned.set(0);
  pool.give(id);
}

WEFT_MODEL_TEST(stable_pool, nodes_go_round,
                model::kills("stable_pool.take.relaxed", "stable_pool.give.relaxed")) {
  stable_pool<node, 2> pool;
  const auto first = take(model, pool), second = take(model, pool);
  give(pool, first);
  give(pool, second);
  for (int t = 0; t < 2; ++t) {
    model.thread([&] {
      const auto a = take(model, pool);
      give(pool, a);
      give(pool, take(model, pool));
    });
  }
  model.run();
}

WEFT_MODEL_TEST(stable_pool, grows_under_several_at_once,
                model::kills("stable_pool.grow.look_relaxed", "stable_pool.grow.publish_relaxed")) {
  stable_pool<node, 1, 4> pool;  // one node in the first chunk, two in the next
  for (int t = 0; t < 3; ++t) {
    model.thread([&] { static_cast<void>(take(model, pool)); });
  }
  model.run();
  for (std::uint32_t id = 1; id <= 3; ++id) {
    model.check(pool[id].owned.get() == 1, "a number was given to nobody");
  }
}

WEFT_MODEL_TEST(stable_pool, ends_with_its_numbers) {
  stable_pool<node, 1, 2> pool;
  for (int i = 0; i < 3; ++i) static_cast<void>(take(model, pool));
  model.check(pool.take() == 0, "a number too many");
  model.thread([] {});
  model.run();
}

// A take that sleeps while its node, the one below it, and its node again go round.
template <unsigned TagBits>
void node_comes_back(model::world& model) {
  stable_pool<node, 2, 32, TagBits> pool;
  std::uint32_t ids[3];
  for (std::uint32_t& id : ids) id = take(model, pool);
  for (const std::uint32_t id : ids) give(pool, id);
  model.thread("sleepy", [&] { static_cast<void>(take(model, pool)); });
  model.thread("quick", [&] {
    const auto a = take(model, pool);
    static_cast<void>(take(model, pool));
    give(pool, a);
  });
  model.run();
  static_cast<void>(take(model, pool));
}
WEFT_MODEL_TEST(stable_pool, aba_is_found_with_1_bit, model::expects_bug("taken by two")) {
  node_comes_back<1>(model);
}
WEFT_MODEL_TEST(stable_pool, no_aba_with_8_bits, model::kills("stable_pool.take.no_tag")) {
  node_comes_back<8>(model);
}

}  // namespace
}  // namespace weft
