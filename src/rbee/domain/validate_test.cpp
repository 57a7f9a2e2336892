#include "rbee/domain/text_rules.hpp"
#include "rbee/domain/validate.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>

namespace rbee::domain {
namespace {

using namespace std::string_literals;
using Check = Result<void> (*)(std::string_view);

struct Bad {
    Check check;
    std::string text;
    std::string says;
};

void PrintTo(const Bad& bad, std::ostream* out) {
    *out << bad.says;
}

class BadField : public testing::TestWithParam<Bad> {};

TEST_P(BadField, IsRefusedWithItsReasonAndWithoutTheInput) {
    const auto checked = GetParam().check(GetParam().text);
    ASSERT_FALSE(checked.has_value());
    const Error& error = checked.error();
    EXPECT_EQ(error.code, Errc::invalid_argument);
    EXPECT_TRUE(error.what.contains(GetParam().says)) << error.what;
    EXPECT_FALSE(error.what.contains("PAYLOAD")) << error.what;
    ASSERT_EQ(error.fields.size(), 1U);
    EXPECT_FALSE(error.fields.front().field.empty());
    EXPECT_FALSE(error.fields.front().constraint.empty());
    EXPECT_EQ(error.fields.front().message, error.what);
}

INSTANTIATE_TEST_SUITE_P(
    WorkerId,
    BadField,
    testing::Values(
        Bad{check_worker_id, "", "Invalid worker ID: must not be empty"},
        Bad{check_worker_id, "a;PAYLOAD", "contains shell metacharacters"},
        Bad{check_worker_id, "a`PAYLOAD`", "contains backticks"},
        Bad{check_worker_id, "a|PAYLOAD", "contains pipe characters"},
        Bad{check_worker_id, "a_PAYLOAD", "only alphanumeric and dash allowed"},
        Bad{check_worker_id, "PAYLOAD\n", "only alphanumeric and dash allowed"},
        Bad{check_worker_id, "PAYLOAD\0"s, "contains null bytes"},
        Bad{check_worker_id, "\x1bPAYLOAD", "contains ANSI escape codes"},
        Bad{check_worker_id, std::string(65, 'a'), "exceeds maximum length of 64 characters"}
    )
);
INSTANTIATE_TEST_SUITE_P(
    NodeName,
    BadField,
    testing::Values(
        Bad{check_node_name, "", "Invalid node name"},
        Bad{check_node_name, "PAYLOAD@b", "only letters, digits, dots and dashes"},
        Bad{check_node_name, "-PAYLOAD", "only letters"},
        Bad{check_node_name, "PAYLOAD.", "only letters"},
        Bad{check_node_name, "PAYLOAD..b", "only letters"},
        Bad{check_node_name, std::string(65, 'a'), "64 characters"}
    )
);
INSTANTIATE_TEST_SUITE_P(
    Backend,
    BadField,
    testing::Values(
        Bad{check_backend, "PAYLOAD", "must be one of [cpu, cuda, metal]"},
        Bad{check_backend, "", "must be one of [cpu, cuda, metal]"},
        Bad{check_backend, "CUDA", "must be one of [cpu, cuda, metal]"}
    )
);
INSTANTIATE_TEST_SUITE_P(
    RelativePath,
    BadField,
    testing::Values(
        Bad{check_relative_path, "", "Invalid path"},
        Bad{check_relative_path, "../PAYLOAD", "path traversal detected"},
        Bad{check_relative_path, "a/./PAYLOAD", "path traversal detected"},
        Bad{check_relative_path, "..\\PAYLOAD", "path traversal detected"},
        Bad{check_relative_path, "/etc/PAYLOAD", "absolute paths not allowed"},
        Bad{check_relative_path, "C:\\PAYLOAD", "absolute paths not allowed"},
        Bad{check_relative_path, "~/PAYLOAD", "absolute paths not allowed"},
        Bad{check_relative_path, "a;PAYLOAD", "special characters"},
        Bad{check_relative_path, "PAYLOAD\0"s, "null bytes"},
        Bad{check_relative_path, std::string(513, 'a'), "512"}
    )
);

TEST(Validate, AcceptsWhatIsGood) {
    EXPECT_TRUE(check_worker_id("worker-1a").has_value());
    EXPECT_TRUE(check_worker_id(std::string(64, 'a')).has_value());
    EXPECT_TRUE(check_node_name("gpu-1.lan").has_value());
    EXPECT_TRUE(check_node_name("workstation").has_value());
    EXPECT_TRUE(check_backend("cpu").has_value());
    EXPECT_TRUE(check_relative_path("family/model q4_k.gguf").has_value());
    EXPECT_TRUE(check_relative_path("a..b.gguf").has_value());
}

TEST(Validate, Ports) {
    for (const std::uint64_t port : {0U, 1024U, 8080U, 65535U}) {
        EXPECT_TRUE(check_port(port).has_value()) << port;
    }
    for (const std::uint64_t port : {1U, 80U, 1023U, 65536U, 70000U}) {
        const auto refused = check_port(port);
        ASSERT_FALSE(refused.has_value()) << port;
        EXPECT_TRUE(refused.error().what.contains("1024 to 65535"));
    }
}

TEST(Validate, Texts) {
    EXPECT_TRUE(check_text("reason", "it died").has_value());
    EXPECT_TRUE(check_text("reason", "").has_value());
    EXPECT_TRUE(check_text("reason", "a\nb", {.lines = true}).has_value());
    const auto constraint = [](const Result<void>& checked) {
        return checked.error().fields.front().constraint;
    };
    EXPECT_EQ(constraint(check_text("reason", "", {.empty = false})), "required");
    EXPECT_EQ(constraint(check_text("reason", "four", {.bytes_max = 3})), "max_length(3)");
    EXPECT_EQ(constraint(check_text("reason", "a\nb")), "characters");
    EXPECT_EQ(constraint(check_text("reason", "\u202e")), "characters");
}

TEST(Validate, NamesTheField) {
    const Error named = in_field(check_worker_id("a b").error(), "workers[2].id");
    EXPECT_EQ(named.fields.front().field, "workers[2].id");
    const Error bare = in_field({Errc::invalid_argument, "no", {}}, "url");
    ASSERT_EQ(bare.fields.size(), 1U);
    EXPECT_EQ(bare.fields.front().field, "url");
    EXPECT_EQ(bare.fields.front().message, "no");
}

TEST(Validate, MakesProseHarmless) {
    EXPECT_EQ(harmless("a\nb\x1b[31m\0z"s), "a b [31m z");
    EXPECT_EQ(harmless("Gr\u00fc\u00dfe"), "Gr\u00fc\u00dfe");
    EXPECT_EQ(harmless("\u202ex"), " x");
    EXPECT_EQ(harmless("aaaa", 3), "aaa");
    EXPECT_EQ(harmless("aa\u00fc", 3), "aa"); // never half a character
}

RC_GTEST_PROP(Validate, HarmlessTextPassesTheCheck, (const std::string& text)) {
    RC_ASSERT(check_text("text", harmless(text, 1024)).has_value());
}

RC_GTEST_PROP(Validate, WhateverPassesHoldsNoForbiddenByte, ()) {
    const auto text = *rc::gen::container<std::string>(
        rc::gen::element('a', 'Z', '0', '-', '.', '_', '/', '\\', '\n', '\0', ';', '\xe2')
    );
    if (check_worker_id(text)) {
        RC_ASSERT(text.find_first_not_of("aZ0-") == std::string::npos);
    }
    if (check_node_name(text)) {
        RC_ASSERT(text.find_first_not_of("aZ0-.") == std::string::npos && !text.contains(".."));
    }
    if (check_relative_path(text)) {
        RC_ASSERT(!text.starts_with('/') && !text.contains("../"));
        RC_ASSERT(text.find_first_not_of("aZ0-._/") == std::string::npos);
    }
}

} // namespace
} // namespace rbee::domain
