/* echo: the reference server, one thread and level-triggered epoll with nothing above it. A runtime that
 * equals it costs nothing; the ratio to it is what ./bench echo prints. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "serve.h"

enum { buffer_bytes = 16384, events_max = 256 };

struct connection {
  int fd;
  size_t begin, end; /* read but not yet written back: non-empty only while the peer's window is full */
  char buffer[buffer_bytes];
};

static void end_connection(struct connection *c) {
  close(c->fd);
  free(c);
}

static void watch(int ep, struct connection *c, unsigned events) {
  struct epoll_event want = {.events = events, .data.ptr = c};
  if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &want)) die("epoll_ctl");
}

/* One read and one write a readiness, so that no connection starves another. */
static void turn(int ep, struct connection *c) {
  int was_full = c->begin != c->end;
  if (!was_full) {
    ssize_t n = read(c->fd, c->buffer, sizeof c->buffer);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return end_connection(c);
    c->begin = 0;
    c->end = (size_t)n;
  }
  ssize_t n = write(c->fd, c->buffer + c->begin, c->end - c->begin);
  if (n < 0 && errno != EAGAIN && errno != EINTR) return end_connection(c);
  if (n > 0) c->begin += (size_t)n;
  int is_full = c->begin != c->end;
  if (is_full != was_full) watch(ep, c, is_full ? EPOLLOUT : EPOLLIN);
}

int main(void) {
  signal(SIGPIPE, SIG_IGN);
  int ep = epoll_create1(EPOLL_CLOEXEC);
  int listener = listen_loopback();
  struct epoll_event want = {.events = EPOLLIN, .data.ptr = NULL};
  if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &want)) die("epoll");
  for (;;) {
    struct epoll_event ready[events_max];
    int n = epoll_wait(ep, ready, events_max, -1);
    if (n < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < n; i++) {
      if (ready[i].data.ptr) {
        turn(ep, ready[i].data.ptr);
        continue;
      }
      for (int fd; (fd = accept_one(listener)) >= 0;) {
        struct connection *c = malloc(sizeof *c);
        if (!c) die("malloc");
        c->fd = fd;
        c->begin = c->end = 0;
        struct epoll_event in = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &in)) die("epoll_ctl");
      }
    }
  }
}
