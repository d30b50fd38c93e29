// echo: as one writes it with libuv: its loop, one thread. What it reads it writes back at once; only
// what the peer's window does not take waits, and reading with it.
#include <uv.h>

#include <cstdio>
#include <cstdlib>

namespace {

struct connection {
  uv_tcp_t tcp;
  uv_write_t rest;
  char buffer[16384];
};

connection& of(uv_stream_t* stream) { return *static_cast<connection*>(stream->data); }

void end(uv_stream_t* stream) {
  auto* handle = reinterpret_cast<uv_handle_t*>(stream);
  if (!uv_is_closing(handle)) {
    uv_close(handle, [](uv_handle_t* closed) { delete static_cast<connection*>(closed->data); });
  }
}

void lend(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
  auto& c = *static_cast<connection*>(handle->data);
  *buffer = uv_buf_init(c.buffer, sizeof c.buffer);
}

void received(uv_stream_t* stream, ssize_t n, const uv_buf_t*);

void sent(uv_write_t* rest, int failed) {
  if (failed != 0 || uv_read_start(rest->handle, lend, received) != 0) end(rest->handle);
}

void received(uv_stream_t* stream, ssize_t n, const uv_buf_t* buffer) {
  if (n < 0) return end(stream);
  if (n == 0) return;  // nothing there, in libuv's words
  const uv_buf_t all = uv_buf_init(buffer->base, static_cast<unsigned>(n));
  int gone = uv_try_write(stream, &all, 1);
  if (gone == n) return;
  if (gone == UV_EAGAIN) gone = 0;
  if (gone < 0) return end(stream);
  const uv_buf_t rest = uv_buf_init(buffer->base + gone, static_cast<unsigned>(n - gone));
  uv_read_stop(stream);
  if (uv_write(&of(stream).rest, stream, &rest, 1, sent) != 0) end(stream);
}

void connected(uv_stream_t* listener, int failed) {
  if (failed != 0) return;
  auto* c = new connection;
  uv_tcp_init(listener->loop, &c->tcp);
  c->tcp.data = c;
  auto* stream = reinterpret_cast<uv_stream_t*>(&c->tcp);
  if (uv_accept(listener, stream) != 0 || uv_tcp_nodelay(&c->tcp, 1) != 0 ||
      uv_read_start(stream, lend, received) != 0) {
    end(stream);
  }
}

void check(int failed, const char* what) {
  if (failed == 0) return;
  std::fprintf(stderr, "echo: %s: %s\n", what, uv_strerror(failed));
  std::exit(1);
}

}  // namespace

int main() {
  uv_loop_t loop;
  check(uv_loop_init(&loop), "loop");
  uv_tcp_t listener;
  check(uv_tcp_init(&loop, &listener), "socket");
  sockaddr_in at{};
  int size = sizeof at;
  uv_ip4_addr("127.0.0.1", 0, &at);
  check(uv_tcp_bind(&listener, reinterpret_cast<sockaddr*>(&at), 0), "bind");
  check(uv_listen(reinterpret_cast<uv_stream_t*>(&listener), 4096, connected), "listen");
  check(uv_tcp_getsockname(&listener, reinterpret_cast<sockaddr*>(&at), &size), "getsockname");
  std::printf("listening 127.0.0.1:%d\n", ntohs(at.sin_port));
  std::fflush(stdout);
  return uv_run(&loop, UV_RUN_DEFAULT);
}
