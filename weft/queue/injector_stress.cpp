// injector with real threads: every item comes out once, and in its pusher's order.
#include "weft/queue/injector.hpp"

#include <gtest/gtest.h>

#include "weft/queue/batches_test_support.hpp"

namespace weft {
namespace {

TEST(injector_stress, every_item_comes_out_once_and_in_order) {
  injector<test_support::linked> q;
  test_support::push_and_pop_in_batches(q);
}

}  // namespace
}  // namespace weft
