// placement: where the workers of a runtime are kept, how far that came, and whom a thief visits first.
//
//   Threads  settle(), settle_helper(): the thread in question; figures: any
//   Errors   a system that refuses (a container's policy, a CPU that went offline) costs speed, not
//            results: the worker goes on unpinned, and the metrics say so
#pragma once

#include <string_view>
#include <vector>

#include "weft/base/atomic.hpp"
#include "weft/runtime/environment.hpp"
#include "weft/runtime/options.hpp"
#include "weft/runtime/pin_plan.hpp"

namespace weft::detail {

/// All workers, those of one node first: a thief goes round in each of the two parts, beginning at
/// random. One table for all workers of a node, so 1024 workers need no million entries.
class victim_order {
 public:
  victim_order(const pin_plan& plan, unsigned workers, unsigned node);

  /// The `i`th to be visited, of workers() in all. `begin` is random, and the same for the whole round.
  unsigned at(unsigned begin, unsigned i) const noexcept {
    if (i < near_) return order_[(begin + i) % near_];
    return order_[near_ + (begin + i) % (order_.size() - near_)];
  }

 private:
  std::vector<unsigned> order_;
  unsigned near_ = 0;
};

class placement {
 public:
  placement(const runtime_options& options, environment& env, unsigned workers);

  /// At the start of worker `index`'s thread.
  void settle(unsigned index) noexcept;
  /// Of a thread that goes on as worker `index`, from now on: it is no news for the figures.
  void settle_successor(unsigned index) const noexcept;
  /// At the start of a thread that serves all workers. The system lets it begin with the mask of whoever
  /// started it, which would be one worker's.
  void settle_helper() const noexcept;

  const victim_order& victims(unsigned index) const noexcept { return victims_[order_of_[index]]; }
  unsigned pinned() const noexcept { return pinned_.load(order::relaxed); }
  /// A static text; "" without pinning.
  std::string_view reason() const noexcept;

 private:
  pin_plan plan_;
  std::vector<unsigned> whole_mask_;  // of the thread that made the runtime; empty without pinning
  std::vector<victim_order> victims_;
  std::vector<unsigned> order_of_;  // worker -> in victims_
  atomic<unsigned> pinned_{0};
  atomic<unsigned> refused_{0};
};

}  // namespace weft::detail
