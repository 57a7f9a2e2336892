#include "rbee/http/url.hpp"

#include <gtest/gtest.h>

namespace rbee::http {
namespace {

TEST(Endpoint, ReadsTheAcceptedForms) {
    EXPECT_EQ(parse_endpoint("http://localhost:9200/")->to_string(), "http://localhost:9200");
    EXPECT_EQ(parse_endpoint("HTTP://10.0.0.1")->port, 80);
    EXPECT_EQ(parse_endpoint("http://[::1]:1")->host, "::1");
    EXPECT_EQ(parse_endpoint("http://[::1]:1")->to_string(), "http://[::1]:1");
    EXPECT_EQ(parse_endpoint("unix:/run/w.sock")->unix_path, "/run/w.sock");
    EXPECT_FALSE(parse_endpoint("http://a:1")->secure);
    EXPECT_TRUE(parse_endpoint("HTTPS://a:1")->secure);
    EXPECT_EQ(parse_endpoint("https://queen.lan")->port, 443);
    EXPECT_EQ(parse_endpoint("https://queen.lan:8080/")->to_string(), "https://queen.lan:8080");
    EXPECT_NE(*parse_endpoint("https://a:1"), *parse_endpoint("http://a:1"));
}

TEST(Endpoint, RefusesTheRestWithoutRepeatingIt) {
    for (const char* bad :
         {"",
          "https://a/b",
          "https:/a",
          "ftp://evil",
          "http://",
          "http://a:b",
          "http://a:70000",
          "http://a/b",
          "http://u@h",
          "unix:relative",
          "http://[::1"}) {
        const auto parsed = parse_endpoint(bad);
        ASSERT_FALSE(parsed.has_value()) << bad;
        EXPECT_EQ(parsed.error().code, Errc::invalid_argument);
        EXPECT_FALSE(parsed.error().what.contains("evil"));
    }
}

TEST(Endpoint, LoopbackIsDecidedOnTheAddress) {
    for (const char* yes :
         {"127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1", "[::ffff:127.0.0.1]:1"}) {
        EXPECT_TRUE(is_loopback(*parse_address(yes))) << yes;
    }
    for (const char* no : {"0.0.0.0:1", ":1", "10.0.0.1:1", "[::]:1", "localhost.example.org:1"}) {
        EXPECT_FALSE(is_loopback(*parse_address(no))) << no;
    }
    EXPECT_TRUE(is_loopback(*parse_endpoint("unix:/run/x")));
}

} // namespace
} // namespace rbee::http
