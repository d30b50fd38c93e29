// reads: what the C++ programs of random file reads share: which blocks are read, what must be in them,
// and the time and the CPU time of it. benchmarks/README.md says what is measured.
#pragma once

#include <filesystem>

#include "measure.hpp"

namespace bench {

inline constexpr std::size_t block_bytes = 4096;

/// The blocks of one repetition. Block b of the file begins with mixed(b), as ./bench wrote it.
class block_order {
 public:
  block_order(const options& o, unsigned repetition)
      : blocks_(std::filesystem::file_size(o.file) / block_bytes), first_(repetition * o.n) {
    if (blocks_ == 0) wrong("%s is shorter than a block", o.file.c_str());
  }
  /// Other ones in each repetition.
  std::uint64_t at(std::size_t i) const { return mixed(first_ + i) % blocks_; }

 private:
  std::uint64_t blocks_;
  std::size_t first_;
};

inline void check_block(const void* bytes, std::uint64_t block, std::int64_t answer) {
  std::uint64_t begin = 0;
  if (answer != static_cast<std::int64_t>(block_bytes))
    wrong("a read gave %lld", static_cast<long long>(answer));
  std::memcpy(&begin, bytes, sizeof begin);
  if (begin != mixed(block))
    wrong("this is not block %llu", static_cast<unsigned long long>(block));
}

/// From its making to add_to(): microseconds, and those of all CPUs, for each of n reads.
class stretch {
 public:
  void add_to(figures& all, std::size_t n) const {
    all.add("us", static_cast<double>(now_ns() - begin_ns_) / 1e3 / static_cast<double>(n));
    all.add("cpu_us", (cpu_s() - begin_cpu_s_) * 1e6 / static_cast<double>(n));
  }

 private:
  std::int64_t begin_ns_ = now_ns();
  double begin_cpu_s_ = cpu_s();
};

}  // namespace bench
