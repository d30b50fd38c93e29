#include <algorithm>
#include <charconv>
#include <string>
#include <string_view>

#include "weft/os/affinity.hpp"
#include "weft/os/text_file.hpp"
#include "weft/os/topology.hpp"

namespace weft::os {
namespace {

struct range {
  unsigned first;
  unsigned last;
};

constexpr unsigned number_max = 1 << 20;  // Linux knows no more than 8192 CPUs and 1024 nodes

/// "0-3,8,10-11" and a line's end. Ranges stay ranges, so a wild number costs no memory. What does not
/// parse is no list at all: half of one would be a guess.
std::vector<range> parse_list(std::string_view text) {
  std::vector<range> ranges;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    range r{};
    auto [after, error] = std::from_chars(at, end, r.first);
    if (error != std::errc()) return {};
    r.last = r.first;
    if (after != end && *after == '-') {
      const auto second = std::from_chars(after + 1, end, r.last);
      if (second.ec != std::errc()) return {};
      after = second.ptr;
    }
    if (r.last < r.first || r.last > number_max) return {};
    ranges.push_back(r);
    if (after != end && *after++ != ',') return {};
    at = after;
  }
  return ranges;
}

bool contains(const std::vector<range>& ranges, unsigned number) noexcept {
  return std::ranges::any_of(ranges,
                             [number](range r) { return r.first <= number && number <= r.last; });
}

unsigned parse_number(std::string_view text, unsigned otherwise) noexcept {
  unsigned number = 0;
  const char* const end = text.data() + text.size();
  const auto [after, error] = std::from_chars(text.data(), end, number);
  const bool whole = error == std::errc() && (after == end || *after == '\n');
  return whole && number <= number_max ? number : otherwise;
}

class reader {
 public:
  explicit reader(const char* root) : system_(std::string(root) + "/sys/devices/system/") {}

  std::string text(const std::string& path) const { return read_text((system_ + path).c_str()); }
  std::vector<range> list(const std::string& path) const { return parse_list(text(path)); }

 private:
  const std::string system_;
};

/// The lowest of the CPUs that share a core with it.
unsigned core_of(const reader& files, unsigned cpu) {
  const std::string folder = "cpu/cpu" + std::to_string(cpu) + "/topology/";
  auto siblings = files.list(folder + "core_cpus_list");
  if (siblings.empty()) siblings = files.list(folder + "thread_siblings_list");  // before Linux 5.3
  if (!contains(siblings, cpu)) return cpu;
  return std::ranges::min(siblings, {}, &range::first).first;
}

void find_nodes(const reader& files, std::vector<cpu_place>& cpus) {
  const auto nodes = files.list("node/online");
  for (cpu_place& c : cpus) c.node = nodes.empty() ? 0 : nodes.front().first;
  constexpr unsigned nodes_max = 4096;  // a bound on the files that a wild list makes us try
  unsigned tried = 0;
  for (const range r : nodes) {
    for (unsigned node = r.first; node <= r.last && tried < nodes_max; ++node, ++tried) {
      const auto here = files.list("node/node" + std::to_string(node) + "/cpulist");
      for (cpu_place& c : cpus) {
        if (contains(here, c.cpu)) c.node = node;
      }
    }
  }
}

}  // namespace

topology read_topology(const char* root, std::span<const unsigned> allowed) {
  const reader files(root);
  topology found;
  const auto online = files.list("cpu/online");
  for (const unsigned cpu : allowed) {
    if (contains(online, cpu)) found.cpus.push_back({.cpu = cpu});
  }
  if (found.cpus.empty()) {
    for (const unsigned cpu : allowed) found.cpus.push_back({.cpu = cpu});
  }
  if (found.cpus.empty()) found.cpus.push_back({});
  std::ranges::sort(found.cpus, {}, &cpu_place::cpu);
  const auto twice = std::ranges::unique(found.cpus, {}, &cpu_place::cpu);
  found.cpus.erase(twice.begin(), twice.end());
  for (cpu_place& c : found.cpus) {
    c.core = core_of(files, c.cpu);
    // "-1" where firmware does not say.
    c.package = parse_number(
        files.text("cpu/cpu" + std::to_string(c.cpu) + "/topology/physical_package_id"), 0);
  }
  find_nodes(files, found.cpus);
  return found;
}

topology current_topology() { return read_topology("", allowed_cpus()); }

}  // namespace weft::os
