#include <weft/http/connection.hpp>

#include <weft/base/assert.hpp>
#include <weft/fs/file.hpp>
#include <weft/runtime/time.hpp>
#include <weft/together/timeout.hpp>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <new>
#include <stdexcept>
#include <utility>

namespace weft::http::detail {
namespace {

std::string_view part_of_kept(const response& r) noexcept {
  if (r.kept == nullptr || r.file_at > r.kept->size()) return {};
  return std::string_view(*r.kept).substr(r.file_at, r.file_bytes);
}

}  // namespace

task<> run_connection(net::tcp_stream accepted, connection_group::membership member) {
  member.runs();
  net::tcp_stream stream = std::move(accepted);
  connection served(member.group(), member.of(), stream);
  try {
    while (served.begin_idle()) {
      const auto n = co_await stream.read_some(served.first());
      if (!n || *n == 0) co_return;
      if (!served.end_idle(*n)) break;
      const connection::step next = served.begin();
      if (next == connection::step::idle) continue;
      const bool open = co_await served.serve(next);
      if (!open) co_return;
    }
    co_await served.close_idle();
  } catch (const std::bad_alloc&) {
    // Its close is all that can be said without memory. Out of here it would end the process.
  }
}

connection::~connection() {
  if (scratch_ == nullptr || !scratch_->parser.untouched()) return;
  scratch_->out.clear();
  scratch_->body = response();
  group_.scratches().give(std::move(scratch_));
}

bool connection::begin_idle() noexcept {
  if (entry_.busy.load(order::relaxed)) group_.end_work(entry_);
  if (group_.draining()) return false;
  watch_.give_until(later(now(), group_.options().idle_time));
  return true;
}

bool connection::end_idle(std::size_t bytes) noexcept {
  unread_ = std::span<const char>(first_).first(bytes);
  return watch_.pause();
}

connection::step connection::begin() {
  if (scratch_ == nullptr) scratch_ = group_.scratches().take();
  return go_on();
}

connection::step connection::go_on() {
  for (;;) {
    // Whoever answers, and however it waits: a task that is there at once, or a read of what has come
    // already, gives nobody else a turn.
    if (answered_ >= answers_at_once && !unread_.empty()) return step::turn;
    switch (parse()) {
      case parsed::refused:
        return step::close;
      case parsed::ended:
        return step::ended;
      case parsed::part:
        if (!write_now()) return step::flush;
        // Not after an empty line: how many of them have come is to be remembered, and not for long.
        if (!scratch_->parser.untouched()) return step::more;
        if (answered_ >= answers_at_once) return step::turn;  // the next read may be there, too
        group_.scratches().give(std::move(scratch_));
        return step::idle;
      case parsed::request:
        break;
    }
    const request& asked = scratch_->parser.message();
    group_.counters().asked();
    keep_alive_ = asked.keep_alive;
    bool body_left = false;
    const std::size_t before = scratch_->out.size();
    try {
      response given;
      if (!group_.answers().try_respond(asked, given)) return step::respond;
      body_left = collect(given, asked);
    } catch (const std::exception& e) {
      collect_error(before, e.what());
    } catch (...) {
      collect_error(before, "no std::exception");
    }
    if (body_left) return step::body;
    if (const auto then = end_request()) return *then;
  }
}

std::optional<connection::step> connection::end_request() noexcept {
  ++answered_;
  scratch_->parser.next();
  if (!keep_alive_) return step::close;
  if (scratch_->out.size() >= out_bytes_max && !write_now()) return step::flush;
  return std::nullopt;
}

task<bool> connection::serve(step next) {
  for (;;) {
    switch (next) {
      case step::idle:
        co_return true;
      case step::ended:
        co_await close(std::as_writable_bytes(std::span(scratch_->buffer)));
        co_return false;
      case step::turn:
        co_await yield_now();
        answered_ = 0;
        next = go_on();
        break;
      case step::close:
        co_await end();
        co_return false;
      case step::flush: {
        if (scratch_->out.size() <= write_slice_bytes) {  // as flush(), without its frame
          begin_write();
          const auto sent = co_await stream_.write_all(std::as_bytes(std::span(scratch_->out)));
          scratch_->out.clear();
          if (!sent) {
            note_write_failed();
            co_return false;
          }
          if (!pause_in_time()) co_return false;
        } else {
          const bool sent = co_await flush();
          if (!sent) co_return false;
        }
        next = go_on();
        break;
      }
      case step::more: {
        const bool more = co_await fill();
        if (more) {
          next = go_on();
          break;
        }
        if (!timed_out_) co_return false;
        group_.counters().timed_out.add();
        if (too_slow_) group_.counters().bodies_too_slow.add();
        refuse(status::request_timeout);
        next = step::close;
        break;
      }
      case step::respond: {
        const request& asked = scratch_->parser.message();
        bool body_left = false;
        const std::size_t before = scratch_->out.size();
        try {
          response given = co_await group_.answers().respond(asked);
          body_left = collect(given, asked);
        } catch (const std::exception& e) {
          collect_error(before, e.what());
        } catch (...) {
          collect_error(before, "no std::exception");
        }
        if (body_left) {
          next = step::body;
        } else {
          const auto then = end_request();
          next = then ? *then : go_on();
        }
        break;
      }
      case step::body: {
        const bool sent = co_await send_body();
        if (!sent)
          co_return false;  // the length that the head states was not kept: only a close says so
        const auto then = end_request();
        next = then ? *then : go_on();
        break;
      }
    }
  }
}

// --- reading ------------------------------------------------------------------------------------

connection::parsed connection::parse() {
  request_parser& parser = scratch_->parser;
  if (unread_.empty() && parser.untouched()) return parsed::part;  // the usual end of it
  for (;;) {
    const parse_stage before = parser.stage();
    const bool untouched = parser.untouched();
    // Also with nothing to read: in front of a body this is where its stated length is judged.
    const auto used = parser.feed(unread_);
    if (!used) {
      group_.counters().refused.add();
      refuse(http::answer(used.error()));
      return parsed::refused;
    }
    unread_ = unread_.subspan(*used);
    if (untouched && !parser.untouched()) {
      if (!entry_.busy.load(order::relaxed) && !group_.begin_work(entry_)) return parsed::ended;
      part_due_ = {};
      continued_ = false;
    }
    if (parser.stage() == parse_stage::complete) return parsed::request;
    if (parser.stage() == parse_stage::body && before != parse_stage::body) part_due_ = {};
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
        scratch_->out += continue_head;
      }
    }
    return parsed::part;
  }
}

moment connection::due_for_more(moment present) noexcept {
  const server_options& options = group_.options();
  const bool in_body = scratch_->parser.stage() == parse_stage::body;
  if (part_due_ == moment()) {
    part_due_ = later(present, in_body ? options.body_stall : options.header_time);
  }
  too_slow_ = false;
  if (!in_body) return part_due_;
  const moment stalled = later(present, options.body_stall);
  if (options.body_rate_min == 0) return stalled;
  const std::size_t bytes = scratch_->parser.message().body.size();
  const moment rated = later(part_due_, time_of(bytes, options.body_rate_min));
  too_slow_ = rated < stalled;
  return std::min(rated, stalled);
}

task<bool> connection::fill() {
  timed_out_ = false;
  if (!pause_in_time()) co_return false;
  const moment due = due_for_more(now());
  const auto n = co_await deadline(
      due, stream_.read_some(std::as_writable_bytes(std::span(scratch_->buffer))));
  if (!n) {
    timed_out_ = n.error() == errc::timed_out;
    co_return false;
  }
  unread_ = std::span<const char>(scratch_->buffer).first(*n);
  co_return *n != 0;  // an end in the middle of a request: nobody is left to be answered
}

// --- writing ------------------------------------------------------------------------------------

WEFT_ALWAYS_INLINE head_result connection::append_head(const response& r, const request* asked,
                                                       bool keep_alive) {
  head_options options;
  options.keep_alive = keep_alive;
  options.date = scratch_->date.at(std::time(nullptr));
  if (asked != nullptr) {
    options.version = asked->version;
    options.head_only = asked->method == method::head;
  }
  const head_result written = write_head(scratch_->out, r, options);
  group_.counters().responded(r.status);
  return written;
}

void connection::refuse(status s) {
  const response r = response::with_status(s);
  if (append_head(r, nullptr, false).has_body) scratch_->out += r.text;
}

bool connection::collect(response& r, const request& asked) {
  if (r.kind == body_kind::stream) {
    throw std::logic_error("a handler answered with a body_kind::stream, which has no source");
  }
  // After an interim one the client waits on, and takes the next request's answer for this one's;
  // after 101 what it sends is another protocol, which would be read as requests.
  if (code(r.status) < 200 || code(r.status) > 999) {
    throw std::logic_error("a handler answered with a status that ends no request (200 to 999 do)");
  }
  // What follows a CONNECT may be a tunnel's bytes, whatever a handler has made of it: no request.
  const bool wanted = keep_alive_ && !group_.draining() && asked.method != method::connect;
  std::string& out = scratch_->out;
  const head_result head = append_head(r, &asked, wanted);
  keep_alive_ = head.keep_alive;
  if (!head.has_body) return false;
  if (r.kind == body_kind::text && out.size() + r.text.size() <= out_bytes_max) {
    out += r.text;
    group_.counters().sent_body(r.text.size());
    return false;
  }
  if (r.kind == body_kind::kept) {
    if (r.file_bytes <= copied_bytes_max) {
      const std::string_view text = part_of_kept(r);
      if (text.size() == r.file_bytes) {
        out += text;
        group_.counters().sent_body(text.size());
        return false;
      }
    } else if (write_kept_now(r)) {
      return false;
    }
  }
  scratch_->body = std::move(r);
  return true;
}

void connection::collect_error(std::size_t out_before, const char* what) {
  keep_alive_ = false;
  group_.counters().handler_errors.add();
  if (group_.first_handler_error()) {
    std::fprintf(
        stderr,
        "weft: http: a handler threw (answered with 500; further ones are only counted): %s\n",
        what);
  }
  scratch_->out.resize(out_before);  // of a head that was begun and found no memory
  const request& asked = scratch_->parser.message();
  const response r = response::with_status(status::internal_server_error);
  if (append_head(r, &asked, false).has_body) {
    scratch_->out += r.text;
    group_.counters().sent_body(r.text.size());
  }
}

// What an error was shows when it is awaited: it is the same again, or the end of the stream.
bool connection::write_now() noexcept {
  std::string& out = scratch_->out;
  if (out.empty()) return true;
  if (!tries_) return false;
  const auto sent = stream_.try_write(std::as_bytes(std::span(out)));
  if (!sent) return false;
  if (*sent < out.size()) {
    out.erase(0, *sent);
    return false;
  }
  out.clear();
  return true;
}

// The kernel would take megabytes, and say that there is room again when a third of them has gone: to a
// client that takes 50 KB a second that is 30 s without a sign of life, and to one that takes nothing it
// is megabytes for nothing.
void connection::begin_write() noexcept {
  if (!std::exchange(bounds_unsent_, true)) {
    static_cast<void>(stream_.set_unsent_low_water(write_slice_bytes));
  }
  watch_.give_until(later(now(), group_.options().write_stall));
}

bool connection::write_kept_now(response& r) noexcept {
  if (!tries_) return false;
  std::string& out = scratch_->out;
  const std::string_view text = part_of_kept(r);
  if (text.size() != r.file_bytes || out.size() + text.size() > write_slice_bytes) return false;
  const std::array<io::io_part, 2> parts = {{{out.data(), out.size()}, {text.data(), text.size()}}};
  const auto sent = stream_.try_write(std::span<const io::io_part>(parts));
  if (!sent) return false;
  if (*sent < out.size()) {
    out.erase(0, *sent);
    return false;
  }
  const std::size_t of_body = *sent - out.size();
  out.clear();
  group_.counters().sent_body(of_body);
  r.file_at += of_body;
  r.file_bytes -= of_body;
  return r.file_bytes == 0;
}

task<bool> connection::send_body() {
  // From now on the frame's: it goes with it, however it ends.
  const response r = std::exchange(scratch_->body, response());
  std::string& out = scratch_->out;
  if (r.kind == body_kind::text) {
    group_.counters().sent_body(r.text.size());
    const std::size_t first =
        std::min(r.text.size(), out_bytes_max - std::min(out.size(), out_bytes_max));
    out.append(r.text, 0, first);
    const bool sent = co_await flush();
    if (!sent) co_return false;
    const bool rest = co_await write(std::string_view(r.text).substr(first));
    co_return rest;
  }
  if (r.kind == body_kind::kept) {
    const bool sent = co_await send_kept(r);
    co_return sent;
  }
  const bool sent = co_await flush();
  if (!sent || r.file == nullptr) co_return false;
  std::uint64_t at = r.file_at;
  for (std::uint64_t left = r.file_bytes; left != 0;) {
    const std::size_t slice = std::min<std::uint64_t>(left, file_slice_bytes);
    begin_write();
    const auto n = co_await stream_.send_file(r.file->descriptor().get(), at, slice);
    if (!n) {
      note_write_failed();
      co_return false;
    }
    group_.counters().sent_body(*n);
    if (*n != slice) co_return false;  // the file has become shorter
    at += *n;
    left -= *n;
  }
  // What comes next may be a handler, for as long as it likes.
  const bool in_time = pause_in_time();
  co_return in_time;
}

// Head and text leave in one call, as far as they are one slice.
task<bool> connection::send_kept(const response& r) {
  if (scratch_->out.size() >= write_slice_bytes) {
    const bool flushed = co_await flush();
    if (!flushed) co_return false;
  }
  std::string_view rest = part_of_kept(r);
  const std::string_view slice = rest.substr(0, write_slice_bytes - scratch_->out.size());
  const std::array<io::io_part, 2> parts = {
      {{scratch_->out.data(), scratch_->out.size()}, {slice.data(), slice.size()}}};
  begin_write();
  const auto sent = co_await stream_.write_all(std::span<const io::io_part>(parts));
  scratch_->out.clear();
  if (!sent) {
    note_write_failed();
    co_return false;
  }
  group_.counters().sent_body(slice.size());
  rest.remove_prefix(slice.size());
  if (!pause_in_time()) co_return false;
  if (rest.empty()) co_return slice.size() == r.file_bytes;  // else a handler promised too much
  group_.counters().sent_body(rest.size());
  const bool all = co_await write(rest);
  co_return (all && slice.size() + rest.size() == r.file_bytes);
}

task<bool> connection::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view slice = bytes.substr(0, write_slice_bytes);
    begin_write();
    const auto sent = co_await stream_.write_all(std::as_bytes(std::span(slice)));
    if (!sent) {
      note_write_failed();
      co_return false;
    }
    bytes.remove_prefix(slice.size());
  }
  const bool in_time = pause_in_time();
  co_return in_time;
}

task<bool> connection::flush() {
  const bool sent = co_await write(scratch_->out);
  scratch_->out.clear();
  co_return sent;
}

void connection::note_write_failed() noexcept {
  if (watch_.expired()) give_up_slow();
}

void connection::give_up_slow() noexcept {
  group_.counters().timed_out.add();
  // What it does not take the kernel would keep for it, some megabytes for many minutes. Refused: it does.
  static_cast<void>(stream_.set_linger(std::chrono::seconds(0)));
}

bool connection::pause_in_time() noexcept {
  if (watch_.pause()) return true;
  group_.counters().timed_out.add();  // the kernel has taken the last of it all the same: no reset
  return false;
}

// What was collected, and the close as the client shall see it.
task<> connection::end() {
  const bool sent = co_await flush();
  if (!sent) co_return;
  co_await close(std::as_writable_bytes(std::span(scratch_->buffer)));
}

task<> connection::close_idle() { return close(first()); }

task<> connection::close(std::span<std::byte> room) {
  const auto shut = stream_.shutdown_write();
  if (!shut) co_return;
  const moment due = later(now(), group_.options().linger);
  for (std::size_t left = group_.options().linger_bytes; left != 0;) {
    const auto n = co_await deadline(due, stream_.read_some(room));
    if (!n || *n == 0) co_return;
    left -= std::min(left, *n);
  }
}

}  // namespace weft::http::detail
