/* load: closed-loop load on an echo server of this machine: one epoll thread, one request in flight a
 * connection.
 *
 *   load PORT SERVER_PID CONNECTIONS BYTES WARM_UP_MS MEASURE_MS
 *
 * Prints one line of JSON. The server's CPU time is read here, at both ends of the measured window, so
 * that connecting and warming up are in neither figure. It goes to 127.0.0.1 only, and always ends.
 * p50 and p99 are of what was answered in the window; worst also counts what is still unanswered at its
 * end, so a connection that a server forgets shows there. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  connections_max = 16384,
  batch = 128,           /* connections made, or first requests sent, at a time: see connect_some() */
  source_address = 4000, /* connections from each of 127.0.0.1, 127.0.0.2, ...: ports do not run short */
  answer_s_max = 5,
  bytes_max = 1 << 20,
  window_ms_max = 60000,
  sub_bits = 5, /* 32 steps an octave: 3 % of resolution */
  steps = 40 << sub_bits,
};

struct connection {
  int fd;
  size_t written, read; /* of the request in flight */
  int wants_out;
  int64_t began_ns;
};

static uint64_t histogram[steps];
static char *request, *answer;
static size_t bytes;

static void die(const char *what) {
  fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "wrong");
  exit(1);
}

static int64_t now_ns(clockid_t clock) {
  struct timespec t;
  if (clock_gettime(clock, &t)) die("clock_gettime");
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static unsigned step_of(uint64_t ns) {
  if (ns < (1u << sub_bits)) return (unsigned)ns;
  unsigned top = 63 - (unsigned)__builtin_clzll(ns);
  unsigned below = (unsigned)((ns >> (top - sub_bits)) & ((1u << sub_bits) - 1));
  unsigned step = ((top - sub_bits + 1) << sub_bits) + below;
  return step < steps ? step : steps - 1;
}

/* The middle of a step. */
static double value_of(unsigned step) {
  if (step < (1u << sub_bits)) return step;
  unsigned top = (step >> sub_bits) + sub_bits - 1;
  uint64_t base = (1ull << top) + ((uint64_t)(step & ((1u << sub_bits) - 1)) << (top - sub_bits));
  return (double)base + (double)(1ull << (top - sub_bits)) / 2;
}

static double percentile_us(double share, uint64_t all) {
  uint64_t want = (uint64_t)((double)all * share), seen = 0;
  for (unsigned i = 0; i < steps; i++) {
    seen += histogram[i];
    if (seen > want) return value_of(i) / 1000;
  }
  return 0;
}

static long number(const char *text, long low, long high) {
  char *end;
  errno = 0;
  long n = strtol(text, &end, 10);
  if (errno || *end || end == text || n < low || n > high) {
    fprintf(stderr, "load: \"%s\" is not a number from %ld to %ld\n", text, low, high);
    exit(2);
  }
  return n;
}

static void watch(int ep, struct connection *c, int out) {
  if (out == c->wants_out) return;
  struct epoll_event want = {.events = out ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = c};
  if (epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &want)) die("epoll_ctl");
  c->wants_out = out;
}

static void push(int ep, struct connection *c) {
  while (c->written < bytes) {
    ssize_t n = write(c->fd, request + c->written, bytes - c->written);
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) die("write");
    c->written += (size_t)n;
  }
  watch(ep, c, c->written < bytes);
}

/* True when the answer is whole. What came back is compared once in a while: a server that sends the
 * right number of wrong bytes must not win. */
static int pull(struct connection *c, unsigned *check) {
  ssize_t n = read(c->fd, answer, bytes - c->read);
  if (n < 0 && errno == EAGAIN) return 0;
  if (n <= 0) die("the server ended a connection");
  if (++*check % 64 == 0 && memcmp(answer, request + c->read, (size_t)n)) die("the echo differs");
  c->read += (size_t)n;
  return c->read == bytes;
}

static void connect_one(struct connection *c, long number, long port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in from = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / source_address)};
  struct timeval patience = {.tv_sec = answer_s_max};
  /* Reset at the end, so that thousands of ports do not stay taken for a minute after each run. */
  struct linger reset = {.l_onoff = 1};
  int on = 1;
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (c->fd < 0) die("socket");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  if (number >= source_address) {
    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, (struct sockaddr *)&from, sizeof from)) die("bind");
  }
  if (connect(c->fd, (struct sockaddr *)&to, sizeof to)) die("connect");
}

/* A batch at a time, each connection of it answered before the next batch begins: neither the server's
 * line of those it has not accepted nor the kernel's of packets (netdev_max_backlog, 1 000) overflows,
 * and each connection is known to be served. */
static void connect_some(int ep, struct connection *all, long from, long to, long port) {
  char byte = 'a';
  for (long i = from; i < to; i++) connect_one(&all[i], i, port);
  for (long i = from; i < to; i++)
    if (write(all[i].fd, &byte, 1) != 1) die("write");
  for (long i = from; i < to; i++) {
    if (read(all[i].fd, &byte, 1) != 1 || byte != 'a') die("a new connection was not answered");
    /* This may block, the load may not. */
    struct epoll_event want = {.events = EPOLLIN, .data.ptr = &all[i]};
    if (fcntl(all[i].fd, F_SETFL, O_NONBLOCK) || epoll_ctl(ep, EPOLL_CTL_ADD, all[i].fd, &want))
      die("epoll_ctl");
  }
}

static void allow_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) die("getrlimit");
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv) {
  if (argc != 7) {
    fprintf(stderr, "usage: load PORT SERVER_PID CONNECTIONS BYTES WARM_UP_MS MEASURE_MS\n");
    return 2;
  }
  long port = number(argv[1], 1, 65535), pid = number(argv[2], 1, 1L << 30);
  long count = number(argv[3], 1, connections_max);
  bytes = (size_t)number(argv[4], 1, bytes_max);
  int64_t warm_ns = number(argv[5], 0, window_ms_max) * 1000000LL;
  int64_t measure_ns = number(argv[6], 1, window_ms_max) * 1000000LL;

  clockid_t server_clock;
  if ((errno = clock_getcpuclockid((pid_t)pid, &server_clock))) die("the server's CPU clock");
  request = malloc(bytes);
  answer = malloc(bytes);
  struct connection *all = calloc((size_t)count, sizeof *all);
  int ep = epoll_create1(EPOLL_CLOEXEC);
  if (!request || !answer || !all || ep < 0) die("setup");
  for (size_t i = 0; i < bytes; i++) request[i] = (char)('a' + i % 26);

  allow_descriptors();
  for (long i = 0; i < count; i += batch)
    connect_some(ep, all, i, i + batch < count ? i + batch : count, port);

  long begun = 0; /* connections with a request in flight */
  int64_t start = now_ns(CLOCK_MONOTONIC), now = start, server_ns = 0, own_ns = 0;
  int64_t measured_from = 0, worst_ns = 0;
  uint64_t done = 0;
  unsigned check = 0;
  for (;;) {
    struct epoll_event ready[256];
    for (long most = begun + batch; begun < count && begun < most; begun++) {
      all[begun].began_ns = start = now_ns(CLOCK_MONOTONIC);
      push(ep, &all[begun]);
    }
    /* The time-out only bounds the run when a server falls silent. */
    int n = epoll_wait(ep, ready, 256, begun < count ? 0 : 1000 * answer_s_max);
    if (n == 0 && begun == count) die("no answer for 5 s");
    if (n < 0 && errno != EINTR) die("epoll_wait");
    now = now_ns(CLOCK_MONOTONIC);
    if (!measured_from && begun == count && now - start >= warm_ns) {
      measured_from = now;
      server_ns = now_ns(server_clock);
      own_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID);
    }
    if (measured_from && now - measured_from >= measure_ns) break;
    for (int i = 0; i < n; i++) {
      struct connection *c = ready[i].data.ptr;
      if (ready[i].events & EPOLLOUT) push(ep, c);
      if (!(ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || !pull(c, &check)) continue;
      now = now_ns(CLOCK_MONOTONIC);
      /* A request that began before the window is counted where it ended, like the server's work. */
      if (measured_from) {
        histogram[step_of((uint64_t)(now - c->began_ns))]++;
        if (now - c->began_ns > worst_ns) worst_ns = now - c->began_ns;
        done++;
      }
      c->read = c->written = 0;
      c->began_ns = now;
      push(ep, c);
    }
  }
  double seconds = (double)(now - measured_from) / 1e9;
  double server = (double)(now_ns(server_clock) - server_ns) / 1e9;
  double own = (double)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - own_ns) / 1e9;
  if (!done || server <= 0) die("nothing was answered");
  for (long i = 0; i < count; i++)
    if (now - all[i].began_ns > worst_ns) worst_ns = now - all[i].began_ns;
  printf("{\"requests\": %llu, \"seconds\": %.4f, \"server_cpu_s\": %.6f, \"client_cpu_s\": %.6f, "
         "\"p50_us\": %.1f, \"p99_us\": %.1f, \"worst_us\": %.1f}\n",
         (unsigned long long)done, seconds, server, own, percentile_us(0.50, done),
         percentile_us(0.99, done), (double)worst_ns / 1e3);
  return 0;
}
