#include "weft/runtime/placement.hpp"

#include <map>

#include "weft/os/affinity.hpp"

namespace weft::detail {

victim_order::victim_order(const pin_plan& plan, unsigned workers, unsigned node) {
  const auto is_near = [&](unsigned w) {
    return plan.workers.empty() || plan.workers[w].node == node;
  };
  for (unsigned w = 0; w < workers; ++w) {
    if (is_near(w)) order_.push_back(w);
  }
  near_ = static_cast<unsigned>(order_.size());
  for (unsigned w = 0; w < workers; ++w) {
    if (!is_near(w)) order_.push_back(w);
  }
}

placement::placement(const runtime_options& options, environment& env, unsigned workers) {
  if (options.pin != pinning::none) {
    const os::topology machine = env.topology();
    plan_ = plan_pins(machine, options.pin, workers);
    for (const os::cpu_place& c : machine.cpus) whole_mask_.push_back(c.cpu);
  }
  std::map<unsigned, unsigned> table_of;  // by node
  for (unsigned w = 0; w < workers; ++w) {
    const unsigned node = plan_.workers.empty() ? 0 : plan_.workers[w].node;
    const auto [at, fresh] = table_of.try_emplace(node, static_cast<unsigned>(victims_.size()));
    if (fresh) victims_.emplace_back(plan_, workers, node);
    order_of_.push_back(at->second);
  }
}

void placement::settle(unsigned index) noexcept {
  if (plan_.workers.empty()) return;
  const bool agreed = os::pin_current_thread(plan_.workers[index].cpus);
  (agreed ? pinned_ : refused_).fetch_add(1, order::relaxed);
}

void placement::settle_successor(unsigned index) const noexcept {
  if (!plan_.workers.empty()) static_cast<void>(os::pin_current_thread(plan_.workers[index].cpus));
}

void placement::settle_helper() const noexcept {
  if (!whole_mask_.empty()) static_cast<void>(os::pin_current_thread(whole_mask_));
}

std::string_view placement::reason() const noexcept {
  if (plan_.workers.empty()) return "";
  if (refused_.load(order::relaxed) != 0) return "the system refused to pin some workers";
  if (plan_.crowded) return "there are more workers than CPUs: some share theirs";
  return "each worker has a place";
}

}  // namespace weft::detail
