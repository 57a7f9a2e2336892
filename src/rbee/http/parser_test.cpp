#include "rbee/http/parser.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace rbee::http {
namespace {

struct Parsed {
    bool ok = false;
    bool done = false;
    std::string body;
    std::size_t consumed = 0;
    Error error;
};

/// Feeds `text` in pieces of `step` bytes, as a connection would.
Parsed parse(RequestParser& parser, const std::string& text, std::size_t step) {
    Parsed out;
    parser.on_body([&](std::string_view bytes) { out.body.append(bytes); });
    std::string pending;
    std::size_t given = 0;
    while (!parser.done()) {
        const auto used = parser.feed(pending);
        if (!used) {
            out.error = used.error();
            return out;
        }
        pending.erase(0, *used);
        out.consumed += *used;
        if (*used == 0) {
            if (given == text.size()) {
                return out;
            }
            const std::size_t size = std::min(step, text.size() - given);
            pending.append(text, given, size);
            given += size;
        }
    }
    out.ok = true;
    out.done = true;
    return out;
}

TEST(RequestParser, SplitsTargetAndReadsFields) {
    RequestParser parser;
    const auto out =
        parse(parser, "GET /v1/models?x=1%202&y HTTP/1.1\r\nHost: a\r\nX-One:  two \r\n\r\n", 7);
    ASSERT_TRUE(out.ok);
    EXPECT_EQ(parser.head().method, "GET");
    EXPECT_EQ(parser.head().path, "/v1/models");
    EXPECT_EQ(parser.head().query, "x=1%202&y");
    EXPECT_EQ(parser.head().query_parameter("x"), "1 2");
    EXPECT_EQ(parser.head().query_parameter("y"), "");
    EXPECT_EQ(parser.head().query_parameter("z"), std::nullopt);
    EXPECT_EQ(parser.head().headers.find("x-one"), "two");
    EXPECT_TRUE(parser.head().keep_alive);
}

TEST(RequestParser, StopsBehindTheHeadBeforeAnyBodyByte) {
    RequestParser parser;
    std::string body;
    parser.on_body([&](std::string_view bytes) { body.append(bytes); });
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
    const auto used = parser.feed(head + "hello");
    ASSERT_TRUE(used.has_value());
    EXPECT_EQ(*used, head.size());
    EXPECT_TRUE(parser.head_done());
    EXPECT_TRUE(body.empty());
    ASSERT_TRUE(parser.feed("hello").has_value());
    EXPECT_EQ(body, "hello");
    EXPECT_TRUE(parser.done());
}

TEST(RequestParser, RemovesChunkFraming) {
    RequestParser parser;
    const auto out = parse(
        parser,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\nwiki\r\n6;ext=1\r\npedia \r\n0\r\n\r\n",
        1
    );
    ASSERT_TRUE(out.ok) << out.error.what;
    EXPECT_EQ(out.body, "wikipedia ");
}

TEST(RequestParser, ALastChunkMayComeByteByByte) {
    RequestParser parser;
    const auto out = parse(
        parser, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1
    );
    EXPECT_TRUE(out.ok) << out.error.what;
    RequestParser second;
    const auto trailer = parse(
        second,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nwiki\r\n\r\n",
        1
    );
    EXPECT_EQ(trailer.error.code, Errc::invalid_argument);
}

TEST(RequestParser, RefusesALargeHead) {
    RequestParser parser({.head_bytes_max = 128});
    const auto out =
        parse(parser, "GET / HTTP/1.1\r\nA: " + std::string(500, 'x') + "\r\n\r\n", 64);
    EXPECT_FALSE(out.ok);
    EXPECT_EQ(out.error.code, Errc::too_large);
}

class Malformed : public testing::TestWithParam<std::string> {};

TEST_P(Malformed, IsRefused) {
    RequestParser parser;
    const auto out = parse(parser, GetParam(), 4096);
    EXPECT_FALSE(out.done);
    EXPECT_EQ(out.error.code, Errc::invalid_argument);
}

INSTANTIATE_TEST_SUITE_P(
    RequestParser,
    Malformed,
    testing::Values(
        "GET / HTTP/9.9\r\nHost: a\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\nNo colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"
    )
);

RC_GTEST_PROP(RequestParser, HowTheBytesAreCutDoesNotMatter, (std::string raw, std::uint8_t cut)) {
    const std::string text =
        "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(raw.size()) +
        "\r\n\r\n" + raw;
    RequestParser whole;
    RequestParser pieces;
    const auto a = parse(whole, text, text.size());
    const auto b = parse(pieces, text, 1U + cut);
    RC_ASSERT(a.ok && b.ok);
    RC_ASSERT(a.body == raw);
    RC_ASSERT(b.body == raw);
}

RC_GTEST_PROP(RequestParser, NeverFailsBadlyOnNoise, (const std::string& noise)) {
    RequestParser parser;
    const auto out = parse(parser, noise, 3);
    RC_ASSERT(out.consumed <= noise.size());
}

TEST(ResponseParser, BodyUntilTheConnectionCloses) {
    ResponseParser parser;
    std::string body;
    parser.on_body([&](std::string_view bytes) { body.append(bytes); });
    std::string text = "HTTP/1.1 200 OK\r\n\r\n";
    ASSERT_EQ(parser.feed(text).value(), text.size());
    ASSERT_TRUE(parser.feed("abc").has_value());
    EXPECT_FALSE(parser.done());
    EXPECT_TRUE(parser.feed_eof().has_value());
    EXPECT_EQ(body, "abc");
}

TEST(ResponseParser, AChunkedBodyThatBreaksOffIsAnError) {
    ResponseParser parser;
    std::string text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    ASSERT_TRUE(parser.feed(text).has_value());
    ASSERT_TRUE(parser.feed("5\r\nhel").has_value());
    const auto ended = parser.feed_eof();
    ASSERT_FALSE(ended.has_value());
    EXPECT_EQ(ended.error().code, Errc::io);
}

} // namespace
} // namespace rbee::http
