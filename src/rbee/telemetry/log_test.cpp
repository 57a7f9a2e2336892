#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/task_failure.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "support/fake_clock.hpp"

namespace rbee::telemetry {
namespace {

class LogTest : public testing::Test {
protected:
    Logger make(Format format = Format::json, Level level = Level::info) {
        auto made = Logger::open(
            {.component = "queen-rbee",
             .format = format,
             .level = level,
             .capture = capture_,
             .clock = &clock_}
        );
        EXPECT_TRUE(made.has_value());
        return *made;
    }
    std::string only_line() {
        const auto lines = capture_->lines();
        EXPECT_EQ(lines.size(), 1U);
        return lines.empty() ? "" : lines.front();
    }

    test::FakeClock clock_;
    std::shared_ptr<LogCapture> capture_ = std::make_shared<LogCapture>();
};

TEST_F(LogTest, WritesOneJsonObject) {
    clock_.advance(std::chrono::milliseconds(1500));
    const std::string id = "w1";
    make().info(
        "worker_ready",
        "worker is ready",
        {{"worker_id", id},
         {"slots", 4},
         {"bytes", std::uint64_t{18446744073709551615ULL}},
         {"delta", -3},
         {"ratio", 0.25},
         {"ok", true},
         {"literal", "text"}}
    );
    EXPECT_EQ(
        only_line(),
        R"({"timestamp":"2026-01-01T00:00:01.500Z","level":"info","component":"queen-rbee",)"
        R"("event":"worker_ready","message":"worker is ready","worker_id":"w1","slots":4,)"
        R"("bytes":18446744073709551615,"delta":-3,"ratio":0.25,"ok":true,"literal":"text"})"
    );
}

TEST_F(LogTest, EscapesAndRedacts) {
    make().warn(
        "e",
        "said \"hi\" \\ and\nleft token=abc",
        {{"api_key", "12345"},
         {"url", "http://u:pw@h/"},
         {"inf", std::numeric_limits<double>::infinity()}}
    );
    const std::string line = only_line();
    EXPECT_NE(line.find(R"("message":"said \"hi\" \\ and left token=[REDACTED]")"), line.npos);
    EXPECT_NE(line.find(R"("api_key":"[REDACTED]")"), line.npos);
    EXPECT_NE(line.find(R"("url":"http://u:[REDACTED]@h/")"), line.npos);
    EXPECT_NE(line.find(R"("inf":null)"), line.npos);
}

TEST_F(LogTest, VAL_001_VAL_002_NoPartOfALineCanForgeAnotherOrSteerATerminal) {
    const std::string forged = "x\r\n{\"level\":\"error\"}\x1b[2J\u009b31m\u202e";
    for (const Format format : {Format::json, Format::pretty}) {
        make(format).with_correlation(forged).info(
            forged, forged, {{forged, forged}, {"path", "/" + forged}}
        );
    }
    for (const std::string& line : capture_->lines()) {
        for (const char* part : {"\r", "\n", "\x1b", "\u009b", "\u202e"}) {
            EXPECT_EQ(line.find(part), line.npos) << line;
        }
    }
    // As JSON its quotes are escaped wherever it stands.
    EXPECT_EQ(capture_->lines().front().find(R"({"level":"error"})"), std::string::npos);
}

TEST_F(LogTest, AFieldCannotReplaceAStandardOne) {
    make().info("e", "m", {{"level", "error"}, {"message", "x"}});
    const std::string line = only_line();
    EXPECT_NE(line.find(R"("level":"info")"), line.npos);
    EXPECT_NE(line.find(R"("level_":"error")"), line.npos);
    EXPECT_NE(line.find(R"("message_":"x")"), line.npos);
}

TEST_F(LogTest, ChildrenCarryTheCorrelationId) {
    const Logger log = make();
    const Logger child = log.with_correlation("550e8400-e29b-41d4-a716-446655440000");
    child.info("e", "m");
    log.info("e", "m");
    const auto lines = capture_->lines();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_NE(
        lines[0].find(R"("correlation_id":"550e8400-e29b-41d4-a716-446655440000")"),
        std::string::npos
    );
    EXPECT_EQ(lines[1].find("correlation_id"), std::string::npos);
}

TEST_F(LogTest, LevelsAreSharedAndCanChange) {
    Logger log = make();
    const Logger child = log.with_correlation("x");
    child.debug("hidden", "m");
    EXPECT_FALSE(child.enabled(Level::debug));
    log.set_level(Level::debug);
    child.debug("shown", "m");
    log.set_level(Level::off);
    child.error("silenced", "m");
    EXPECT_FALSE(capture_->contains("hidden"));
    EXPECT_TRUE(capture_->contains("shown"));
    EXPECT_FALSE(capture_->contains("silenced"));
}

TEST_F(LogTest, PrettyIsForPeople) {
    make(Format::pretty)
        .error("load_failed", "cannot load", {{"model", "tiny"}, {"why", "no file"}});
    EXPECT_EQ(
        only_line(),
        R"(2026-01-01T00:00:00.000Z ERROR load_failed cannot load model=tiny why="no file")"
    );
}

TEST_F(LogTest, LinesBelowAWarningWaitForTheLoop) {
    const std::string path =
        std::filesystem::temp_directory_path() / ("rbee_behind_" + std::to_string(::getpid()));
    const auto lines = [&path] {
        std::ifstream file(path);
        const std::string text(std::istreambuf_iterator<char>(file), {});
        return std::ranges::count(text, '\n');
    };
    const auto log = Logger::open({.component = "c", .path = path});
    ASSERT_TRUE(log.has_value());
    std::vector<std::function<void()>> later;
    log->write_behind([&later](auto flush) { later.push_back(std::move(flush)); });
    log->info("e", "one");
    log->info("e", "two");
    EXPECT_EQ(lines(), 0);
    ASSERT_EQ(later.size(), 1U) << "asked once for all of a turn";
    later.front()();
    EXPECT_EQ(lines(), 2);
    log->info("e", "three");
    EXPECT_EQ(later.size(), 2U);
    log->warn("e", "four");
    EXPECT_EQ(lines(), 4) << "a warning and what came before it are written at once";
    log->info("e", "five");
    log->write_behind(nullptr);
    EXPECT_EQ(lines(), 5);
    log->info("e", "six");
    EXPECT_EQ(lines(), 6);
    later.back()(); // nothing is left to do
    EXPECT_EQ(lines(), 6);
    std::filesystem::remove(path);
}

TEST_F(LogTest, FilesArePrivateAndAppendedTo) {
    const std::string path =
        std::filesystem::temp_directory_path() / ("rbee_log_test_" + std::to_string(::getpid()));
    for (int i = 0; i < 2; ++i) {
        auto log = Logger::open({.component = "c", .path = path});
        ASSERT_TRUE(log.has_value());
        log->info("e", "m");
    }
    std::ifstream file(path);
    int lines = 0;
    for (std::string line; std::getline(file, line);) {
        ++lines;
    }
    EXPECT_EQ(lines, 2);
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    std::filesystem::remove(path);
}

TEST_F(LogTest, AFileThatCannotBeOpenedIsAnError) {
    const auto log = Logger::open({.component = "c", .path = "/nonexistent/x.log"});
    ASSERT_FALSE(log.has_value());
    EXPECT_EQ(log.error().code, Errc::io);
    EXPECT_NE(log.error().what.find("/nonexistent/x.log"), std::string::npos);
}

TEST_F(LogTest, ManyThreadsWriteWholeLines) {
    const Logger log = make();
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&log] {
            for (int n = 0; n < 100; ++n) {
                log.info("e", "m", {{"n", n}});
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    const auto lines = capture_->lines();
    EXPECT_EQ(lines.size(), 400U);
    for (const auto& line : lines) {
        EXPECT_TRUE(line.starts_with('{') && line.ends_with('}'));
    }
}

TEST(LogLevel, ReadsWhatItWrites) {
    for (const Level level :
         {Level::trace, Level::debug, Level::info, Level::warn, Level::error, Level::off}) {
        EXPECT_EQ(parse_level(to_string(level)), level);
    }
    EXPECT_EQ(parse_level("loud"), std::nullopt);
}

TEST(LogStyle, ComesFromSettingsOrTheTerminal) {
    const auto piped = parse_log_style("", "", false);
    ASSERT_TRUE(piped.has_value());
    EXPECT_EQ(piped->format, Format::json);
    EXPECT_EQ(piped->level, Level::info);
    EXPECT_EQ(parse_log_style("", "", true)->format, Format::pretty);
    const auto chosen = parse_log_style("json", "warn", true);
    ASSERT_TRUE(chosen.has_value());
    EXPECT_EQ(chosen->format, Format::json);
    EXPECT_EQ(chosen->level, Level::warn);
    EXPECT_EQ(parse_log_style("pretty", "off", false)->format, Format::pretty);
    EXPECT_EQ(parse_log_style("xml", "", false).error().what, "log-format must be json or pretty");
    EXPECT_EQ(
        parse_log_style("", "loud", false).error().what,
        "log-level must be trace, debug, info, warn, error or off"
    );
}

TEST_F(LogTest, AFailedTaskIsAnErrorWithItsCause) {
    log_task_failures(make())("sweep", std::make_exception_ptr(std::runtime_error("no luck")));
    const std::string line = only_line();
    EXPECT_TRUE(line.contains(R"("event":"task_failed")")) << line;
    EXPECT_TRUE(line.contains(R"("task":"sweep")")) << line;
    EXPECT_TRUE(line.contains(R"("cause":"no luck")")) << line;
}

TEST_F(LogTest, AFailedTaskMayThrowAnything) {
    log_task_failures(make())("sweep", std::make_exception_ptr(7));
    EXPECT_TRUE(only_line().contains(R"("task":"sweep")"));
}

TEST(LogSilent, WritesNothing) {
    Logger::silent().error("e", "m");
    EXPECT_FALSE(Logger::silent().enabled(Level::error));
}

} // namespace
} // namespace rbee::telemetry
