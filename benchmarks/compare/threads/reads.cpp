// reads: a thread for each read in flight, and pread.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <thread>

#include "../../reads.hpp"

namespace {

void read_some(int file, const bench::block_order& order, std::size_t n,
               std::atomic<std::size_t>& next) {
  alignas(bench::block_bytes) char buffer[bench::block_bytes];
  for (std::size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < n;) {
    const auto block = order.at(i);
    const auto got =
        ::pread(file, buffer, sizeof buffer, static_cast<off_t>(block * bench::block_bytes));
    bench::check_block(buffer, block, got);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"reads"});
  const int file = ::open(o.file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC);
  if (file < 0) bench::wrong("open: %s", std::strerror(errno));
  bench::figures figures;
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    const bench::block_order order(o, r);
    std::atomic<std::size_t> next{0};
    const bench::stretch whole;
    std::vector<std::thread> readers;
    for (std::size_t t = 0; t < o.tasks; t++)
      readers.emplace_back(read_some, file, std::cref(order), o.n, std::ref(next));
    for (auto& reader : readers) reader.join();
    if (r != 0) whole.add_to(figures, o.n);
  }
  figures.print();
}
