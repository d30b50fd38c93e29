// reads: random reads past the page cache by many tasks, as one writes it with weft. WEFT_DRIVER chooses
// the way: io_uring makes the calls itself, with epoll and poll threads of the blocking pool do.
#include "reads.hpp"

#include <atomic>
#include <weft/fs/direct.hpp>
#include <weft/fs/file.hpp>
#include <weft/weft.hpp>

namespace {

struct reading {
  const weft::fs::file& file;
  const bench::block_order order;
  const std::size_t n;
  std::atomic<std::size_t> next{0};
};

weft::task<> read_some(reading& r) {
  weft::fs::aligned_buffer buffer(bench::block_bytes, r.file.alignment());
  for (;;) {
    const auto i = r.next.fetch_add(1, std::memory_order_relaxed);
    if (i >= r.n) co_return;
    const auto block = r.order.at(i);
    const auto got = co_await r.file.read_at(buffer.bytes(), block * bench::block_bytes);
    if (!got) bench::wrong("read: %s", got.error().message().c_str());
    bench::check_block(buffer.bytes().data(), block, static_cast<std::int64_t>(*got));
  }
}

weft::task<bench::figures> measure(bench::options o) {
  weft::fs::open_options how;
  how.direct = true;
  const auto opened = co_await weft::fs::open(o.file, how);
  if (!opened) bench::wrong("open: %s", opened.error().message().c_str());
  bench::figures figures;
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    reading all{*opened, bench::block_order(o, r), o.n};
    const bench::stretch whole;
    std::vector<weft::join_handle<>> readers;
    for (std::size_t t = 0; t < o.tasks; t++)
      readers.push_back(weft::spawn(read_some, std::ref(all)));
    for (auto& reader : readers) co_await reader;
    if (r != 0) whole.add_to(figures, o.n);
  }
  co_return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"reads"});
  weft::runtime rt({.workers = o.workers});
  rt.block_on(rt.spawn(measure, o)).print();
}
