#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/stream_decoder.hpp"

#include <gtest/gtest.h>

namespace rbee::cli {
namespace {

using Kind = StreamEvent::Kind;
using testing::chunk;
using testing::chunk_end;
using testing::sse;

std::string text_in(const std::vector<StreamEvent>& events) {
    std::string text;
    for (const StreamEvent& event : events) {
        text += event.kind == Kind::text ? event.text : "";
    }
    return text;
}

TEST(StreamDecoder, reads_chat_completions_in_pieces_of_any_size) {
    const std::string stream =
        chunk("Hello") + ": keep-alive\n\n" + chunk(" bee") + chunk_end("length");
    for (const std::size_t size : {1U, 7U, 4096U}) {
        StreamDecoder decoder;
        std::string text;
        for (std::size_t at = 0; at < stream.size(); at += size) {
            text += text_in(decoder.feed(std::string_view(stream).substr(at, size)));
        }
        EXPECT_EQ(text, "Hello bee");
        EXPECT_TRUE(decoder.complete());
        EXPECT_EQ(decoder.summary().finish_reason, "length");
        EXPECT_EQ(decoder.summary().prompt_tokens, 3U);
        EXPECT_EQ(decoder.summary().completion_tokens, 2U);
        EXPECT_EQ(decoder.summary().model, "tiny");
    }
}

TEST(StreamDecoder, reads_typed_events) {
    StreamDecoder decoder;
    const auto events = decoder.feed(
        sse(R"({"type":"started","job_id":"j","model":"tiny","started_at":"x"})") +
        sse(R"({"type":"token","t":"a","i":0})") +
        sse(R"({"type":"metrics","tokens_per_sec":1.5})") +
        sse(R"({"type":"token","t":"b","i":1})") +
        sse(R"({"type":"end","tokens_out":2,"decode_time_ms":5,"stop_reason":"MAX_TOKENS"})") +
        sse("[DONE]")
    );
    EXPECT_EQ(text_in(events), "ab");
    EXPECT_EQ(events.front().kind, Kind::started);
    EXPECT_EQ(events.back().kind, Kind::finished);
    EXPECT_EQ(decoder.summary().finish_reason, "length");
    EXPECT_EQ(decoder.summary().completion_tokens, 2U);
}

TEST(StreamDecoder, reads_the_plain_form) {
    StreamDecoder decoder;
    const auto events = decoder.feed(
        sse(R"({"token":"a","index":0})") + sse(R"({"token":"b","index":1})") +
        sse(R"({"done":true,"total_tokens":2,"duration_ms":9})") + sse("[DONE]")
    );
    EXPECT_EQ(text_in(events), "ab");
    EXPECT_TRUE(decoder.complete());
}

TEST(StreamDecoder, an_end_mark_alone_does_not_complete_an_answer) {
    StreamDecoder decoder;
    const auto events = decoder.feed(chunk("half") + sse("[DONE]"));
    EXPECT_EQ(text_in(events), "half");
    EXPECT_FALSE(decoder.complete());
}

TEST(StreamDecoder, shows_errors_of_all_dialects_and_nothing_behind_them) {
    for (const std::string& frame :
         {sse(R"({"type":"error","code":"WORKER_FAILED","message":"it died"})"),
          sse(R"({"error":{"message":"it died","type":"server_error","code":"WORKER_FAILED"}})")}) {
        StreamDecoder decoder;
        const auto events = decoder.feed(chunk("a") + frame + chunk("b") + chunk_end());
        ASSERT_EQ(events.size(), 2U);
        EXPECT_EQ(events.back().kind, Kind::failed);
        EXPECT_EQ(events.back().error.what, "it died");
        EXPECT_EQ(events.back().error.wire_code, "WORKER_FAILED");
        EXPECT_FALSE(decoder.complete());
    }
}

TEST(StreamDecoder, an_error_behind_the_finish_reason_still_fails) {
    StreamDecoder decoder;
    const auto events = decoder.feed(
        sse(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})") +
        sse(R"({"error":{"message":"late","code":"INTERNAL"}})")
    );
    EXPECT_EQ(events.back().kind, Kind::failed);
    EXPECT_FALSE(decoder.complete());
}

TEST(StreamDecoder, survives_members_of_wrong_types) {
    for (const auto* data :
         {R"({"choices":5})",
          R"({"choices":[1]})",
          R"({"choices":[{"delta":[]}]})",
          R"({"type":7})",
          R"({"type":"token","t":3})",
          R"({"done":"yes"})",
          R"({"usage":[],"choices":[]})"}) {
        StreamDecoder decoder;
        EXPECT_EQ(text_in(decoder.feed(sse(data))), "") << data;
        EXPECT_FALSE(decoder.complete()) << data;
    }
    StreamDecoder decoder;
    EXPECT_EQ(decoder.feed(sse("not json")).back().kind, Kind::failed);
}

TEST(StreamDecoder, keeps_reasoning_out_of_the_answer) {
    StreamDecoder decoder;
    const auto events =
        decoder.feed(sse(R"({"choices":[{"delta":{"reasoning_content":"hm"}}]})") + chunk("yes"));
    EXPECT_EQ(events.front().kind, Kind::thought);
    EXPECT_EQ(text_in(events), "yes");
}

} // namespace
} // namespace rbee::cli
