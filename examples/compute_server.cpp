// A server whose handlers compute in place, as long as they like, beside others that answer.
//
//   compute_server [PORT] [PREEMPT_AFTER_MS]      8081, 10; 0: what computes keeps its worker
//
//   curl http://127.0.0.1:8081/primes?300         primes found in 300 ms of looking for them
//   curl http://127.0.0.1:8081/ping               "pong", at once, whatever the others do
//   curl http://127.0.0.1:8081/figures            how often a worker changed hands
//
// Nothing is moved to other threads, and nothing gives way: what computes for longer than 10 ms
// loses its worker to a spare thread, and finishes beside the others (docs/guide/stuck_tasks.md).
#include <weft/http/server.hpp>
#include <weft/weft.hpp>

#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace http = weft::http;
namespace net = weft::net;

namespace {

constexpr unsigned compute_ms_max = 10'000;

bool is_prime(unsigned long n) {
  for (unsigned long d = 2; d * d <= n; ++d) {
    if (n % d == 0) return false;
  }
  return n > 1;
}

/// As a library does it that knows nothing of weft: it awaits nothing.
unsigned long count_primes(std::chrono::milliseconds time) {
  using clock = std::chrono::steady_clock;
  unsigned long found = 0, n = 0;
  for (const auto end = clock::now() + time; clock::now() < end; ++n) found += is_prime(n) ? 1 : 0;
  return found;
}

http::response text(http::status status, std::string line) {
  return http::response::with_text(status, "text/plain", std::move(line) + "\n");
}

weft::task<http::response> answer(const http::request& asked) {
  if (asked.path() == "/ping") co_return text(http::status::ok, "pong");
  if (asked.path() == "/figures") {
    const auto figures = weft::current_metrics();
    co_return text(http::status::ok, std::to_string(figures.handoffs) + " handoffs");
  }
  if (asked.path() != "/primes") co_return http::response::with_status(http::status::not_found);
  const std::string_view query = asked.query();
  unsigned ms = 0;
  const auto read = std::from_chars(query.data(), query.data() + query.size(), ms);
  if (read.ec != std::errc{} || read.ptr != query.data() + query.size() || ms == 0 ||
      ms > compute_ms_max) {
    co_return text(http::status::bad_request, "say for how long: /primes?300, ms, 10000 at most");
  }
  const unsigned long found = count_primes(std::chrono::milliseconds(ms));
  co_return text(http::status::ok, std::to_string(found) + " primes");
}

weft::task<weft::result<void>> serve(std::uint16_t port) {
  net::endpoint at;
  at.address = net::address::loopback_v4();
  at.port = port;
  net::tcp_listener listener = co_await weft::ok(net::tcp_listener::bind(at));
  const net::endpoint bound = co_await weft::ok(listener.local_endpoint());
  std::printf("compute_server: http://%s/\n", bound.to_string().c_str());
  std::fflush(stdout);
  http::server server(answer);
  co_return co_await server.serve(listener);
}

/// False: it is no number, or too large.
bool parse_number(std::string_view text, unsigned max, unsigned& value) {
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  return read.ec == std::errc{} && read.ptr == text.data() + text.size() && value <= max;
}

}  // namespace

int main(int argc, char** argv) {
  unsigned port = 8081, slice_ms = 10;
  if (argc > 3 || (argc > 1 && !parse_number(argv[1], 65'535, port)) ||
      (argc > 2 && !parse_number(argv[2], 60'000, slice_ms))) {
    std::fprintf(stderr, "usage: compute_server [PORT] [PREEMPT_AFTER_MS]\n");
    return 2;
  }
  return weft::run(serve(static_cast<std::uint16_t>(port)),
                   {.preempt_after = std::chrono::milliseconds(slice_ms)});
}
