#include "rbee/hive/options.hpp"
#include "rbee/hive/restart_options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rbee::hive {
namespace {

using namespace std::chrono_literals;

/// The settings that a file gives, or the error.
Result<Settings> read_all(const std::string& text) {
    const std::string path = testing::TempDir() + "rbee-restart-options.toml";
    std::ofstream(path) << text;
    Surroundings around;
    around.environment = [](std::string_view name) {
        return name == "HOME" ? std::optional<std::string>("/home/x") : std::nullopt;
    };
    auto settings = read_settings_again({"--config", path}, around);
    std::filesystem::remove(path);
    return settings;
}

Result<RestartSettings> read(const std::string& text) {
    auto settings = read_all(text);
    return settings ? Result<RestartSettings>(std::move(settings->restart)) : error_of(settings);
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

TEST(RestartOptionsTest, What_single_models_change_can_be_told_after_a_reload) {
    const auto settings = read_all(R"(
[restart]
max_attempts = 7
[restart.models."hf:org/model.v2"]
enabled = false
jitter = 1
)");
    ASSERT_TRUE(settings) << settings.error().what;
    EXPECT_THAT(
        settings->config.extras,
        testing::ElementsAre(
            testing::Pair("restart.models.\"hf:org/model.v2\".enabled", "off"),
            testing::Pair("restart.models.\"hf:org/model.v2\".jitter", "1")
        )
    );
}

TEST(RestartOptionsTest, Mistakes_are_named) {
    for (const auto& [text, said] : {
             std::pair{"[restart]\nbase_s = 1", "unknown setting: restart.base_s (line 2)"},
             std::pair{"[restart]\nbase_ms = 0", "toml:2: restart.base_ms"},
             std::pair{"[restart]\nenabled = \"maybe\"", "toml:2: restart.enabled"},
             std::pair{"[restart]\nbase_ms = 2000\nmax_ms = 1000", "base_ms must not be above"},
             std::pair{"[restart]\nbreaker_cooldown_s = 4000", "cooldown_s must not be above"},
             std::pair{"[restart.models.tiny]\nfoo = 1", "restart.models.tiny.foo (line 2)"},
             std::pair{"[restart.models]\ntiny = 1", "restart.models.tiny (line 2)"},
             std::pair{
                 "[restart.models.tiny]\njitter = 99", "toml:2: restart.models.\"tiny\".jitter"
             },
             std::pair{
                 "[restart.models.tiny]\njitter = \"9\"", "toml:2: restart.models.tiny.jitter"
             },
         }) {
        const auto settings = read(text);
        ASSERT_FALSE(settings) << text;
        EXPECT_THAT(settings.error().what, testing::HasSubstr(said));
    }
}

} // namespace
} // namespace rbee::hive
