#include "rbee/hive/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace rbee::hive {
namespace {

Surroundings around(std::map<std::string, std::string, std::less<>> variables = {}) {
    variables.try_emplace("HOME", "/home/somebody");
    Surroundings out;
    out.environment = [variables](std::string_view name) -> std::optional<std::string> {
        const auto found = variables.find(name);
        return found == variables.end() ? std::nullopt : std::optional(found->second);
    };
    out.program_path = "/opt/rbee/bin/rbee-hive";
    out.host_name = "my_machine.local";
    return out;
}

TEST(HiveOptions, Defaults) {
    const auto command = parse_command_line({}, around());
    ASSERT_TRUE(command.settings) << command.text;
    const Settings& settings = *command.settings;
    EXPECT_EQ(settings.listen.authority(), "127.0.0.1:9200");
    EXPECT_EQ(settings.node_name, "my-machine.local");
    EXPECT_EQ(settings.worker.binary, "/opt/rbee/bin/llm-worker-rbee");
    EXPECT_EQ(settings.worker.ports.first, 8081);
    EXPECT_EQ(settings.worker.ports.last, 9000);
    EXPECT_EQ(settings.worker.slots, 4U);
    EXPECT_THAT(settings.model_dirs, testing::ElementsAre("/home/somebody/.rbee/models"));
    EXPECT_EQ(settings.worker.log_dir, "/home/somebody/.rbee/logs");
    EXPECT_FALSE(settings.queen);
    EXPECT_TRUE(settings.token.empty());
}

TEST(HiveOptions, A_flag_wins_over_the_environment_and_that_over_the_file) {
    const std::string path = testing::TempDir() + "rbee-hive-options.toml";
    std::ofstream(path) << "[hive]\nport = 1111\nslots = 7\nnode_name = \"from-file\"\n"
                           "models_dir = [\"/a\", \"/b\"]\n";
    const auto command = parse_command_line(
        {"--config", path, "--port", "3333", "--health-interval", "2"},
        around(
            {{"RBEE_HIVE_PORT", "2222"},
             {"RBEE_SLOTS", "9"},
             {"QUEEN_CALLBACK_URL", "http://q:8080"}}
        )
    );
    std::filesystem::remove(path);
    ASSERT_TRUE(command.settings) << command.text;
    EXPECT_EQ(command.settings->listen.port, 3333);
    EXPECT_EQ(command.settings->worker.slots, 9U);
    EXPECT_EQ(command.settings->intervals.health, std::chrono::seconds(2));
    EXPECT_EQ(command.settings->intervals.health_limit, std::chrono::seconds(2));
    EXPECT_EQ(command.settings->node_name, "from-file");
    EXPECT_THAT(command.settings->model_dirs, testing::ElementsAre("/a", "/b"));
    EXPECT_EQ(command.settings->queen->to_string(), "http://q:8080");
}

TEST(HiveOptions, Directories_may_be_repeated) {
    const auto command = parse_command_line({"--models-dir", "/a", "--models-dir", "/b"}, around());
    ASSERT_TRUE(command.settings) << command.text;
    EXPECT_THAT(command.settings->model_dirs, testing::ElementsAre("/a", "/b"));
}

TEST(HiveOptions, Mistakes_end_with_one_readable_line) {
    const std::vector<std::vector<std::string>> wrong = {
        {"--port", "70000"},
        {"--slots", "0"},
        {"--worker-ports", "9-8"},
        {"--node-name", "a b"},
        {"--queen-url", "ftp://x"},
        {"--log-level", "loud"},
        {"--nonsense"},
        {"--worker-backends", "tpu"},
        {"--config", "/nowhere.toml"},
        {"--token-file", "/nowhere"},
    };
    for (const auto& arguments : wrong) {
        const auto command = parse_command_line(arguments, around());
        EXPECT_FALSE(command.settings) << arguments.front();
        EXPECT_EQ(command.exit_code, 1);
        EXPECT_THAT(command.text, testing::StartsWith("rbee-hive: "));
    }
}

TEST(HiveOptions, Unknown_settings_in_the_file_are_refused) {
    const std::string path = testing::TempDir() + "rbee-hive-unknown.toml";
    std::ofstream(path) << "[hive]\nprot = 1\n";
    const auto command = parse_command_line({"--config", path}, around());
    std::filesystem::remove(path);
    EXPECT_FALSE(command.settings);
    EXPECT_THAT(command.text, testing::HasSubstr("prot"));
}

TEST(HiveOptions, Only_loopback_may_do_without_a_token) {
    const auto open = parse_command_line({"--host", "0.0.0.0"}, around());
    EXPECT_FALSE(open.settings);
    EXPECT_THAT(open.text, testing::HasSubstr("API token required for non-loopback bind"));
    EXPECT_FALSE(
        parse_command_line({"--host", "0.0.0.0"}, around({{"LLORCH_API_TOKEN", "short"}})).settings
    );
    EXPECT_TRUE(parse_command_line(
                    {"--host", "0.0.0.0"}, around({{"LLORCH_API_TOKEN", "0123456789abcdef"}})
    )
                    .settings);
}

TEST(HiveOptions, Help_and_version_are_answers) {
    EXPECT_EQ(parse_command_line({"--version"}, around()).text, "rbee-hive " RBEE_VERSION "\n");
    const auto help = parse_command_line({"--help"}, around());
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.text, testing::HasSubstr("--worker-ports"));
}

TEST(SafeNodeName, Makes_any_host_name_usable) {
    EXPECT_EQ(safe_node_name("a_b.c"), "a-b.c");
    EXPECT_EQ(safe_node_name("-x-"), "x");
    EXPECT_EQ(safe_node_name("___"), "localhost");
    EXPECT_EQ(safe_node_name(""), "localhost");
}

TEST(WorkerEnvironment, Holds_no_secret_of_the_hive) {
    EXPECT_THAT(
        worker_environment(
            {"A=1", "LLORCH_API_TOKEN=x", "LLORCH_API_TOKEN_FILE=y", "LLORCH_LOG_FORMAT=pretty"}
        ),
        testing::ElementsAre("A=1", "LLORCH_LOG_FORMAT=json")
    );
}

} // namespace
} // namespace rbee::hive
