#include "weft/io/ring_uring.hpp"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "weft/base/assert.hpp"

namespace weft::io {
namespace {

// NODROP: completions are never lost; EXT_ARG: a wait with a time-out; SUBMIT_STABLE: what an entry
// points to may go once it is taken (not buffers); SINGLE_MMAP: both queues in one mapping.
constexpr unsigned features_needed = IORING_FEAT_NODROP | IORING_FEAT_EXT_ARG |
                                     IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_SINGLE_MMAP |
                                     IORING_FEAT_FAST_POLL;

// Of Linux 6.0 and 6.1; headers may be older.
constexpr unsigned setup_single_issuer = 1U << 12;
constexpr unsigned setup_defer_taskrun = 1U << 13;
constexpr unsigned setup_one_thread =
    setup_single_issuer | setup_defer_taskrun | IORING_SETUP_TASKRUN_FLAG;

template <class T>
T* at(void* base, unsigned offset) noexcept {
  return reinterpret_cast<T*>(static_cast<std::byte*>(base) + offset);
}

}  // namespace

ring::~ring() {
  if (entries_ != nullptr) munmap(entries_, entries_bytes_);
  if (queues_ != nullptr) munmap(queues_, queues_bytes_);
}

bool ring::open(unsigned entries, uring_refusal& refusal, ring_ties ties) noexcept {
  const auto refuse = [&refusal](uring_stage stage, int error) {
    refusal.stage = stage;
    refusal.error = error;
    return false;
  };
  io_uring_params p{};
  // No SINGLE_ISSUER, no DEFER_TASKRUN where a ring changes hands with its processor. No COOP_TASKRUN:
  // it measured no faster, and completions would wait for their starter's next system call.
  p.flags = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
  if (ties == ring_ties::one_thread) p.flags |= setup_one_thread;
  p.cq_entries = entries * 4;
  const long fd = syscall(SYS_io_uring_setup, entries, &p);
  if (fd < 0) return refuse(uring_stage::setup, errno);
  fd_ = os::fd(static_cast<int>(fd));
  if ((p.features & features_needed) != features_needed)
    return refuse(uring_stage::features, ENOSYS);

  const std::size_t of_submission = p.sq_off.array + p.sq_entries * sizeof(unsigned);
  const std::size_t of_completion = p.cq_off.cqes + p.cq_entries * sizeof(io_uring_cqe);
  queues_bytes_ = of_submission > of_completion ? of_submission : of_completion;
  void* queues = mmap(nullptr, queues_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                      fd_.get(), IORING_OFF_SQ_RING);
  if (queues == MAP_FAILED) return refuse(uring_stage::memory, errno);
  queues_ = queues;
  entries_bytes_ = p.sq_entries * sizeof(io_uring_sqe);
  void* array = mmap(nullptr, entries_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                     fd_.get(), IORING_OFF_SQES);
  if (array == MAP_FAILED) return refuse(uring_stage::memory, errno);
  entries_ = static_cast<io_uring_sqe*>(array);

  submission_.head = at<unsigned>(queues, p.sq_off.head);
  submission_.tail = at<unsigned>(queues, p.sq_off.tail);
  submission_.flags = at<unsigned>(queues, p.sq_off.flags);
  submission_.mask = *at<unsigned>(queues, p.sq_off.ring_mask);
  submission_.count = p.sq_entries;
  completion_.head = at<unsigned>(queues, p.cq_off.head);
  completion_.tail = at<unsigned>(queues, p.cq_off.tail);
  completion_.cqes = at<io_uring_cqe>(queues, p.cq_off.cqes);
  completion_.mask = *at<unsigned>(queues, p.cq_off.ring_mask);
  // A child of fork() shares them, and must not write there.
  madvise(queues_, queues_bytes_, MADV_DONTFORK);
  madvise(entries_, entries_bytes_, MADV_DONTFORK);
  // The indirection between queue and entries is of no use to us: slot i always means entry i.
  unsigned* const order = at<unsigned>(queues, p.sq_off.array);
  for (unsigned i = 0; i < p.sq_entries; ++i) order[i] = i;
  tail_ = *submission_.tail;

  headers_.reset(new (std::nothrow) msghdr[p.sq_entries]);
  if (!headers_) return refuse(uring_stage::memory, ENOMEM);
  return true;
}

void ring::swap(ring& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(queues_, other.queues_);
  std::swap(queues_bytes_, other.queues_bytes_);
  std::swap(entries_, other.entries_);
  std::swap(entries_bytes_, other.entries_bytes_);
  std::swap(submission_, other.submission_);
  std::swap(completion_, other.completion_);
  std::swap(tail_, other.tail_);
  std::swap(headers_, other.headers_);
}

io_uring_sqe& ring::next_entry() noexcept {
  WEFT_ASSERT(has_room(), "an entry was filled in although the submission queue is full");
  io_uring_sqe& entry = entries_[tail_++ & submission_.mask];
  std::memset(&entry, 0, sizeof entry);
  return entry;
}

int ring::enter(unsigned submit, unsigned completions, std::int64_t timeout_ns) noexcept {
  __atomic_store_n(submission_.tail, tail_, __ATOMIC_RELEASE);  // K1
  __kernel_timespec t{timeout_ns / 1'000'000'000, timeout_ns % 1'000'000'000};
  io_uring_getevents_arg argument{};
  if (timeout_ns >= 0) argument.ts = reinterpret_cast<std::uint64_t>(&t);
  const long n = syscall(SYS_io_uring_enter, fd_.get(), submit, completions,
                         IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &argument, sizeof argument);
  return n >= 0 ? static_cast<int>(n) : -errno;
}

}  // namespace weft::io
