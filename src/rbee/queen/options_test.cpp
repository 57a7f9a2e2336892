#include "rbee/queen/app.hpp"
#include "rbee/queen/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::queen {
namespace {

using testing::HasSubstr;

CommandLine parse(
    const std::vector<std::string>& arguments, std::map<std::string, std::string> variables = {}
) {
    variables.emplace("HOME", "/home/bee");
    const config::Environment environment = [variables](std::string_view name
                                            ) -> std::optional<std::string> {
        const auto found = variables.find(std::string(name));
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    return parse_command_line(arguments, {environment, "/opt/rbee/bin/queen-rbee", false});
}

TEST(QueenOptions, Defaults) {
    const auto options = parse({}).options.value();
    EXPECT_EQ(options.port, 8080);
    EXPECT_EQ(options.host, "127.0.0.1");
    EXPECT_EQ(options.database, "/home/bee/.rbee/beehives.db");
    EXPECT_EQ(options.queue_capacity, 100U);
    EXPECT_EQ(options.queue_wait, std::chrono::seconds(300));
    EXPECT_EQ(options.local_hive, LocalHiveMode::automatic);
    EXPECT_EQ(options.local_hive_port, 9200);
    EXPECT_EQ(options.hive_binary, "/opt/rbee/bin/rbee-hive");
    EXPECT_EQ(options.log.format, telemetry::Format::json);
}

TEST(QueenOptions, FlagOverEnvironmentOverFile) {
    std::string path = testing::TempDir() + "queen-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    std::ofstream(path
    ) << "[server]\nport = 1000\nhost = \"::1\"\n[queue]\ncapacity = 7\nwait_s = 9\n";
    const auto line = parse(
        {"-p", "1002", "-c", path},
        {{"RBEE_QUEEN_PORT", "1001"}, {"RBEE_QUEUE_CAPACITY", "8"}, {"RBEE_HOME", "/data"}}
    );
    ASSERT_TRUE(line.options) << line.text;
    EXPECT_EQ(line.options->port, 1002);
    EXPECT_EQ(line.options->queue_capacity, 8U);
    EXPECT_EQ(line.options->queue_wait, std::chrono::seconds(9));
    EXPECT_EQ(line.options->host, "::1");
    EXPECT_EQ(line.options->database, "/data/beehives.db");
    std::ofstream(path) << "[server]\nprt = 1000\n";
    const auto wrong = parse({"-c", path});
    EXPECT_EQ(wrong.exit_code, 1);
    EXPECT_THAT(wrong.text, HasSubstr("server.prt"));
    std::filesystem::remove(path);
}

TEST(QueenOptions, MistakesAreNamed) {
    EXPECT_THAT(
        parse({"--port", "70000"}).text, HasSubstr("--port must be a number from 0 to 65535")
    );
    EXPECT_THAT(parse({"--local-hive", "maybe"}).text, HasSubstr("auto, always or never"));
    EXPECT_EQ(parse({"--nonsense"}).exit_code, 1);
    EXPECT_EQ(parse({"--version"}).text, "queen-rbee " RBEE_VERSION "\n");
    EXPECT_THAT(parse({"--help"}).text, HasSubstr("--queue-capacity"));
}

TEST(QueenOptions, OtherThanLoopbackNeedsAToken) {
    std::optional<std::string> token;
    const config::Environment environment = [&token](std::string_view name) {
        return name == "LLORCH_API_TOKEN" ? token : std::nullopt;
    };
    Options options;
    EXPECT_TRUE(load_token(options, environment));
    options.host = "0.0.0.0";
    EXPECT_EQ(
        load_token(options, environment).error().what, "API token required for non-loopback bind"
    );
    token = "short";
    EXPECT_FALSE(load_token(options, environment));
    token = "sixteen-letters-x";
    EXPECT_TRUE(load_token(options, environment));
    options.token_file = "/nonexistent/token";
    EXPECT_FALSE(load_token(options, environment));
}

TEST(QueenOptions, LoggingComesFromTheEnvironment) {
    const auto options =
        parse({}, {{"LLORCH_LOG_FORMAT", "pretty"}, {"LLORCH_LOG_LEVEL", "debug"}}).options.value();
    EXPECT_EQ(options.log.format, telemetry::Format::pretty);
    EXPECT_EQ(options.log.level, telemetry::Level::debug);
    EXPECT_THAT(parse({}, {{"LLORCH_LOG_LEVEL", "loud"}}).text, HasSubstr("log-level must be"));
}

} // namespace
} // namespace rbee::queen
