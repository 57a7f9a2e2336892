#include "rbee/hive/restart_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

namespace rbee::hive {
namespace {

using namespace std::chrono_literals;

/// The settings that a file gives, or the error.
Result<RestartSettings> read(const std::string& text) {
    const std::string path = testing::TempDir() + "rbee-restart-options.toml";
    std::ofstream(path) << text;
    OptionValues values;
    const auto added = values.add_file(path);
    std::filesystem::remove(path);
    if (!added) {
        return error_of(added);
    }
    RestartSettings settings;
    if (const auto filled = fill_restart(values, settings); !filled) {
        return error_of(filled);
    }
    return settings;
}

TEST(RestartOptionsTest, Nothing_given_is_what_the_specification_says) {
    const auto settings = read("");
    ASSERT_TRUE(settings);
    EXPECT_EQ(settings->all.restart, domain::RestartRules{});
    EXPECT_EQ(settings->all.restart.attempts_max, 3U);
    EXPECT_EQ(settings->all.restart.base, 1s);
    EXPECT_EQ(settings->all.restart.max, 60s);
    EXPECT_EQ(settings->all.restart.stable, 5min);
    EXPECT_EQ(settings->all.breaker.failures, 5U);
    EXPECT_EQ(settings->all.breaker.cooldown_max, 30min);
}

TEST(RestartOptionsTest, A_model_changes_what_is_true_for_all) {
    const auto settings = read(R"(
[restart]
max_attempts = 7
base_ms = 500
jitter = 0
[restart.models."hf:org/model.v2"]
enabled = "off"
[restart.models.tiny]
max_attempts = 1
breaker_cooldown_s = 60
)");
    ASSERT_TRUE(settings) << settings.error().what;
    EXPECT_EQ(settings->all.restart.attempts_max, 7U);
    EXPECT_EQ(settings->all.restart.base, 500ms);
    EXPECT_EQ(settings->all.breaker.jitter_percent, 0U);
    const RestartRuleSet& tiny = settings->of("tiny", "tiny");
    EXPECT_EQ(tiny.restart.attempts_max, 1U);
    EXPECT_EQ(tiny.restart.base, 500ms);
    EXPECT_EQ(tiny.breaker.cooldown, 60s);
    EXPECT_FALSE(settings->of("hf:org/model.v2", "model").restart.enabled);
    EXPECT_TRUE(settings->of("other", "other").restart.enabled);
    EXPECT_EQ(settings->of("file:/m/tiny.gguf", "tiny").restart.attempts_max, 1U);
}

TEST(RestartOptionsTest, Mistakes_are_named) {
    for (const auto& [text, said] : {
             std::pair{"[restart]\nbase_s = 1", "unknown setting restart.base_s"},
             std::pair{"[restart]\nbase_ms = 0", "base_ms"},
             std::pair{"[restart]\nenabled = \"maybe\"", "enabled"},
             std::pair{"[restart]\nbase_ms = 2000\nmax_ms = 1000", "base_ms must not be above"},
             std::pair{"[restart]\nbreaker_cooldown_s = 4000", "cooldown_s must not be above"},
             std::pair{"[restart.models.tiny]\nfoo = 1", "unknown setting restart.models.tiny.foo"},
             std::pair{"[restart.models.tiny]\njitter = 99", "restart.models.tiny.jitter"},
         }) {
        const auto settings = read(text);
        ASSERT_FALSE(settings) << text;
        EXPECT_THAT(settings.error().what, testing::HasSubstr(said));
    }
}

} // namespace
} // namespace rbee::hive
