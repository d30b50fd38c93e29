#include <weft/http/response.hpp>

#include <gtest/gtest.h>

#include <string>

namespace weft::http {
namespace {

std::string head_of(const response& r, const head_options& options = {},
                    head_result* result = nullptr) {
  std::string out;
  const head_result got = write_head(out, r, options);
  if (result != nullptr) *result = got;
  return out;
}

TEST(http_response, a_text_response_has_date_length_and_type) {
  const response r = response::with_text(status::ok, "text/plain", "hello");
  EXPECT_EQ(head_of(r, {.date = "Thu, 01 Jan 1970 00:00:00 GMT"}),
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n"
            "Content-Type: text/plain\r\n\r\n");
}

TEST(http_response, head_is_as_for_get_without_a_body) {
  head_result result{};
  const response r = response::with_text(status::ok, "", "hello");
  EXPECT_EQ(head_of(r, {.head_only = true}, &result), head_of(r));
  EXPECT_FALSE(result.has_body);
}

TEST(http_response, connection_is_told_when_it_is_not_the_versions_default) {
  const response r = response::with_text(status::ok, "", "");
  const std::string kept = head_of(r);
  EXPECT_EQ(kept.find("Connection"), std::string::npos);
  EXPECT_NE(head_of(r, {.keep_alive = false}).find("Connection: close\r\n"), std::string::npos);
  EXPECT_NE(head_of(r, {.version = http_version::http_1_0}).find("Connection: keep-alive\r\n"),
            std::string::npos);
  EXPECT_NE(head_of(r, {.version = http_version::http_1_0, .keep_alive = false})
                .find("Connection: close\r\n"),
            std::string::npos);
}

TEST(http_response, the_handler_cannot_state_another_length) {
  response r = response::with_text(status::ok, "", "abc");
  r.headers.set("Content-Length", "99");
  r.headers.set("Transfer-Encoding", "chunked");
  head_result result{};
  r.headers.set("Connection", "close");
  EXPECT_EQ(head_of(r, {}, &result),
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
  EXPECT_FALSE(result.keep_alive);
}

TEST(http_response, statuses_without_body_state_no_length) {
  EXPECT_EQ(head_of(response::with_status(status::no_content)), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_EQ(head_of(response::with_status(status::not_modified)),
            "HTTP/1.1 304 Not Modified\r\n\r\n");
  head_result result{};
  response wrong = response::with_text(status::no_content, "", "abc");
  EXPECT_EQ(head_of(wrong, {}, &result), "HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_FALSE(result.has_body);
}

TEST(http_response, an_empty_response_says_length_zero) {
  response r;
  r.status = status::found;
  r.headers.set("Location", "/x");
  EXPECT_EQ(head_of(r), "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n");
}

TEST(http_response, a_stream_is_chunked_in_1_1_and_ends_with_the_connection_in_1_0) {
  response r;
  r.kind = body_kind::stream;
  head_result result{};
  EXPECT_EQ(head_of(r, {}, &result), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_TRUE(result.chunked && result.keep_alive && result.has_body);
  EXPECT_EQ(head_of(r, {.version = http_version::http_1_0}, &result),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
  EXPECT_FALSE(result.chunked || result.keep_alive);
}

TEST(http_response, switching_protocols_keeps_its_upgrade) {
  response r;
  r.status = status::switching_protocols;
  r.headers.set("Upgrade", "websocket");
  EXPECT_EQ(
      head_of(r),
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(http_response, a_file_states_its_part) {
  response r;
  r.status = status::partial_content;
  r.kind = body_kind::file;
  r.file_at = 5;
  r.file_bytes = 7;
  EXPECT_NE(head_of(r).find("Content-Length: 7\r\n"), std::string::npos);
}

TEST(http_response, a_number_without_phrase_still_makes_a_status_line) {
  response r;
  r.status = static_cast<status>(299);
  EXPECT_TRUE(head_of(r).starts_with("HTTP/1.1 299 \r\n"));
}

TEST(http_response, chunk_heads_are_hexadecimal_and_never_end_the_body) {
  std::string out;
  write_chunk_head(out, 255);
  EXPECT_EQ(out, "ff\r\n");
  write_chunk_head(out, 0);
  EXPECT_EQ(out, "ff\r\n");
  out.clear();
  write_chunk_head(out, UINT64_MAX);
  EXPECT_EQ(out, "ffffffffffffffff\r\n");
}

TEST(http_response, every_status_with_a_name_has_a_phrase) {
  EXPECT_EQ(reason(status::ok), "OK");
  EXPECT_EQ(reason(status::uri_too_long), "URI Too Long");
  EXPECT_EQ(reason(status::request_header_fields_too_large), "Request Header Fields Too Large");
  EXPECT_EQ(reason(static_cast<status>(299)), "");
}

TEST(http_response, reset_content_has_no_body) {
  const response r = response::with_status(status::reset_content);
  std::string out;
  EXPECT_FALSE(write_head(out, r, {}).has_body);
  EXPECT_NE(out.find("Content-Length: 0\r\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace weft::http
