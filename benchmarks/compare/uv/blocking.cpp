// blocking: to a thread of libuv's pool, and back. See benchmarks/README.md.
#include <uv.h>

#include "../../measure.hpp"

namespace {

struct trips {
  std::size_t made = 0, wanted = 0;
  std::size_t got = 0;
};

void perform(uv_work_t* work) {
  auto& t = *static_cast<trips*>(work->data);
  t.got = t.made + 1;
}

void performed(uv_work_t* work, int) {
  auto& t = *static_cast<trips*>(work->data);
  if (t.got != ++t.made) bench::wrong("trip %zu gave %zu", t.made, t.got);
  if (t.made != t.wanted) uv_queue_work(work->loop, work, perform, performed);
}

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"blocking"});
  uv_loop_t loop;
  uv_loop_init(&loop);
  bench::figures figures;
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    trips t;
    t.wanted = o.n;
    uv_work_t work;
    work.data = &t;
    const auto begin = bench::now_ns();
    uv_queue_work(&loop, &work, perform, performed);
    uv_run(&loop, UV_RUN_DEFAULT);
    if (t.made != o.n) bench::wrong("%zu trips", t.made);
    const auto us = static_cast<double>(bench::now_ns() - begin) / 1e3;
    if (r != 0) figures.add("us", us / static_cast<double>(o.n));
  }
  figures.print();
}
