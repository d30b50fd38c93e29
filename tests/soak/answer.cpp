#include "answer.hpp"

#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "peer.hpp"

namespace soak {
namespace {

constexpr std::size_t contents_bytes = 1 << 20;
constexpr std::size_t large_bytes = 256 << 10;
constexpr std::size_t small_max = 2000;
constexpr std::size_t head_max = 4096;
constexpr std::size_t shown_max = 80;  // of what was wrong

struct file {
  const char* name;
  std::size_t bytes;
};
constexpr file files[] = {{"small.txt", 120}, {"middle.bin", 10 << 10}};
constexpr file large_file = {"large.bin", contents_bytes};

void write_file(const std::string& folder, const file& f) {
  std::FILE* const to = std::fopen((folder + "/" + f.name).c_str(), "wb");
  if (to == nullptr || std::fwrite(contents().data(), 1, f.bytes, to) != f.bytes ||
      std::fclose(to) != 0) {
    failed(f.name);
  }
}

/// The value of a field, or an empty one.
std::string_view field(std::string_view head, std::string_view name) {
  for (std::size_t at = 0; at < head.size();) {
    const std::size_t end = std::min(head.find("\r\n", at), head.size());
    const std::string_view line = head.substr(at, end - at);
    if (line.size() > name.size() + 1 && line[name.size()] == ':' &&
        ::strncasecmp(line.data(), name.data(), name.size()) == 0) {
      const std::size_t from = line.find_first_not_of(' ', name.size() + 1);
      return from == line.npos ? std::string_view() : line.substr(from);
    }
    at = end + 2;
  }
  return {};
}

}  // namespace

const std::string& contents() {
  static const std::string all = [] {
    std::mt19937_64 random(20260101);
    std::string s(contents_bytes, '\0');
    for (char& c : s) c = static_cast<char>(random() >> 56);
    return s;
  }();
  return all;
}

void write_files(const std::string& folder) {
  for (const file& f : files) write_file(folder, f);
  write_file(folder, large_file);
}

question make_question(protocol p, bool large, std::mt19937_64& random) {
  question q;
  q.bytes = large ? large_bytes : 1 + below(random, small_max);
  q.at = below(random, contents_bytes - q.bytes);
  if (p == protocol::echo) {
    q.text = contents().substr(q.at, q.bytes);
    return q;
  }
  q.head = true;
  const file& f = large ? large_file : files[below(random, std::size(files))];
  q.text = std::string("GET /") + f.name + " HTTP/1.1\r\nHost: localhost\r\n";
  if (large) {
    q.text +=
        "Range: bytes=" + std::to_string(q.at) + "-" + std::to_string(q.at + q.bytes - 1) + "\r\n";
  } else {
    q.at = 0;
    q.bytes = f.bytes;
  }
  q.text += "\r\n";
  return q;
}

void answer::expect(bool head, std::size_t at, std::size_t bytes) {
  head_due_ = head;
  at_ = at;
  left_ = bytes;
  head_.clear();
}

bool answer::take_head(std::string_view& came) {
  const std::size_t before = head_.size();
  head_.append(came);
  const std::size_t end = head_.find("\r\n\r\n");
  if (end == head_.npos) {
    came = {};
    if (head_.size() <= head_max) return true;
    wrong_ = "a head without an end";
    return false;
  }
  came.remove_prefix(end + 4 - before);  // the blank line was not whole before
  head_.resize(end);
  head_due_ = false;
  if ((head_.starts_with("HTTP/1.1 200 ") || head_.starts_with("HTTP/1.1 206 ")) &&
      field(head_, "Content-Length") == std::to_string(left_)) {
    return true;
  }
  wrong_ = "a head that says: " + head_.substr(0, std::min(head_.find("\r\n"), shown_max)) +
           ", length " + std::string(field(head_, "Content-Length"));
  return false;
}

bool answer::feed(std::string_view came) {
  if (head_due_ && !take_head(came)) return false;
  if (came.empty()) return true;
  if (came.size() > left_) {
    wrong_ = std::to_string(came.size() - left_) + " bytes more than were due";
    return false;
  }
  if (std::memcmp(came.data(), contents().data() + at_, came.size()) != 0) {
    wrong_ = "other bytes than were due";
    return false;
  }
  at_ += came.size();
  left_ -= came.size();
  return true;
}

}  // namespace soak
