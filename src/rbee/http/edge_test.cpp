#include "rbee/http/admission.hpp"
#include "rbee/http/edge.hpp"
#include "rbee/http/edge_options.hpp"
#include "rbee/http/relay.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>
#include <set>
#include <string>
#include <vector>

namespace rbee::http {
namespace {

using testing::HasSubstr;

RequestHead browser(const std::string& host, const std::string& origin = "") {
    RequestHead head;
    head.method = "GET";
    head.headers.add("Host", host);
    if (!origin.empty()) {
        head.headers.add("Origin", origin);
    }
    return head;
}

std::string refusal(const BrowserPolicy& policy, const RequestHead& head) {
    const auto checked = check_browser(policy, head);
    return checked ? "" : checked.error().wire_code;
}

TEST(Refusals, EachHasALabelOfItsOwn) {
    std::set<std::string_view> labels;
    for (std::size_t i = 0; i < refusal_count; ++i) {
        labels.insert(to_string(static_cast<Refusal>(i)));
    }
    EXPECT_EQ(labels.size(), refusal_count);
    EXPECT_EQ(refusal_of({Errc::timeout, "", "HEAD_TIMEOUT"}), Refusal::head_timeout);
    EXPECT_EQ(refusal_of({Errc::timeout, "", ""}), std::nullopt);
}

TEST(BrowserPolicy, LoopbackAnswersToItsOwnNamesOnly) {
    for (const char* own :
         {"localhost", "LOCALHOST:8080", "127.0.0.1:80", "127.1.2.3", "[::1]:9"}) {
        EXPECT_EQ(refusal({}, browser(own)), "") << own;
    }
    for (const char* other :
         {"evil.example", "evil.example:8080", "10.0.0.1", "localhost.evil.example"}) {
        EXPECT_EQ(refusal({}, browser(other)), "HOST_NOT_ALLOWED") << other;
    }
    const BrowserPolicy named{.allowed_hosts = {"queen.lan"}};
    EXPECT_EQ(refusal(named, browser("Queen.LAN:443")), "");
    EXPECT_EQ(refusal(named, browser("evil.example")), "HOST_NOT_ALLOWED");
    EXPECT_EQ(refusal({.allowed_hosts = {"*"}}, browser("evil.example")), "");
    EXPECT_THAT(check_browser({}, browser("x.y")).error().what, HasSubstr("--allowed-host"));
}

TEST(BrowserPolicy, ForeignPagesAreRefused) {
    EXPECT_EQ(refusal({}, browser("127.0.0.1:8080", "http://127.0.0.1:8080")), "");
    for (const char* foreign :
         {"http://evil.example", "http://127.0.0.1:3000", "null", "127.0.0.1:8080", "file://"}) {
        EXPECT_EQ(refusal({}, browser("127.0.0.1:8080", foreign)), "ORIGIN_NOT_ALLOWED") << foreign;
    }
    const BrowserPolicy open{.cors_origins = {"https://chat.lan"}};
    EXPECT_EQ(refusal(open, browser("localhost", "https://chat.lan")), "");
    EXPECT_EQ(refusal(open, browser("localhost", "https://chat.lan.evil")), "ORIGIN_NOT_ALLOWED");
    auto twice = browser("localhost", "https://chat.lan");
    twice.headers.add("Origin", "http://evil.example");
    EXPECT_EQ(refusal(open, twice), "ORIGIN_NOT_ALLOWED");
    EXPECT_THAT(
        check_browser({}, browser("localhost", "http://x")).error().what, HasSubstr("--cors-origin")
    );
}

TEST(Cors, IsOffByDefault) {
    EXPECT_TRUE(cors_fields({}, browser("a", "http://x")).empty());
    auto preflight = browser("a", "http://x");
    preflight.method = "OPTIONS";
    preflight.headers.add("Access-Control-Request-Method", "POST");
    EXPECT_FALSE(answer_preflight({}, preflight).has_value());
}

TEST(Cors, AllowsNamedOriginsWithCredentialsAndAnyWithout) {
    const BrowserPolicy named{.cors_origins = {"https://chat.lan"}};
    const auto fields = cors_fields(named, browser("a", "https://chat.lan"));
    EXPECT_EQ(fields.find("Access-Control-Allow-Origin"), "https://chat.lan");
    EXPECT_EQ(fields.find("Access-Control-Allow-Credentials"), "true");
    EXPECT_EQ(fields.find("Vary"), "Origin");
    const auto foreign = cors_fields(named, browser("a", "https://evil.example"));
    EXPECT_EQ(foreign.find("Access-Control-Allow-Origin"), std::nullopt);
    EXPECT_EQ(foreign.find("Vary"), "Origin");
    const auto any = cors_fields({.cors_origins = {"*"}}, browser("a", "https://x"));
    EXPECT_EQ(any.find("Access-Control-Allow-Origin"), "*");
    EXPECT_EQ(any.find("Access-Control-Allow-Credentials"), std::nullopt);
}

TEST(Cors, AnswersPreflightsOfAllowedOriginsOnly) {
    const BrowserPolicy named{.cors_origins = {"https://chat.lan"}};
    auto preflight = browser("a", "https://chat.lan");
    preflight.method = "OPTIONS";
    EXPECT_FALSE(answer_preflight(named, preflight).has_value()); // just an OPTIONS
    preflight.headers.add("Access-Control-Request-Method", "POST");
    preflight.headers.add("Access-Control-Request-Headers", "authorization,x-stainless-os");
    const auto answer = answer_preflight(named, preflight);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->status, 204);
    EXPECT_EQ(answer->headers.find("Access-Control-Allow-Headers"), "authorization,x-stainless-os");
    preflight.headers.set("Origin", "https://evil.example");
    EXPECT_FALSE(answer_preflight(named, preflight).has_value());
}

TEST(Relay, PassesOnlyKnownFieldsOn) {
    Headers from;
    for (const char* name :
         {"Authorization",
          "Host",
          "Connection",
          "TE",
          "Upgrade",
          "X-Rbee-Worker",
          "x-rbee-hive",
          "X-Forwarded-For",
          "x-forwarded-proto",
          "Forwarded",
          "Cookie",
          "Content-Length",
          "Transfer-Encoding",
          "X-Api-Key",
          "X-Made-Up"}) {
        from.add(name, "x");
    }
    EXPECT_TRUE(forwardable(from).empty());
    from.set("Connection", "close, Accept-Language , traceparent");
    from.add("accept", "text/event-stream");
    from.add("Accept-Language", "de");
    from.add("Traceparent", "00-1");
    from.add("X-Request-Deadline", "17"); // made anew on each hop
    from.add("X-Deadline-Policy", "partial");
    const Headers passed = forwardable(from);
    EXPECT_EQ(passed.find("Accept"), "text/event-stream");
    EXPECT_EQ(passed.find("X-Deadline-Policy"), "partial");
    EXPECT_EQ(std::distance(passed.begin(), passed.end()), 2);
}

sockaddr_storage address(const std::string& text) {
    sockaddr_storage out{};
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        std::memcpy(&out, &v4, sizeof v4);
    } else if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        std::memcpy(&out, &v6, sizeof v6);
    } else {
        out.ss_family = AF_UNIX;
    }
    return out;
}

TEST(SourceCounter, CountsAddressesAndNetworks) {
    SourceCounter counter(1);
    EXPECT_TRUE(counter.enter(Source(address("10.0.0.1"))));
    EXPECT_FALSE(counter.enter(Source(address("10.0.0.1"))));
    EXPECT_FALSE(counter.enter(Source(address("::ffff:10.0.0.1"))));
    EXPECT_TRUE(counter.enter(Source(address("10.0.0.2"))));
    EXPECT_TRUE(counter.enter(Source(address("2001:db8::1"))));
    EXPECT_FALSE(counter.enter(Source(address("2001:db8::ffff"))));
    EXPECT_TRUE(counter.enter(Source(address("2001:db8:0:1::1"))));
    counter.leave(Source(address("10.0.0.1")));
    EXPECT_TRUE(counter.enter(Source(address("10.0.0.1"))));
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(counter.enter(Source(address("unix"))));
    }
}

TEST(ByteBudget, GivesBackWhatAShareTook) {
    ByteBudget budget(10);
    {
        ByteBudget::Share one(budget);
        EXPECT_TRUE(one.take(6));
        ByteBudget::Share other(budget);
        EXPECT_FALSE(other.take(5));
        EXPECT_TRUE(other.take(4));
    }
    ByteBudget::Share all(budget);
    EXPECT_TRUE(all.take(10));
}

TEST(ByteBudget, MayShrinkBelowWhatIsTaken) {
    ByteBudget budget(10);
    {
        ByteBudget::Share one(budget);
        EXPECT_TRUE(one.take(8));
        budget.resize(5);
        EXPECT_FALSE(one.take(1));
        budget.resize(9);
        EXPECT_TRUE(one.take(1));
    }
    ByteBudget::Share all(budget);
    EXPECT_FALSE(all.take(10));
    EXPECT_TRUE(all.take(9));
}

TEST(EdgeOptions, TakeTextAndNameTheFlagOfABadOne) {
    ServerOptions options;
    const std::vector<std::pair<std::string, std::string>> good = {
        {"--http-idle-s", "7"},
        {"--http-bodies-mb", "3"},
        {"--http-fields", "9"},
        {"--allowed-host", "queen.lan, other.lan"},
        {"--cors-origin", "https://chat.lan:8443,*"},
    };
    for (const EdgeSetting& setting : edge_settings()) {
        const std::string own_flag = "--" + std::string(setting.setting.name);
        EXPECT_TRUE(setting.setting.key.starts_with("http."));
        for (const auto& [flag, text] : good) {
            if (flag == own_flag) {
                EXPECT_TRUE(setting.apply(options, text).has_value()) << flag;
            }
        }
        const auto bad = setting.apply(options, "x/y");
        ASSERT_FALSE(bad.has_value()) << own_flag;
        EXPECT_THAT(bad.error().what, HasSubstr(own_flag));
    }
    EXPECT_EQ(options.idle_limit, std::chrono::seconds(7));
    EXPECT_EQ(options.bodies_bytes_max, 3ULL << 20U);
    EXPECT_EQ(options.fields_max, 9U);
    EXPECT_THAT(options.browsers.allowed_hosts, testing::ElementsAre("queen.lan", "other.lan"));
    EXPECT_THAT(options.browsers.cors_origins, testing::ElementsAre("https://chat.lan:8443", "*"));
}

} // namespace
} // namespace rbee::http
