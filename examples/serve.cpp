// A web server for a folder: limits on by default, ranges, listings, a live page at /_weft.
//
//   serve [--dir DIR] [--address 127.0.0.1] [--port 8080] [--workers N] [limits: see --help]
//
// Port 0 takes a free one, which is printed. Ctrl-C (or SIGTERM) lets responses that are under way
// finish for --drain seconds, then ends; a second Ctrl-C ends at once.
//
// What it uses
//   io_uring, where the system has it, else epoll or poll (WEFT_DRIVER chooses; /_weft says which and why)
//   a kept file of up to 64 KiB: no task, no wait, no copy: head and contents leave in one gathered write
//   a larger one: sendfile() from the page cache in pieces of 256 KiB, for whichever driver
//   a request: one read into the connection's own 512 bytes, one write; between two requests nothing else is
//     held, so an idle connection costs about 1.1 KiB and a timer that is seldom touched
//   against slow clients: a time for the head, for each piece of a body and of an answer, and for silence
//     (--head, --stall, --idle), and a least rate for the whole body (--body-rate); no more connections than
//     --connections; the bounds of http::limits
// And does not: multishot accepts and receives and the kernel's buffer rings are for connections that wait
//   without a buffer (tcp_stream::read_pooled()), and these have a small one; splice() would be for what
//   comes from another socket.
#include <weft/http/files.hpp>
#include <weft/weft.hpp>

#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <thread>

namespace fs = weft::fs;
namespace http = weft::http;
namespace net = weft::net;

namespace {

struct settings {
  std::string folder = ".";
  std::string address = "127.0.0.1";
  unsigned port = 8080;
  unsigned workers = 0;
  unsigned connections = 10'000;
  unsigned idle_seconds = 60;
  unsigned head_seconds = 10;
  unsigned stall_seconds = 30;
  unsigned body_rate = 500;
  unsigned drain_seconds = 1;
};

constexpr const char* usage =
    "usage: serve [--dir DIR] [--address A] [--port N] [--workers N] [limits]\n"
    "  --dir DIR      the folder to serve (default: the current one)\n"
    "  --address A    the IP address to listen on (default: 127.0.0.1; 0.0.0.0 for every network)\n"
    "  --port N       0 to 65535; 0 takes a free one (default: 8080)\n"
    "  --workers N    threads that run jobs (default: one for each CPU)\n"
    "limits\n"
    "  --connections N  open at a time; more wait until one ends (default: 10000)\n"
    "  --idle S       seconds that a quiet connection is kept (default: 60)\n"
    "  --head S       seconds from the first byte of a request to the end of its head (default: "
    "10)\n"
    "  --stall S      seconds without a byte of a body, or for 64 KiB of an answer (default: 30)\n"
    "  --body-rate N  bytes a second that a body has to come with, after --stall seconds; 0: any\n"
    "                 (default: 500)\n"
    "  --drain S      seconds for what is under way when it is to end (default: 1)\n";

constexpr std::string_view live_page = R"(<!doctype html>
<html lang="en"><meta charset="utf-8"><title>weft</title>
<style>body{font:16px sans-serif;margin:2em}td{padding:.1em 2em .1em 0}
td+td{text-align:right;font-variant-numeric:tabular-nums}</style>
<h1>weft</h1><table id="t"></table>
<script>
let before = null;
function flat(prefix, value, out) {
  for (const k in value) {
    if (typeof value[k] === "object") flat(prefix + k + ".", value[k], out);
    else out[prefix + k] = value[k];
  }
  return out;
}
async function show() {
  try {
    const now = flat("", await (await fetch("/_weft/metrics.json", {cache: "no-store"})).json(), {});
    const rows = Object.keys(now).map(function (k) {
      const tr = document.createElement("tr");
      const change = before && typeof now[k] === "number" ? now[k] - before[k] : 0;
      for (const text of [k, now[k], change ? (change > 0 ? "+" : "") + change + "/s" : ""]) {
        const td = document.createElement("td");
        td.textContent = text;
        tr.append(td);
      }
      return tr;
    });
    document.getElementById("t").replaceChildren(...rows);
    before = now;
  } catch (e) {
    before = null;
  }
}
show();
setInterval(show, 1000);
</script>
)";

/// Files, and two pages about the server itself.
class site final : public http::handler {
 public:
  site(fs::directory root, std::string address, unsigned port)
      : files_(std::move(root)), address_(std::move(address)), port_(port) {}

  void observe(const http::server& server) noexcept { server_ = &server; }

  bool try_respond(const http::request& asked, http::response& answer) override {
    const std::string_view path = asked.path();
    if (path != "/_weft" && path != "/_weft/" && path != "/_weft/metrics.json") {
      return files_.try_respond(asked, answer);
    }
    answer = about_itself(asked);
    return true;
  }
  /// What is not kept, or not there.
  weft::task<http::response> respond(const http::request& asked) override {
    return files_.respond(asked);
  }

 private:
  http::response about_itself(const http::request& asked) const {
    // A page of another host whose name was made to point here ("DNS rebinding") must not read it.
    if (!is_own_name(asked.authority())) {
      return http::response::with_status(http::status::misdirected_request);
    }
    if (asked.method != http::method::get && asked.method != http::method::head) {
      http::response r = http::response::with_status(http::status::method_not_allowed);
      r.headers.set("Allow", "GET, HEAD");
      return r;
    }
    http::response r;
    if (asked.path() == "/_weft/metrics.json") {
      r = http::response::with_text(http::status::ok, "application/json", metrics());
    } else {
      r = http::response::with_text(http::status::ok, "text/html; charset=utf-8",
                                    std::string(live_page));
      r.headers.set("Content-Security-Policy",
                    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
                    "connect-src 'self'; frame-ancestors 'none'");
    }
    r.headers.set("Cache-Control", "no-store");
    r.headers.set("X-Content-Type-Options", "nosniff");
    return r;
  }

  bool is_own_name(std::string_view authority) const {
    const std::string port = ":" + std::to_string(port_);
    if (authority.ends_with(port)) authority.remove_suffix(port.size());
    return authority == "localhost" || authority == "127.0.0.1" || authority == "[::1]" ||
           authority == address_ || authority == "[" + address_ + "]";
  }

  std::string metrics() const {
    const weft::metrics_snapshot m = weft::current_metrics();
    const http::server_statistics s = server_->statistics();
    std::string out = "{\n\"server\": {";
    const char* separator = "";
    const auto number = [&](std::string_view name, std::uint64_t value) {
      out.append(separator).append("\"").append(name).append("\": ").append(std::to_string(value));
      separator = ", ";
    };
    const auto text = [&](std::string_view name, std::string_view value) {
      out.append(separator).append("\"").append(name).append("\": \"");
      for (const char c : value) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
      }
      out += '"';
      separator = ", ";
    };
    number("connections_open", s.connections_open);
    number("connections_busy", s.connections_busy);
    number("connections_accepted", s.connections_accepted);
    number("requests", s.requests);
    number("responses_2xx", s.responses[1]);
    number("responses_3xx", s.responses[2]);
    number("responses_4xx", s.responses[3]);
    number("responses_5xx", s.responses[4]);
    number("body_bytes_sent", s.body_bytes_sent);
    number("refused", s.refused);
    number("timed_out", s.timed_out);
    number("bodies_too_slow", s.bodies_too_slow);
    number("handler_errors", s.handler_errors);
    number("accept_errors", s.accept_errors);
    out += "},\n\"runtime\": {";
    separator = "";
    number("workers", m.workers);
    text("driver", m.driver);
    text("driver_reason", m.driver_reason);
    number("jobs_alive", m.jobs_alive);
    number("jobs_spawned", m.jobs_spawned);
    number("turns", m.turns);
    number("stolen", m.stolen);
    number("overflowed", m.overflowed);
    number("injected", m.injected);
    number("parks", m.parks);
    number("io_completions", m.io_completions);
    number("timers_fired", m.timers_fired);
    number("timers_armed", m.timers_armed);
    number("blocking_threads", m.blocking_threads);
    number("blocking_waiting", m.blocking_waiting);
    return out += "}\n}\n";
  }

  http::static_files files_;
  std::string address_;
  unsigned port_;
  const http::server* server_ = nullptr;
};

int fail(const char* format, const std::string& what, const std::string& why) {
  std::fprintf(stderr, format, what.c_str(), why.c_str());
  return 1;
}

weft::task<int> serve(const settings& chosen) {
  auto root = fs::directory::blocking_open(chosen.folder);
  if (!root) {
    co_return fail("serve: cannot serve the folder '%s': %s\n", chosen.folder,
                   root.error().message());
  }
  const auto address = net::address::parse(chosen.address);
  if (!address) {
    co_return fail("serve: '%s' is not an IP address%s; try 127.0.0.1, 0.0.0.0 or ::1\n",
                   chosen.address, "");
  }
  net::endpoint where;
  where.address = *address;
  where.port = static_cast<std::uint16_t>(chosen.port);
  auto listener = net::tcp_listener::bind(where);
  if (!listener) {
    std::string why = listener.error().message();
    if (listener.error() == std::errc::address_in_use) why += "; choose another --port, or 0";
    co_return fail("serve: cannot listen on %s: %s\n", where.to_string(), why);
  }
  const auto bound = listener->local_endpoint();
  if (bound) where = *bound;

  site pages(std::move(*root), where.address.to_string(), where.port);
  http::server_options options;
  options.drain = std::chrono::seconds(chosen.drain_seconds);
  options.connections_max = chosen.connections;
  options.idle_time = std::chrono::seconds(chosen.idle_seconds);
  options.header_time = std::chrono::seconds(chosen.head_seconds);
  options.body_stall = options.write_stall = std::chrono::seconds(chosen.stall_seconds);
  options.body_rate_min = chosen.body_rate;
  http::server server(pages, options);
  pages.observe(server);
  std::printf("weft: serving %s on http://%s/\n", chosen.folder.c_str(), where.to_string().c_str());
  const http::limits& limits = options.limits;
  std::printf(
      "weft: at most %u connections; head %u s, idle %u s, stalled %u s, body %u bytes a second,"
      " drain %u s; target %zu, head %zu (%zu fields), body %llu bytes\n",
      chosen.connections, chosen.head_seconds, chosen.idle_seconds, chosen.stall_seconds,
      chosen.body_rate, chosen.drain_seconds, limits.url_bytes, limits.header_bytes,
      limits.header_fields, static_cast<unsigned long long>(limits.body_bytes));
  std::fflush(stdout);

  const auto ended = co_await server.serve(*listener);
  if (!ended) co_return fail("serve: %s%s\n", "the listener failed: ", ended.error().message());
  std::printf("weft: stopped after %llu requests\n",
              static_cast<unsigned long long>(server.statistics().requests));
  co_return 0;
}

bool parse_number(const char* text, unsigned max, unsigned& value) {
  char* end = nullptr;
  const unsigned long n = std::strtoul(text, &end, 10);
  if (*text < '0' || *text > '9' || *end != '\0' || n > max) return false;
  value = static_cast<unsigned>(n);
  return true;
}

/// 0: go on. Else the exit code, plus one.
int parse(int argc, char** argv, settings& chosen) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--help" || name == "-h") {
      std::fputs(usage, stdout);
      return 1;
    }
    const bool known = name == "--dir" || name == "--address" || name == "--port" ||
                       name == "--workers" || name == "--connections" || name == "--idle" ||
                       name == "--head" || name == "--stall" || name == "--body-rate" ||
                       name == "--drain";
    if (!known) {
      std::fprintf(stderr, "serve: unknown argument '%s'\n%s", argv[i], usage);
      return 3;
    }
    if (i + 1 == argc) {
      std::fprintf(stderr, "serve: %s needs a value\n%s", argv[i], usage);
      return 3;
    }
    const char* const value = argv[++i];
    bool good = true;
    if (name == "--dir") chosen.folder = value;
    if (name == "--address") chosen.address = value;
    if (name == "--port") good = parse_number(value, 65535, chosen.port);
    if (name == "--workers") good = parse_number(value, 256, chosen.workers);
    if (name == "--connections") {
      good = parse_number(value, 1'000'000, chosen.connections) && chosen.connections > 0;
    }
    if (name == "--idle") good = parse_number(value, 86'400, chosen.idle_seconds);
    if (name == "--head") good = parse_number(value, 86'400, chosen.head_seconds);
    if (name == "--stall") good = parse_number(value, 86'400, chosen.stall_seconds);
    if (name == "--body-rate") good = parse_number(value, 1'000'000'000, chosen.body_rate);
    if (name == "--drain") good = parse_number(value, 86'400, chosen.drain_seconds);
    if (!good) {
      std::fprintf(stderr, "serve: '%s' is no value for %s\n%s", value, argv[i - 1], usage);
      return 3;
    }
  }
  return 0;
}

/// Stops the job at SIGINT or SIGTERM. A plain thread can: sigwait() is no signal handler.
class stop_on_signal {
 public:
  /// Before any other thread is started: they inherit the mask, so only sigwait() sees the signals.
  static sigset_t block() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    return set;
  }
  stop_on_signal(sigset_t set, weft::join_handle<int>& job)
      : thread_([set, &job] {
          int number = 0;
          sigwait(&set, &number);
          job.stop();
          sigwait(&set, &number);
          if (!job.done()) _exit(128 + number);
        }) {}
  /// After the job has ended: the thread is sent what it may still wait for.
  ~stop_on_signal() {
    pthread_kill(thread_.native_handle(), SIGTERM);
    pthread_kill(thread_.native_handle(), SIGINT);
    thread_.join();
  }
  stop_on_signal(const stop_on_signal&) = delete;
  stop_on_signal& operator=(const stop_on_signal&) = delete;

 private:
  std::thread thread_;
};

weft::task<int> exit_code(weft::join_handle<int>& job) {
  auto end = co_await job.outcome();
  if (end.has_value()) co_return end.value();
  if (end.exception()) std::rethrow_exception(end.exception());
  co_return 0;  // stopped before it served
}

}  // namespace

int main(int argc, char** argv) {
  settings chosen;
  if (const int end = parse(argc, argv, chosen); end != 0) return end - 1;
  const sigset_t signals = stop_on_signal::block();
  try {
    weft::runtime rt({.workers = chosen.workers});
    auto job = rt.spawn(serve, std::cref(chosen));
    const stop_on_signal stopping(signals, job);
    return rt.block_on(exit_code(job));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "serve: %s\n", e.what());
    return 1;
  }
}
