#include <weft/http/connection.hpp>

#include <weft/base/assert.hpp>
#include <weft/fs/file.hpp>
#include <weft/runtime/time.hpp>
#include <weft/together/timeout.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <utility>

namespace weft::http::detail {
namespace {

std::int64_t wall_clock_seconds() noexcept {
  using namespace std::chrono;
  return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
}

void say_handler_error(connection_group& group, const char* what) noexcept {
  if (!group.first_handler_error()) return;
  std::fprintf(
      stderr,
      "weft: http: a handler threw (answered with 500; further ones are only counted): %s\n", what);
}

}  // namespace

task<> run_connection(net::tcp_stream accepted, connection_group::membership member) {
  net::tcp_stream stream = std::move(accepted);
  connection served(member.group(), member.of(), stream);
  co_await served.run();
}

task<> connection::run() {
  for (bool open = true; open;) {
    const input got = co_await receive();
    if (got == input::ended) co_return;
    open = false;
    if (got == input::request) open = co_await answer();
  }
  if (active_ == nullptr) co_return;
  const bool sent = co_await flush();
  if (sent) co_await linger();
}

// --- reading ------------------------------------------------------------------------------------

task<connection::input> connection::receive() {
  for (;;) {
    if (active_ != nullptr) {
      request_parser& parser = active_->parser;
      const parse_stage before = parser.stage();
      // Also with nothing to read: in front of a body this is where its stated length is judged.
      const auto used = parser.feed(unread_);
      if (!used) {
        group_.counters().refused.add();
        refuse(http::answer(used.error()));
        co_return input::refused;
      }
      unread_ = unread_.subspan(*used);
      if (before == parse_stage::idle && parser.stage() != parse_stage::idle) {
        if (!entry_.busy.load(order::relaxed) && !group_.begin_work(entry_)) co_return input::ended;
        head_due_ = now() + group_.options().header_time;
        continued_ = false;
      }
      if (parser.stage() == parse_stage::complete) co_return input::request;
      if (!unread_.empty()) {
        WEFT_ASSERT(*used != 0, "the HTTP parser took nothing although it was not done");
        if (before == parse_stage::body) continued_ = true;  // the body comes without being asked
        continue;
      }
      if (parser.stage() == parse_stage::body) {
        if (before != parse_stage::body) continue;
        if (*used != 0) continued_ = true;
        if (parser.message().expects_continue && !continued_) {
          continued_ = true;
          active_->out += continue_head;
        }
      }
      if (!active_->out.empty()) {
        const bool sent = co_await flush();
        if (!sent) co_return input::ended;
      }
    }
    const bool more = co_await fill();
    if (more) continue;
    if (!timed_out_) co_return input::ended;
    group_.counters().timed_out.add();
    refuse(status::request_timeout);
    co_return input::refused;
  }
}

task<bool> connection::fill() {
  timed_out_ = false;
  if (active_ == nullptr || active_->parser.stage() == parse_stage::idle) {
    if (entry_.busy.load(order::relaxed)) group_.end_work(entry_);
    if (group_.draining()) co_return false;
    const bool more = co_await wait_idle();
    co_return more;
  }
  const moment due = active_->parser.stage() == parse_stage::head
                         ? head_due_
                         : now() + group_.options().body_stall;
  const auto n = co_await deadline(due, stream_.read_some(buffer()));
  if (!n) {
    timed_out_ = n.error() == errc::timed_out;
    co_return false;
  }
  took(*n);
  co_return *n != 0;  // an end in the middle of a request: nobody is left to be answered
}

task<bool> connection::wait_idle() {
  const server_options& options = group_.options();
  const moment due = now() + options.idle_time;
  activate();
  const auto early =
      co_await deadline(std::min(due, now() + options.buffer_idle), stream_.read_some(buffer()));
  if (early) {
    took(*early);
    co_return *early != 0;
  }
  if (early.error() != errc::timed_out) co_return false;
  for (;;) {
    active_.reset();
    unread_ = {};
    const auto readable = co_await deadline(due, stream_.wait_readable());
    if (!readable) co_return false;
    activate();
    const auto n =
        co_await deadline(std::min(due, now() + options.buffer_idle), stream_.read_some(buffer()));
    if (n) {
      took(*n);
      co_return *n != 0;
    }
    if (n.error() != errc::timed_out || now() >= due) co_return false;
  }
}

void connection::activate() {
  if (active_ == nullptr) active_ = std::make_unique<active>(group_.options().limits);
}

std::span<std::byte> connection::buffer() noexcept {
  return std::as_writable_bytes(std::span(active_->buffer));
}

void connection::took(std::size_t bytes) noexcept {
  unread_ = std::span<const char>(active_->buffer).first(bytes);
}

// --- writing ------------------------------------------------------------------------------------

head_result connection::append_head(const response& r, const request* asked, bool keep_alive) {
  head_options options;
  options.keep_alive = keep_alive;
  options.date = date_.at(wall_clock_seconds());
  if (asked != nullptr) {
    options.version = asked->version;
    options.head_only = asked->method == method::head;
  }
  group_.counters().responded(r.status);
  return write_head(active_->out, r, options);
}

void connection::refuse(status s) {
  activate();
  const response r = response::with_status(s);
  if (append_head(r, nullptr, false).has_body) active_->out += r.text;
}

task<bool> connection::answer() {
  const request& asked = active_->parser.message();
  group_.counters().requests.add();
  response r;
  bool keep_alive = asked.keep_alive;
  try {
    response given = co_await group_.answers().respond(asked);
    if (given.kind == body_kind::stream) {
      throw std::logic_error("a handler answered with a body_kind::stream, which has no source");
    }
    // After an interim one the client waits on, and takes the next request's answer for this one's;
    // after 101 what it sends is another protocol, which would be read as requests.
    if (code(given.status) < 200 || code(given.status) > 999) {
      throw std::logic_error(
          "a handler answered with a status that ends no request (200 to 999 do)");
    }
    r = std::move(given);
  } catch (const std::exception& e) {
    group_.counters().handler_errors.add();
    say_handler_error(group_, e.what());
    r = response::with_status(status::internal_server_error);
    keep_alive = false;
  } catch (...) {
    group_.counters().handler_errors.add();
    say_handler_error(group_, "no std::exception");
    r = response::with_status(status::internal_server_error);
    keep_alive = false;
  }
  // What follows a CONNECT may be a tunnel's bytes, whatever a handler has made of it: no request.
  if (group_.draining() || asked.method == method::connect) keep_alive = false;
  const head_result head = append_head(r, &asked, keep_alive);
  if (head.has_body) {
    const bool sent = co_await send_body(r);
    if (!sent) {
      active_.reset();  // the length that the head states was not kept: only a close can say so
      co_return false;
    }
  } else if (active_->out.size() >= out_bytes_max) {
    const bool sent = co_await flush();
    if (!sent) co_return false;
  }
  active_->parser.next();
  co_return head.keep_alive;
}

task<bool> connection::send_body(const response& r) {
  std::string& out = active_->out;
  if (r.kind == body_kind::text) {
    group_.counters().body_bytes.add(r.text.size());
    if (out.size() + r.text.size() <= out_bytes_max) {
      out += r.text;
      co_return true;
    }
    const std::size_t first =
        std::min(r.text.size(), out_bytes_max - std::min(out.size(), out_bytes_max));
    out.append(r.text, 0, first);
    const bool sent = co_await flush();
    if (!sent) co_return false;
    const bool rest = co_await write(std::string_view(r.text).substr(first));
    co_return rest;
  }
  const bool sent = co_await flush();
  if (!sent || r.file == nullptr) co_return false;
  std::uint64_t at = r.file_at;
  for (std::uint64_t left = r.file_bytes; left != 0;) {
    const std::size_t slice = std::min<std::uint64_t>(left, file_slice_bytes);
    const auto n = co_await timeout(group_.options().write_stall,
                                    stream_.send_file(r.file->descriptor().get(), at, slice));
    if (!n && n.error() == errc::timed_out) group_.counters().timed_out.add();
    if (!n) co_return false;
    group_.counters().body_bytes.add(*n);
    if (*n != slice) co_return false;  // the file has become shorter
    at += *n;
    left -= *n;
  }
  co_return true;
}

task<bool> connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view slice = bytes.substr(0, write_slice_bytes);
    const auto sent = co_await timeout(group_.options().write_stall,
                                       stream_.write_all(std::as_bytes(std::span(slice))));
    if (!sent) {
      // operation_canceled: the time was over when a part had gone out.
      if (sent.error() == errc::timed_out || sent.error() == std::errc::operation_canceled) {
        group_.counters().timed_out.add();
      }
      co_return false;
    }
    bytes.remove_prefix(slice.size());
  }
  co_return true;
}

task<bool> connection::flush() {
  const bool sent = co_await write(active_->out);
  active_->out.clear();
  if (!sent) active_.reset();
  co_return sent;
}

task<> connection::linger() {
  const auto shut = stream_.shutdown_write();
  if (!shut) co_return;
  const moment due = now() + group_.options().linger;
  for (std::size_t left = group_.options().linger_bytes; left != 0;) {
    const auto n = co_await deadline(due, stream_.read_some(buffer()));
    if (!n || *n == 0) co_return;
    left -= std::min(left, *n);
  }
}

}  // namespace weft::http::detail
