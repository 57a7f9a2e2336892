#include "rbee/engine/client_fields.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace rbee::engine {
namespace {

std::string with_part(const std::string& part) {
    return R"({"messages":[{"role":"user","content":[{"type":"text","text":"x"},)" + part + "]}]}";
}

bool refused(const std::string& body) {
    try {
        refuse_remote_media(parse_body(body));
        return false;
    } catch (const std::invalid_argument& error) {
        EXPECT_THAT(error.what(), testing::HasSubstr("data:"));
        EXPECT_THAT(error.what(), testing::Not(testing::HasSubstr("PAYLOAD")));
        return true;
    }
}

TEST(RemoteMedia, IsRefusedInEveryDialect) {
    for (const char* part : {
             R"({"type":"image_url","image_url":{"url":"http://10.0.0.1/PAYLOAD"}})",
             R"({"type":"image_url","image_url":{"url":"https://x/PAYLOAD"}})",
             R"({"type":"image_url","image_url":{"url":"HTTPS://x/PAYLOAD"}})",
             R"({"type":"image_url","image_url":{"url":"file:///etc/PAYLOAD"}})",
             R"({"type":"image_url","image_url":{"url":"httpPAYLOAD"}})",
             R"({"type":"image_url","image_url":"http://x/PAYLOAD"})",
             R"({"type":"input_audio","input_audio":{"url":"http://x/PAYLOAD"}})",
             R"({"type":"input_audio","input_audio":{"data":"http://x/PAYLOAD"}})",
             R"({"type":"video_url","video_url":{"url":"http://x/PAYLOAD"}})",
             R"({"type":"image","source":{"type":"url","url":"http://x/PAYLOAD"}})",
             R"({"type":"tool_result","content":[{"type":"image","source":{"url":"ftp://PAYLOAD"}}]})",
         }) {
        EXPECT_TRUE(refused(with_part(part))) << part;
    }
    EXPECT_TRUE(refused(
        R"({"input":[{"role":"user","content":[{"type":"input_image","image_url":"http://PAYLOAD"}]}]})"
    ));
}

TEST(RemoteMedia, WhatComesInTheRequestIsFine) {
    for (const char* part : {
             R"({"type":"image_url","image_url":{"url":"data:image/png;base64,aGVsbG8="}})",
             R"({"type":"image_url","image_url":{"url":"aGVsbG8=","detail":"low"}})",
             R"({"type":"input_audio","input_audio":{"data":"aGVsbG8=","format":"wav"}})",
             R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"aGVs"}})",
             R"({"type":"text","text":"see http://example.org/a.png"})",
             R"({"type":"tool_use","input":{"url":"http://example.org"}})",
         }) {
        EXPECT_FALSE(refused(with_part(part))) << part;
    }
    EXPECT_FALSE(refused(R"({"messages":[{"role":"user","content":"http://example.org"}]})"));
    EXPECT_FALSE(refused(R"({"prompt":"http://example.org"})"));
    EXPECT_FALSE(refused(R"([1])"));
}

TEST(ParseBody, DoesNotQuoteWhatItCannotRead) {
    try {
        const auto body = parse_body(R"({"a": PAYLOAD})");
        FAIL() << body.dump();
    } catch (const std::invalid_argument& error) {
        EXPECT_STREQ(error.what(), "the body is not valid JSON");
    }
}

} // namespace
} // namespace rbee::engine
