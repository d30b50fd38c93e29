#include <weft/http/files.hpp>

#include <weft/http/conditional.hpp>
#include <weft/http/date.hpp>
#include <weft/http/listing.hpp>
#include <weft/http/mime.hpp>
#include <weft/http/range.hpp>
#include <weft/runtime/blocking.hpp>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace weft::http {
namespace {

status answer(std::error_code error) noexcept {
  if (error == std::errc::permission_denied || error == std::errc::operation_not_permitted) {
    return status::forbidden;
  }
  for (const std::errc absent :
       {std::errc::no_such_file_or_directory, std::errc::not_a_directory,
        std::errc::filename_too_long, std::errc::too_many_symbolic_link_levels,
        std::errc::no_such_device_or_address}) {
    if (error == absent) return status::not_found;
  }
  for (const std::errc shortage :
       {std::errc::too_many_files_open, std::errc::too_many_files_open_in_system,
        std::errc::not_enough_memory, std::errc::resource_unavailable_try_again}) {
    if (error == shortage) return status::service_unavailable;
  }
  return status::internal_server_error;
}

std::string_view last_name(std::string_view relative) noexcept {
  return relative.substr(relative.rfind('/') + 1);  // npos + 1 is 0
}

std::string beneath(std::string_view folder, std::string_view name) {
  std::string path(folder);
  return path.append("/").append(name);
}

// Written anew from the decoded names: whatever the client sent, the result is a path on this host
// ("//evil.example" in the place of "/x" would be another host).
response redirect_to_folder(const request& asked, const resolved_path& path) {
  std::string location = "/";
  for (std::string_view rest = path.relative; !rest.empty() && path.relative != ".";) {
    const std::string_view name = rest.substr(0, rest.find('/'));
    append_percent_encoded(location, name);
    location += '/';
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
  }
  if (!asked.query().empty()) location.append("?").append(asked.query());
  response r = response::with_status(status::moved_permanently);
  r.headers.set("Location", location);
  return r;
}

void set_validators(response& r, std::string_view etag, std::int64_t modified) {
  std::array<char, date_bytes> date;
  format_date(modified, date);
  r.headers.set("ETag", etag);
  r.headers.set("Last-Modified", std::string_view(date.data(), date.size()));
}

}  // namespace

task<response> static_files::respond(const request& asked) {
  if (asked.method != method::get && asked.method != method::head) {
    response r = response::with_status(status::method_not_allowed);
    r.headers.set("Allow", "GET, HEAD");
    co_return r;
  }
  const auto path = resolve_path(asked.path(), options_.path);
  if (!path) {
    response r = response::with_status(http::answer(path.error()));
    co_return r;
  }
  // References are safe: a call that has begun is awaited, also by a stop.
  response r = co_await spawn_blocking(&static_files::blocking_answer, this, std::cref(asked),
                                       std::cref(*path));
  r.headers.set("X-Content-Type-Options", "nosniff");
  co_return r;
}

response static_files::blocking_answer(const request& asked, const resolved_path& path) const {
  auto opened = root_.blocking_open_beneath(path.relative);
  if (!opened) return response::with_status(answer(opened.error()));
  switch (opened->info().kind) {
    case fs::file_kind::directory:
      if (!path.directory) return redirect_to_folder(asked, path);
      return blocking_answer_folder(asked, path, *opened);
    case fs::file_kind::regular:
      if (path.directory) break;  // "/page.html/" names nothing
      return blocking_answer_file(asked, last_name(path.relative), std::move(*opened));
    case fs::file_kind::symbolic_link:
    case fs::file_kind::other:
      break;
  }
  return response::with_status(status::not_found);
}

response static_files::blocking_answer_folder(const request& asked, const resolved_path& path,
                                              const fs::file& folder) const {
  if (!options_.index.empty()) {
    auto index = root_.blocking_open_beneath(beneath(path.relative, options_.index));
    if (index && index->info().kind == fs::file_kind::regular) {
      return blocking_answer_file(asked, options_.index, std::move(*index));
    }
    // An index that is there and cannot be read is no reason to show what lies beside it.
    if (!index && answer(index.error()) != status::not_found) {
      return response::with_status(answer(index.error()));
    }
  }
  if (!options_.listing) return response::with_status(status::not_found);
  auto found = fs::directory::blocking_list(folder);
  if (!found) return response::with_status(answer(found.error()));

  std::vector<listing_entry> entries;
  bool more = false;
  for (auto& [name, info] : *found) {
    if (!options_.path.hidden && name.starts_with('.')) continue;
    if (info.kind != fs::file_kind::regular && info.kind != fs::file_kind::directory) continue;
    if (entries.size() == options_.listing_entries_max) {
      more = true;
      break;
    }
    constexpr std::int64_t second_ns = 1'000'000'000;
    entries.push_back({std::move(name), info.kind == fs::file_kind::directory, info.size,
                       info.modified_ns / second_ns});
  }
  const std::string title = path.relative == "." ? "/" : "/" + path.relative + "/";
  response r =
      response::with_text(status::ok, "text/html; charset=utf-8", directory_page(title, entries));
  if (more) r.text += "<p>There are more entries than are shown here.</p>\n";
  // It has no validator, and must not be shown from a cache after a change.
  r.headers.set("Cache-Control", "no-cache");
  return r;
}

response static_files::blocking_answer_file(const request& asked, std::string_view name,
                                            fs::file opened) const {
  const fs::file_info info = opened.info();
  const file_version version{info.modified_ns, info.size, info.inode};
  const std::string etag = entity_tag(version);
  const std::int64_t modified = modified_seconds(version);

  response r;
  switch (evaluate(asked.method, asked.headers, etag, modified)) {
    case precondition::not_modified:
      r.status = status::not_modified;
      set_validators(r, etag, modified);
      return r;
    case precondition::failed:
      return response::with_status(status::precondition_failed);
    case precondition::pass:
      break;
  }

  byte_range part{range_kind::whole, 0, info.size};
  const auto wanted = asked.headers.find("range");
  if (wanted && asked.method == method::get && range_applies(asked.headers, etag, modified)) {
    const byte_range named = parse_range(*wanted, info.size);
    if (named.kind == range_kind::unsatisfiable) {
      r = response::with_status(status::range_not_satisfiable);
      r.headers.set("Content-Range", content_range(named, info.size));
      return r;
    }
    if (named.kind == range_kind::part) {
      part = named;
      r.status = status::partial_content;
      r.headers.set("Content-Range", content_range(named, info.size));
    }
  }
  r.headers.set("Content-Type", media_type(name));
  r.headers.set("Accept-Ranges", "bytes");
  set_validators(r, etag, modified);

  if (asked.method == method::get && part.count <= options_.inline_bytes) {
    r.kind = body_kind::text;
    r.text.resize(static_cast<std::size_t>(part.count));
    const auto n = opened.blocking_read_at(std::as_writable_bytes(std::span(r.text)), part.first);
    if (!n) return response::with_status(answer(n.error()));
    // It became shorter since it was looked at: what was promised about it is no longer true.
    if (*n != r.text.size()) return response::with_status(status::service_unavailable);
    return r;
  }
  r.kind = body_kind::file;
  r.file_at = part.first;
  r.file_bytes = part.count;
  if (asked.method == method::get) r.file = std::make_shared<const fs::file>(std::move(opened));
  return r;
}

}  // namespace weft::http
