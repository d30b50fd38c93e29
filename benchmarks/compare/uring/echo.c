/* echo: what io_uring itself can do, with nothing above it: one thread, one multishot request for all that
 * a connection sends, buffers that the kernel takes from a ring, one system call a turn. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "../c/serve.h"

enum {
  buffer_bytes = 16384,
  stride = buffer_bytes + 64, /* so that the buffers' beginnings do not share a few sets of the cache */
  buffers = 2048,             /* a power of two */
  entries = 4096,
  completions = 32768,
  descriptors_max = 32768,
  nothing = 0xffff,
};
enum kind { accepting, receiving, sending };

struct connection {
  uint16_t first, last; /* buffers to send, in order; the first one is with the kernel */
  uint8_t is_received, is_broken;
};

static struct io_uring ring;
static struct io_uring_buf_ring *free_buffers;
static int returned; /* put into the ring, not yet shown to the kernel */
static char *memory;
static unsigned filled[buffers];
static uint16_t next[buffers];
static struct connection connections[descriptors_max];

static struct io_uring_sqe *request(void) {
  struct io_uring_sqe *e = io_uring_get_sqe(&ring);
  if (e) return e;
  if (io_uring_submit(&ring) < 0 || !(e = io_uring_get_sqe(&ring))) die("io_uring_submit");
  return e;
}

/* Last: some versions of liburing clear it while they fill the rest. */
static void name(struct io_uring_sqe *e, enum kind kind, int fd, unsigned buffer) {
  e->user_data = (uint64_t)fd << 32 | buffer << 8 | kind;
}

static void accept_all(int listener) {
  struct io_uring_sqe *e = request();
  io_uring_prep_multishot_accept(e, listener, NULL, NULL, SOCK_CLOEXEC);
  name(e, accepting, listener, 0);
}

static void receive(int fd) {
  struct io_uring_sqe *e = request();
  io_uring_prep_recv_multishot(e, fd, NULL, 0, 0);
  e->flags |= IOSQE_BUFFER_SELECT;
  e->buf_group = 0;
  name(e, receiving, fd, 0);
  connections[fd].is_received = 1;
}

/* MSG_WAITALL: the kernel goes on where the peer's window was full, so one answer means all of it. */
static void send_first(int fd) {
  unsigned buffer = connections[fd].first;
  struct io_uring_sqe *e = request();
  io_uring_prep_send(e, fd, memory + (size_t)buffer * stride, filled[buffer],
                     MSG_WAITALL | MSG_NOSIGNAL);
  name(e, sending, fd, buffer);
}

static void give_back(unsigned buffer) {
  io_uring_buf_ring_add(free_buffers, memory + (size_t)buffer * stride, buffer_bytes,
                        (unsigned short)buffer, io_uring_buf_ring_mask(buffers), returned++);
}

static void end_if_idle(int fd) {
  struct connection *c = &connections[fd];
  if (!c->is_received && c->first == nothing) close(fd);
}

static void received(int fd, const struct io_uring_cqe *done) {
  struct connection *c = &connections[fd];
  int is_more = (done->flags & IORING_CQE_F_MORE) != 0;
  if (done->flags & IORING_CQE_F_BUFFER) {
    uint16_t buffer = (uint16_t)(done->flags >> IORING_CQE_BUFFER_SHIFT);
    if (done->res <= 0 || c->is_broken) {
      give_back(buffer);
    } else {
      filled[buffer] = (unsigned)done->res;
      next[buffer] = nothing;
      int was_idle = c->first == nothing;
      if (was_idle) c->first = buffer;
      else next[c->last] = buffer;
      c->last = buffer;
      if (was_idle) send_first(fd);
    }
  }
  if (is_more) return;
  c->is_received = 0;
  /* It ends without an error now and then, and where no buffer was free. */
  if ((done->res > 0 || done->res == -ENOBUFS) && !c->is_broken) receive(fd);
  end_if_idle(fd);
}

static void sent(int fd, unsigned buffer, const struct io_uring_cqe *done) {
  struct connection *c = &connections[fd];
  int failed = done->res < 0 || (unsigned)done->res != filled[buffer];
  c->first = next[buffer];
  give_back(buffer);
  if (failed) {
    for (; c->first != nothing; c->first = next[c->first]) give_back(c->first);
    c->is_broken = 1;
    shutdown(fd, SHUT_RDWR); /* ends the receiving */
  }
  if (c->first != nothing) send_first(fd);
  else end_if_idle(fd);
}

static void accepted(int listener, const struct io_uring_cqe *done) {
  int fd = done->res, on = 1;
  if (fd >= descriptors_max) die("too many connections");
  if (fd >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    connections[fd] = (struct connection){.first = nothing};
    receive(fd);
  }
  if (!(done->flags & IORING_CQE_F_MORE)) accept_all(listener);
}

static void begin(void) {
  struct io_uring_params how = {
      .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
      .cq_entries = completions};
  if ((errno = -io_uring_queue_init_params(entries, &ring, &how))) die("io_uring (Linux 6.1 has it)");
  io_uring_register_ring_fd(&ring);
  size_t queue_bytes = buffers * sizeof(struct io_uring_buf), page = (size_t)sysconf(_SC_PAGESIZE);
  memory = aligned_alloc(page, (size_t)buffers * stride / page * page + page);
  free_buffers = aligned_alloc(page, queue_bytes);
  if (!memory || !free_buffers) die("malloc");
  struct io_uring_buf_reg reg = {
      .ring_addr = (uintptr_t)free_buffers, .ring_entries = buffers, .bgid = 0};
  io_uring_buf_ring_init(free_buffers);
  if ((errno = -io_uring_register_buf_ring(&ring, &reg, 0))) die("a ring of buffers");
  for (unsigned i = 0; i < buffers; i++) give_back(i);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  begin();
  int listener = listen_loopback();
  fcntl(listener, F_SETFL, 0); /* io_uring waits; one that must not block it would only try */
  accept_all(listener);
  for (;;) {
    if (returned) io_uring_buf_ring_advance(free_buffers, returned);
    returned = 0;
    int failed = io_uring_submit_and_wait(&ring, 1);
    if (failed < 0 && failed != -EINTR) die("io_uring_enter");
    struct io_uring_cqe *done;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&ring, head, done) {
      int fd = (int)(done->user_data >> 32);
      unsigned buffer = (unsigned)(done->user_data >> 8) & 0xffff;
      switch ((enum kind)(done->user_data & 0xff)) {
        case accepting: accepted(fd, done); break;
        case receiving: received(fd, done); break;
        case sending: sent(fd, buffer, done); break;
      }
      seen++;
    }
    io_uring_cq_advance(&ring, seen);
  }
}
