// reads: what io_uring itself can do: one thread, as many reads in flight as asked for, one system call a
// turn. With --fixed 1 the file and the buffers are registered, which spares the kernel looking them up.
#include <fcntl.h>
#include <liburing.h>

#include <cerrno>
#include <cstring>

#include "../../reads.hpp"

namespace {

class reader {
 public:
  reader(const bench::options& o, bool fixed)
      : file_(::open(o.file.c_str(), O_RDONLY | O_DIRECT | O_CLOEXEC)),
        depth_(o.tasks),
        fixed_(fixed) {
    if (file_ < 0) bench::wrong("open: %s", std::strerror(errno));
    io_uring_params how{};
    how.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (const int e = io_uring_queue_init_params(static_cast<unsigned>(depth_), &ring_, &how))
      bench::wrong("io_uring (Linux 6.1 has it): %s", std::strerror(-e));
    io_uring_register_ring_fd(&ring_);
    memory_ =
        static_cast<char*>(std::aligned_alloc(bench::block_bytes, depth_ * bench::block_bytes));
    if (memory_ == nullptr) bench::wrong("no memory");
    std::memset(memory_, 0, depth_ * bench::block_bytes);
    block_of_.resize(depth_);
    if (!fixed_) return;
    const iovec all{memory_, depth_ * bench::block_bytes};
    if (io_uring_register_buffers(&ring_, &all, 1) != 0 ||
        io_uring_register_files(&ring_, &file_, 1) != 0)
      bench::wrong("the buffers cannot be registered");
  }

  void read(const bench::block_order& order, std::size_t n) {
    std::size_t begun = 0, done = 0;
    for (; begun < depth_ && begun < n; begun++) begin(begun, order.at(begun));
    while (done < n) {
      const int e = io_uring_submit_and_wait(&ring_, 1);
      if (e < 0 && e != -EINTR) bench::wrong("io_uring_enter: %s", std::strerror(-e));
      io_uring_cqe* cqe = nullptr;
      unsigned head = 0, seen = 0;
      io_uring_for_each_cqe(&ring_, head, cqe) {
        const auto slot = static_cast<std::size_t>(cqe->user_data);
        bench::check_block(memory_ + slot * bench::block_bytes, block_of_[slot], cqe->res);
        seen++;
        if (begun < n) begin(slot, order.at(begun++));
      }
      io_uring_cq_advance(&ring_, seen);
      done += seen;
    }
  }

 private:
  void begin(std::size_t slot, std::uint64_t block) {
    io_uring_sqe* e = io_uring_get_sqe(&ring_);
    if (e == nullptr) bench::wrong("more requests than the ring has room for");
    char* to = memory_ + slot * bench::block_bytes;
    if (fixed_) {
      io_uring_prep_read_fixed(e, 0, to, bench::block_bytes, block * bench::block_bytes, 0);
      e->flags |= IOSQE_FIXED_FILE;
    } else {
      io_uring_prep_read(e, file_, to, bench::block_bytes, block * bench::block_bytes);
    }
    e->user_data = slot;
    block_of_[slot] = block;
  }

  int file_;
  std::size_t depth_;
  bool fixed_;
  io_uring ring_{};
  char* memory_ = nullptr;
  std::vector<std::uint64_t> block_of_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto o = bench::parse(argc, argv, {"reads"});
  bool fixed = false;
  for (int i = 1; i + 1 < argc; i++) fixed |= std::strcmp(argv[i], "--fixed") == 0;
  reader all(o, fixed);
  bench::figures figures;
  for (unsigned r = 0; r <= o.repeat; r++) {  // the first one warms up
    const bench::block_order order(o, r);
    const bench::stretch whole;
    all.read(order, o.n);
    if (r != 0) whole.add_to(figures, o.n);
  }
  figures.print();
}
