#include <weft/http/files.hpp>

#include <weft/http/conditional.hpp>
#include <weft/http/date.hpp>
#include <weft/http/listing.hpp>
#include <weft/http/mime.hpp>
#include <weft/http/moment.hpp>
#include <weft/http/range.hpp>
#include <weft/runtime/blocking.hpp>
#include <weft/runtime/time.hpp>

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

// Clocks of file systems tick every few milliseconds, some (FAT) every two seconds.
constexpr std::int64_t settled_after_ns = 3'000'000'000;

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

/// The one usual way to write it: what is kept is found by it, without decoding.
bool is_plain(std::string_view url_path, const resolved_path& path) noexcept {
  std::string_view rest = url_path;
  if (!rest.starts_with('/')) return false;
  rest.remove_prefix(1);
  if (path.directory && rest.ends_with('/')) rest.remove_suffix(1);
  return rest == path.relative || (rest.empty() && path.relative == ".");
}

file_version version_of(const fs::file_info& info) noexcept {
  return {info.modified_ns, info.size, info.inode, info.changed_ns, info.device};
}

/// Contents that are in memory do not change. A file that is only kept open does, and then what was said
/// of it, its tag above all, would be said of other bytes.
bool as_it_was(const detail::file_snapshot& file) noexcept {
  if (file.opened == nullptr) return true;
  const auto info = file.opened->blocking_info();
  return info && version_of(*info) == file.version;
}

/// What a client has already, and which part it wants, is decided here for files kept or not. `r` is as new.
void answer_file(const request& asked, detail::file_cache::snapshot of, response& r) {
  const detail::file_snapshot& file = *of;
  switch (evaluate(asked.method, asked.headers, file.etag, file.modified)) {
    case precondition::not_modified:
      r.status = status::not_modified;
      set_validators(r, file.etag, file.modified);
      r.headers.set("X-Content-Type-Options", "nosniff");
      return;
    case precondition::failed:
      r = response::with_status(status::precondition_failed);
      r.headers.set("X-Content-Type-Options", "nosniff");
      return;
    case precondition::pass:
      break;
  }
  const std::uint64_t size = file.version.size;
  r.file_bytes = size;
  const auto wanted = asked.headers.find("range");
  if (wanted && asked.method == method::get &&
      range_applies(asked.headers, file.etag, file.modified)) {
    const byte_range named = parse_range(*wanted, size);
    if (named.kind == range_kind::unsatisfiable) {
      r = response::with_status(status::range_not_satisfiable);
      r.headers.set("Content-Range", content_range(named, size));
      r.headers.set("X-Content-Type-Options", "nosniff");
      return;
    }
    if (named.kind == range_kind::part) {
      r.status = status::partial_content;
      r.headers.set("Content-Range", content_range(named, size));
      r.file_at = named.first;
      r.file_bytes = named.count;
    }
  }
  if (r.headers.empty()) {
    r.headers = file.fields;
  } else {
    for (std::size_t i = 0; i < file.fields.size(); ++i) {
      r.headers.add(file.fields[i].name, file.fields[i].value);
    }
  }
  // They keep all of the snapshot: one count less than a share of its own.
  if (file.text != nullptr) {
    r.kind = body_kind::kept;
    const std::string* const text = file.text.get();
    r.kept = {std::move(of), text};
  } else {
    r.kind = body_kind::file;
    const fs::file* const opened = file.opened.get();
    r.file = {std::move(of), opened};
  }
}

response answer_file(const request& asked, detail::file_cache::snapshot of) {
  response r;
  answer_file(asked, std::move(of), r);
  return r;
}

}  // namespace

detail::file_cache::snapshot static_files::find_kept(const request& asked) {
  const bool reads = asked.method == method::get || asked.method == method::head;
  if (!reads || options_.fresh_for.count() <= 0) return nullptr;
  snapshot kept = cache_.find(asked.path(), detail::earlier(now(), options_.fresh_for));
  return kept != nullptr && as_it_was(*kept) ? kept : nullptr;
}

bool static_files::try_respond(const request& asked, response& answer) {
  snapshot kept = find_kept(asked);
  if (kept == nullptr) return false;
  answer_file(asked, std::move(kept), answer);
  return true;
}

// Not a coroutine: what is kept is answered in a small frame, the other one is large.
task<response> static_files::respond(const request& asked) {
  if (snapshot kept = find_kept(asked)) return respond_kept(asked, std::move(kept));
  return respond_found(asked);
}

task<response> static_files::respond_kept(const request& asked, snapshot file) const {
  co_return answer_file(asked, std::move(file));
}

task<response> static_files::respond_found(const request& asked) {
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
  const bool keeps = options_.fresh_for.count() > 0 && is_plain(asked.path(), *path);
  snapshot file = keeps ? cache_.find_stale(asked.path()) : nullptr;
  // Before the look: what it finds is at least as new.
  const auto looked = now();
  // References are safe: a call that has begun is awaited, also by a stop.
  response r = co_await spawn_blocking(&static_files::blocking_answer, this, std::cref(asked),
                                       std::cref(*path), std::ref(file));
  if (keeps && file != nullptr) {
    cache_.put(asked.path(), file, looked);
  } else if (keeps) {
    cache_.drop(asked.path());
  }
  if (!r.headers.contains("x-content-type-options")) {
    r.headers.set("X-Content-Type-Options", "nosniff");
  }
  co_return r;
}

result<fs::file> static_files::blocking_open(const std::string& relative, snapshot& file) {
  auto opened = root_.blocking_open_beneath(relative);
  if (opened || (opened.error() != std::errc::too_many_files_open &&
                 opened.error() != std::errc::too_many_files_open_in_system)) {
    return opened;
  }
  if (file != nullptr && file->opened != nullptr) file = nullptr;
  cache_.drop_opened();
  return root_.blocking_open_beneath(relative);
}

response static_files::blocking_answer(const request& asked, const resolved_path& path,
                                       snapshot& file) {
  auto opened = blocking_open(path.relative, file);
  const bool regular = opened && opened->info().kind == fs::file_kind::regular;
  // "/page.html/" names nothing.
  if (regular && !path.directory) {
    return blocking_answer_file(asked, last_name(path.relative), std::move(*opened), file);
  }
  if (opened && opened->info().kind == fs::file_kind::directory && path.directory) {
    return blocking_answer_folder(asked, path, *opened, file);
  }
  file = nullptr;
  if (!opened) return response::with_status(answer(opened.error()));
  if (opened->info().kind == fs::file_kind::directory) return redirect_to_folder(asked, path);
  return response::with_status(status::not_found);
}

response static_files::blocking_answer_folder(const request& asked, const resolved_path& path,
                                              const fs::file& folder, snapshot& file) {
  if (!options_.index.empty()) {
    auto index = blocking_open(beneath(path.relative, options_.index), file);
    if (index && index->info().kind == fs::file_kind::regular) {
      return blocking_answer_file(asked, options_.index, std::move(*index), file);
    }
    file = nullptr;
    // An index that is there and cannot be read is no reason to show what lies beside it.
    if (!index && answer(index.error()) != status::not_found) {
      return response::with_status(answer(index.error()));
    }
  }
  file = nullptr;
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
                                            fs::file opened, snapshot& file) const {
  const fs::file_info info = opened.info();
  const file_version version = version_of(info);
  // The same once more, and it cannot have been changed since within the same tick of its clock.
  if (file != nullptr && file->settled && file->version == version) return answer_file(asked, file);

  file = nullptr;
  auto made = std::make_shared<detail::file_snapshot>();
  made->version = version;
  made->modified = modified_seconds(version);
  made->etag = entity_tag(version);
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  // The later of the two: that of the modification can be set back.
  const std::int64_t touched_ns = std::max(version.modified_ns, version.changed_ns);
  made->settled = std::chrono::nanoseconds(wall).count() - touched_ns > settled_after_ns;
  std::array<char, date_bytes> date;
  format_date(made->modified, date);
  made->fields.set("Content-Type", media_type(name));
  made->fields.set("Accept-Ranges", "bytes");
  made->fields.set("ETag", made->etag);
  made->fields.set("Last-Modified", std::string_view(date.data(), date.size()));
  made->fields.set("X-Content-Type-Options", "nosniff");
  if (info.size <= options_.inline_bytes) {
    auto text = std::make_shared<std::string>();
    text->resize(static_cast<std::size_t>(info.size));
    const auto n = opened.blocking_read_at(std::as_writable_bytes(std::span(*text)), 0);
    if (!n) return response::with_status(answer(n.error()));
    // It became shorter since it was looked at: what was promised about it is no longer true.
    if (*n != text->size()) return response::with_status(status::service_unavailable);
    made->text = std::move(text);
  } else {
    made->opened = std::make_shared<const fs::file>(std::move(opened));
  }
  response r = answer_file(asked, made);
  file = std::move(made);
  return r;
}

}  // namespace weft::http
