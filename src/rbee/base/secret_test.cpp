#include "rbee/base/keyed_digest.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/base/source_limiter.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "support/memory_scan.hpp"

namespace rbee {
namespace {

using namespace std::chrono_literals;

template <typename T>
concept Printable = requires(std::ostream& out, const T& value) { out << value; };

// SLIB_SE1: whoever tries to print, compare or copy one by accident gets no program.
static_assert(!Printable<Secret>);
static_assert(!fmt::is_formattable<Secret>::value);
static_assert(!std::equality_comparable<Secret>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_convertible_v<Secret, std::string>);
static_assert(!std::is_constructible_v<Secret, const std::string&>);

TEST(Secret, SLIB_SE2_TakesOverShortAndLongTextsAndLeavesNothingBehind) {
    for (const std::size_t size : {std::size_t{7}, std::size_t{5000}}) {
        std::string text(size, 'k');
        const char* at = text.data();
        const Secret secret(std::move(text));
        EXPECT_EQ(secret.size(), size);
        EXPECT_TRUE(text.empty());    // NOLINT(bugprone-use-after-move): the point of the test
        EXPECT_EQ(text.data(), at);   // the memory is still there ...
        text.resize(text.capacity()); // ... and holds zeros only
        EXPECT_EQ(text.find('k'), std::string::npos);
    }
}

TEST(Secret, SLIB_SE2_SEC_005_NothingIsLeftInMemoryAfterwards) {
    test::Needle needle(24);
    {
        Secret secret = needle.make_secret();
        EXPECT_TRUE(test::memory_contains(needle));
        const Secret moved = std::move(secret);
        const Secret cloned = moved.clone();
        EXPECT_TRUE(cloned.equals(moved.expose()));
    }
    EXPECT_FALSE(test::memory_contains(needle));
}

TEST(Secret, LiesOnPagesOfItsOwnThatGoWithIt) {
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    const char* at = nullptr;
    {
        const Secret secret = Secret::copy_of("0123456789");
        at = secret.expose().data();
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % page, 0U);
        EXPECT_TRUE(test::flags_of(at).contains(" dd")) << "pages must be kept out of core files";
    }
    EXPECT_EQ(::msync(const_cast<char*>(at), page, MS_ASYNC), -1); // no longer mapped
}

TEST(Secret, ShrinkingWipesTheRest) {
    Secret secret = Secret::copy_of("keep-drop");
    const char* at = secret.expose().data();
    secret.shrink(4);
    EXPECT_EQ(secret.expose(), "keep");
    EXPECT_EQ(std::string(at + 4, 5), std::string(5, '\0'));
    secret.clear();
    EXPECT_TRUE(secret.empty());
}

TEST(Secret, SLIB_VE1_VE2_VE3_EqualsOnlyTheSameBytes) {
    const Secret secret = Secret::copy_of("abcdefgh");
    EXPECT_TRUE(secret.equals("abcdefgh"));
    EXPECT_FALSE(secret.equals("abcdefgH"));
    EXPECT_FALSE(secret.equals("Xbcdefgh"));
    EXPECT_FALSE(secret.equals("abcdefg"));
    EXPECT_FALSE(secret.equals("abcdefghi"));
    EXPECT_FALSE(secret.equals(""));
    EXPECT_FALSE(Secret().equals("a"));
}

TEST(KeyedDigest, DiffersByKeyAndByData) {
    const KeyedDigest one;
    const KeyedDigest other;
    EXPECT_EQ(one.of("data"), one.of("data"));
    EXPECT_NE(one.of("data"), one.of("date"));
    EXPECT_NE(one.of("data"), other.of("data"));
}

TEST(SourceLimiter, CountsNetworksNotPorts) {
    EXPECT_EQ(source_of("192.0.2.1:4711"), "192.0.2.1");
    EXPECT_EQ(source_of("192.0.2.1"), "192.0.2.1");
    EXPECT_EQ(source_of("[::ffff:192.0.2.1]:80"), "192.0.2.1");
    EXPECT_EQ(source_of("[2001:db8:1:2::5]:80"), source_of("2001:db8:1:2:ffff::1"));
    EXPECT_NE(source_of("[2001:db8:1:2::5]:80"), source_of("[2001:db8:1:3::5]:80"));
    EXPECT_EQ(source_of("[fe80::1%eth0]:80"), source_of("fe80::2"));
    EXPECT_EQ(source_of("unix"), "unix");
    EXPECT_EQ(source_of(""), "");
    EXPECT_EQ(source_of("["), "");
}

TEST(SourceLimiter, RefusesBeyondTheBurstAndRefillsWithTime) {
    SourceLimiter limiter({.burst = 3, .per_second = 2, .sources_max = 10});
    const TimePoint start{1h};
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(limiter.take("a", start).has_value());
    }
    EXPECT_EQ(limiter.take("a", start), Duration(500ms));
    EXPECT_FALSE(limiter.take("b", start).has_value()); // others are not concerned
    EXPECT_FALSE(limiter.take("a", start + 500ms).has_value());
    EXPECT_TRUE(limiter.take("a", start + 500ms).has_value());
    EXPECT_FALSE(limiter.take("a", start + 1h).has_value());
}

TEST(SourceLimiter, ForgetsTheSourceThatWasSilentForLongest) {
    SourceLimiter limiter({.burst = 1, .per_second = 1, .sources_max = 2});
    const TimePoint now{1h};
    EXPECT_FALSE(limiter.take("a", now).has_value());
    EXPECT_FALSE(limiter.take("b", now).has_value());
    EXPECT_TRUE(limiter.take("a", now).has_value());
    EXPECT_FALSE(limiter.take("c", now).has_value()); // b goes
    EXPECT_EQ(limiter.sources(), 2U);
    EXPECT_TRUE(limiter.take("a", now).has_value());
    EXPECT_FALSE(limiter.take("b", now).has_value());
}

} // namespace
} // namespace rbee
