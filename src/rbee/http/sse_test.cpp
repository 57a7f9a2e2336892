#include "rbee/http/sse.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace rbee::http {
namespace {

TEST(Sse, CompleteEventsEndAtTheLastBlankLine) {
    EXPECT_EQ(complete_events(""), 0U);
    EXPECT_EQ(complete_events("data: a\n"), 0U);
    EXPECT_EQ(complete_events("data: a\n\n"), 9U);
    EXPECT_EQ(complete_events("data: a\n\ndata: b"), 9U);
    EXPECT_EQ(complete_events("data: a\r\n\r\n"), 11U);
}

TEST(Sse, ReadsEventsCommentsAndSeveralDataLines) {
    SseReader reader;
    const auto events =
        reader.feed(": ping\n\nevent: error\ndata: one\ndata: two\n\ndata:x\r\n\r\n");
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].event, "error");
    EXPECT_EQ(events[0].data, "one\ntwo");
    EXPECT_EQ(events[1].data, "x");
}

TEST(Sse, FormatsLineByLine) {
    EXPECT_EQ(format_sse("a\nb"), "data: a\ndata: b\n\n");
    EXPECT_EQ(format_sse("error", "x"), "event: error\ndata: x\n\n");
}

RC_GTEST_PROP(Sse, WhatWasFormattedComesBackHoweverItIsCut, (std::vector<std::uint8_t> sizes)) {
    const auto text = *rc::gen::container<std::vector<std::string>>(
        rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange<char>(' ', '~')))
    );
    std::string wire;
    for (const std::string& data : text) {
        wire += format_sse(data);
    }
    SseReader reader;
    std::vector<std::string> got;
    std::size_t at = 0;
    std::size_t turn = 0;
    while (at < wire.size()) {
        const std::size_t size = sizes.empty() ? 1 : 1U + sizes[turn++ % sizes.size()];
        for (auto& event : reader.feed(std::string_view(wire).substr(at, size))) {
            got.push_back(event.data);
        }
        at += size;
    }
    RC_ASSERT(got == text);
}

} // namespace
} // namespace rbee::http
