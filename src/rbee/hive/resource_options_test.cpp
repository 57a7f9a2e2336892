#include "rbee/domain/keep_alive.hpp"
#include "rbee/hive/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {
namespace {

using namespace std::chrono_literals;

CommandLine parse(
    const std::vector<std::string>& arguments, std::map<std::string, std::string> variables = {}
) {
    variables.emplace("HOME", "/home/x");
    Surroundings around;
    around.environment = [variables](std::string_view name) {
        const auto found = variables.find(std::string(name));
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    around.program_path = "/opt/rbee-hive";
    return parse_command_line(arguments, around);
}

TEST(ResourceOptions, Have_defaults_that_limit_nothing_but_idleness) {
    const CommandLine line = parse({});
    ASSERT_TRUE(line.settings) << line.text;
    EXPECT_EQ(line.settings->idle.keep_alive, 5min);
    EXPECT_TRUE(line.settings->idle.models.empty());
    EXPECT_TRUE(line.settings->idle.pinned.empty());
    EXPECT_EQ(line.settings->worker.memory_bytes_max, 0U);
    EXPECT_FALSE(line.settings->worker.cpu_pinning);
    EXPECT_EQ(line.settings->gpu_temperature_max_c, 80U);
    EXPECT_TRUE(line.settings->service.socket.empty());
}

TEST(ResourceOptions, Come_from_flags_and_the_environment) {
    const CommandLine line = parse(
        {"--keep-alive-models",
         "tiny=30m",
         "--keep-alive-models",
         "file:/m/a=b.gguf=forever",
         "--pinned",
         "hello",
         "--worker-memory",
         "8000",
         "--cpu-pinning",
         "on",
         "--disk-reserve",
         "7"},
        {{"RBEE_KEEP_ALIVE", "1h"},
         {"RBEE_GPU_TEMPERATURE_MAX_C", "70"},
         {"NOTIFY_SOCKET", "/run/notify"}}
    );
    ASSERT_TRUE(line.settings) << line.text;
    EXPECT_EQ(line.settings->idle.keep_alive, 1h);
    EXPECT_EQ(line.settings->idle.models.at("tiny"), 30min);
    EXPECT_EQ(line.settings->idle.models.at("file:/m/a=b.gguf"), domain::keep_for_ever);
    EXPECT_THAT(line.settings->idle.pinned, testing::ElementsAre("hello"));
    EXPECT_EQ(line.settings->worker.memory_bytes_max, 8'000'000'000U);
    EXPECT_TRUE(line.settings->worker.cpu_pinning);
    EXPECT_EQ(line.settings->disk_reserve_bytes, 7'000'000U);
    EXPECT_EQ(line.settings->gpu_temperature_max_c, 70U);
    EXPECT_EQ(line.settings->service.socket, "/run/notify");
}

TEST(ResourceOptions, Name_what_is_wrong) {
    const auto complaint = [](const std::vector<std::string>& arguments) {
        const CommandLine line = parse(arguments);
        EXPECT_FALSE(line.settings);
        return line.text;
    };
    EXPECT_THAT(complaint({"--keep-alive", "soon"}), testing::HasSubstr("keep-alive: "));
    EXPECT_THAT(complaint({"--keep-alive-models", "tiny"}), testing::HasSubstr("MODEL=5m"));
    EXPECT_THAT(complaint({"--keep-alive-models", "=5m"}), testing::HasSubstr("MODEL=5m"));
    EXPECT_THAT(
        complaint({"--keep-alive-models", "x=soon"}), testing::HasSubstr("keep-alive-models: ")
    );
    EXPECT_THAT(complaint({"--worker-memory", "31"}), testing::HasSubstr("at least 32"));
    EXPECT_THAT(complaint({"--worker-memory", "x"}), testing::HasSubstr("worker-memory"));
    EXPECT_THAT(complaint({"--gpu-temperature-max", "0"}), testing::HasSubstr("gpu-temperature"));
    EXPECT_THAT(complaint({"--cpu-pinning", "maybe"}), testing::HasSubstr("cpu-pinning"));
}

TEST(WorkerEnvironment, Does_not_speak_to_the_service_manager) {
    EXPECT_THAT(
        worker_environment({"NOTIFY_SOCKET=/run/notify", "WATCHDOG_USEC=5", "A=1"}),
        testing::ElementsAre("A=1", "LLORCH_LOG_FORMAT=json")
    );
}

} // namespace
} // namespace rbee::hive
