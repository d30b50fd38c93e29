/* http: the reference server, one thread, epoll, and next to no HTTP: it looks for the end of the head
 * and for one of two paths. Nothing complete can be cheaper; the ratio to it is what ./bench http prints.
 *
 *   http FILE     GET /file sends FILE (opened anew each time, sendfile); everything else says hello */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serve.h"

enum { head_bytes_max = 8192, events_max = 256 };

static const char hello[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

struct connection {
  int fd;
  int file;      /* being sent, or -1 */
  off_t offset;  /* how much of it is sent */
  off_t size;
  size_t filled; /* of `in` */
  char in[head_bytes_max];
};

static const char *path;

static void end_connection(struct connection *c) {
  if (c->file >= 0) close(c->file);
  close(c->fd);
  free(c);
}

static void watch(int ep, struct connection *c, unsigned events) {
  struct epoll_event want = {.events = events, .data.ptr = c};
  if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &want)) die("epoll_ctl");
}

/* 1: the file is sent, 0: the socket is full, -1: the connection is over. */
static int send_on(struct connection *c) {
  while (c->offset < c->size) {
    ssize_t n = sendfile(c->fd, c->file, &c->offset, (size_t)(c->size - c->offset));
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) return -1;
  }
  close(c->file);
  c->file = -1;
  return 1;
}

static int begin_file(struct connection *c) {
  struct stat st;
  c->file = open(path, O_RDONLY | O_CLOEXEC);
  if (c->file < 0 || fstat(c->file, &st)) return -1;
  c->offset = 0;
  c->size = st.st_size;
  char head[128];
  int n = snprintf(head, sizeof head,
                   "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                   "Content-Length: %lld\r\n\r\n",
                   (long long)c->size);
  /* MSG_MORE: head and body leave in one segment. A head that does not fit ends the connection; with one
   * request in flight the socket's buffer is empty here. */
  if (send(c->fd, head, (size_t)n, MSG_MORE) != n) return -1;
  return send_on(c);
}

/* 1: wait for input, 0: wait for room, -1: over. */
static int answer(struct connection *c) {
  for (;;) {
    char *end = memmem(c->in, c->filled, "\r\n\r\n", 4);
    if (!end) return c->filled == sizeof c->in ? -1 : 1;
    size_t used = (size_t)(end + 4 - c->in);
    int is_file = c->filled > 9 && memcmp(c->in, "GET /file", 9) == 0;
    memmove(c->in, c->in + used, c->filled - used);
    c->filled -= used;
    if (is_file) {
      int sent = begin_file(c);
      if (sent <= 0) return sent;
    } else if (write(c->fd, hello, sizeof hello - 1) != (ssize_t)sizeof hello - 1) {
      return -1;
    }
  }
}

static void turn(int ep, struct connection *c) {
  int was_full = c->file >= 0;
  if (was_full) {
    int sent = send_on(c);
    if (sent < 0) return end_connection(c);
    if (sent == 0) return;
  } else {
    ssize_t n = read(c->fd, c->in + c->filled, sizeof c->in - c->filled);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return end_connection(c);
    c->filled += (size_t)n;
  }
  int next = answer(c);
  if (next < 0) return end_connection(c);
  if ((next == 0) != was_full) watch(ep, c, next == 0 ? EPOLLOUT : EPOLLIN);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: http FILE\n");
    return 2;
  }
  path = argv[1];
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
        c->file = -1;
        c->filled = 0;
        struct epoll_event in = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &in)) die("epoll_ctl");
      }
    }
  }
}
