#include "rbee/config/live_config.hpp"
#include "rbee/telemetry/log_capture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::config {
namespace {

using testing::HasSubstr;

const std::vector<Setting>& rows() {
    static const std::vector<Setting> all = {
        {.name = "port",
         .variable = "",
         .help = "Port [1]",
         .kind = Setting::Kind::number,
         .key = "server.port"},
        {.name = "queue",
         .variable = "",
         .help = "Length [5]",
         .kind = Setting::Kind::number,
         .key = "queue.capacity",
         .live = true},
        {.name = "pass",
         .variable = "",
         .help = "Password",
         .key = "auth.pass",
         .live = true,
         .secret = true},
    };
    return all;
}

Loaded loaded(std::vector<std::pair<std::string, std::string>> given) {
    Loaded out;
    out.path = "/c.toml";
    for (auto& [name, text] : given) {
        out.values[name] = {{text}, Given::Origin::file, "/c.toml:1"};
    }
    return out;
}

class LiveConfigTest : public testing::Test {
protected:
    LiveConfigTest() {
        config_.observe([this](const ReloadReport& report) { report_ = report; });
    }
    void reload(Result<Loaded> fresh) {
        config_.reload(std::move(fresh), [this] { ++applied_; });
    }
    std::shared_ptr<telemetry::LogCapture> lines_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_ =
        telemetry::Logger::open({.component = "test", .capture = lines_}).value();
    LiveConfig config_{rows(), loaded({{"port", "7"}, {"queue", "5"}, {"pass", "hidden"}}), log_};
    std::optional<ReloadReport> report_;
    int applied_ = 0;
};

TEST_F(LiveConfigTest, WhatCanChangeIsAppliedAndTheRestWaitsForARestart) {
    reload(loaded({{"port", "8"}, {"queue", "10"}, {"pass", "secret-now"}}));
    ASSERT_TRUE(report_);
    EXPECT_EQ(applied_, 1);
    ASSERT_EQ(report_->applied.size(), 2U);
    EXPECT_EQ(report_->applied[0].key, "queue.capacity");
    EXPECT_EQ(report_->applied[0].before, "5");
    EXPECT_EQ(report_->applied[0].after, "10");
    ASSERT_EQ(report_->restart_needed.size(), 1U);
    EXPECT_EQ(report_->restart_needed[0].key, "server.port");
    EXPECT_TRUE(lines_->contains("config_reloaded"));
    EXPECT_TRUE(lines_->contains("queue.capacity: 5 -> 10"));
    EXPECT_FALSE(lines_->contains("hidden"));
    EXPECT_FALSE(lines_->contains("secret-now"));
    reload(loaded({{"port", "8"}, {"queue", "10"}, {"pass", "secret-now"}}));
    EXPECT_TRUE(report_->applied.empty());
    EXPECT_EQ(report_->restart_needed.size(), 1U) << "it still runs with the old one";
}

TEST_F(LiveConfigTest, ABadFileChangesNothingAndSaysWhy) {
    reload(fail(Errc::invalid_argument, "/c.toml:2: server.port must be an integer"));
    EXPECT_EQ(applied_, 0);
    ASSERT_TRUE(report_ && report_->error);
    EXPECT_THAT(report_->error->what, HasSubstr("server.port must be an integer"));
    EXPECT_TRUE(lines_->contains("config_validation_failed"));
    EXPECT_EQ(config_.running().values.at("queue").text(), "5");
    Loaded none;
    reload(std::move(none));
    EXPECT_EQ(applied_, 0) << "a file that has gone is no wish for the defaults";
    EXPECT_THAT(report_->error->what, HasSubstr("/c.toml has gone"));
}

TEST_F(LiveConfigTest, CFG_008_LoadsAreLinkedByTheirCorrelationIds) {
    reload(loaded({{"port", "7"}}));
    const std::string first = report_->previous_id;
    const std::string second = report_->correlation_id;
    EXPECT_NE(first, second);
    reload(fail(Errc::invalid_argument, "bad"));
    EXPECT_EQ(report_->previous_id, second);
    reload(loaded({{"port", "7"}}));
    EXPECT_EQ(report_->previous_id, second) << "the bad one never counted";
}

TEST_F(LiveConfigTest, WhatTheTableDoesNotKnowIsComparedToo) {
    Loaded fresh = loaded({{"port", "7"}, {"queue", "5"}, {"pass", "hidden"}});
    fresh.extras["deadline.model.large.max_s"] = "9";
    reload(std::move(fresh));
    ASSERT_EQ(report_->applied.size(), 1U);
    EXPECT_EQ(report_->applied[0].key, "deadline.model.large.max_s");
    EXPECT_EQ(report_->applied[0].after, "9");
}

} // namespace
} // namespace rbee::config
