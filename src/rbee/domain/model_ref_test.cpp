#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/worker_state.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace rbee::domain {
namespace {

TEST(ModelRef, AcceptsTheThreeForms) {
    const auto file = parse_model_ref("file:///models/tiny-1.gguf");
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ(file->provider, ModelRef::Provider::file);
    EXPECT_EQ(file->reference, "/models/tiny-1.gguf");
    EXPECT_EQ(file->to_string(), "file:/models/tiny-1.gguf");
    EXPECT_EQ(file->model_name(), "tiny-1");
    EXPECT_EQ(parse_model_ref("hf:org/repo@main")->model_name(), "repo");
    const auto pinned = parse_model_ref("hf:org/repo@v1.2::file=sub/a-q4.gguf");
    ASSERT_TRUE(pinned.has_value());
    EXPECT_EQ(pinned->model_name(), "repo");
    EXPECT_EQ(parse_model_ref("rbee-demo")->model_name(), "rbee-demo");
    EXPECT_EQ(parse_model_ref("family/name")->provider, ModelRef::Provider::name);
}

struct Bad {
    std::string text;
    std::string says;
};

class BadModelRef : public testing::TestWithParam<Bad> {};

TEST_P(BadModelRef, IsRefusedWithItsReasonAndWithoutTheInput) {
    const auto parsed = parse_model_ref(GetParam().text);
    ASSERT_FALSE(parsed.has_value());
    EXPECT_EQ(parsed.error().wire_code, "INVALID_MODEL_REF");
    EXPECT_TRUE(parsed.error().what.contains(GetParam().says)) << parsed.error().what;
    EXPECT_FALSE(parsed.error().what.contains("PAYLOAD"));
}

INSTANTIATE_TEST_SUITE_P(
    ModelRef,
    BadModelRef,
    testing::Values(
        Bad{"", "empty"},
        Bad{std::string(513, 'a'), "512"},
        Bad{"hf:PAYLOAD\nb", "newline"},
        Bad{"hf:a\x1b[31mPAYLOAD", "ANSI"},
        Bad{std::string("hf:a\0PAYLOAD", 12), "null bytes"},
        Bad{"hf:org/r\xc3\xa9PAYLOAD", "non-ASCII"},
        Bad{"hf:<script>PAYLOAD", "HTML"},
        Bad{"hf:a/b;PAYLOAD", "shell"},
        Bad{"hf:PAYLOAD'; DROP TABLE", "special characters"},
        Bad{"file:/a/../PAYLOAD", "path traversal"},
        Bad{"../PAYLOAD", "path traversal"},
        Bad{"file:relative/PAYLOAD", "absolute"},
        Bad{"/PAYLOAD", "file:/path"},
        Bad{"hf:PAYLOAD", "org/repo"},
        Bad{"hf:org/PAYLOAD@", "org/repo"},
        Bad{"hf:org/PAYLOAD@a@b", "org/repo"},
        Bad{"hf:org/PAYLOAD::file=", "org/repo"},
        Bad{"hf:org/PAYLOAD::file=/etc", "org/repo"},
        Bad{"hf:org/PAYLOAD!@#$%", "special characters"},
        Bad{"s3:PAYLOAD", "Invalid model reference format"}
    )
);

TEST(SpawnRef, NeedsASchemeForARepository) {
    EXPECT_TRUE(parse_spawn_ref("hf:org/repo").has_value());
    EXPECT_TRUE(parse_spawn_ref("tiny").has_value());
    const auto bare = parse_spawn_ref("org/PAYLOAD");
    ASSERT_FALSE(bare.has_value());
    EXPECT_EQ(bare.error().wire_code, "INVALID_MODEL_REF");
    EXPECT_TRUE(bare.error().what.starts_with("Invalid model reference format"));
    EXPECT_TRUE(bare.error().what.contains("hf:org/repo"));
    EXPECT_FALSE(bare.error().what.contains("PAYLOAD"));
    ASSERT_EQ(bare.error().fields.size(), 1U);
    EXPECT_EQ(bare.error().fields.front().field, "model_ref");
}

RC_GTEST_PROP(ModelRef, CanonicalTextParsesToTheSameValue, (const std::string& text)) {
    const auto parsed = parse_model_ref(text);
    if (parsed) {
        const auto again = parse_model_ref(parsed->to_string());
        RC_ASSERT(again.has_value());
        RC_ASSERT(*again == *parsed);
    }
}

TEST(WorkerState, NamesComeBack) {
    for (const WorkerState state :
         {WorkerState::loading,
          WorkerState::idle,
          WorkerState::busy,
          WorkerState::draining,
          WorkerState::unhealthy,
          WorkerState::stopped,
          WorkerState::crashed,
          WorkerState::failed}) {
        EXPECT_EQ(parse_worker_state(to_string(state)), state);
        EXPECT_TRUE(!routable(state) || alive(state));
    }
    EXPECT_EQ(parse_worker_state("asleep"), std::nullopt);
}

} // namespace
} // namespace rbee::domain
