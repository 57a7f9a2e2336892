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
    out.token = Secret(out.environment("LLORCH_API_TOKEN").value_or(""));
    return out;
}

TEST(HiveOptions, WorkersMayStandStillForAsLongAsIsSaid) {
    const auto line = parse_command_line(
        {"--stall-timeout", "0", "--load-stall-timeout", "5", "--load-timeout", "60"}, around()
    );
    ASSERT_TRUE(line.settings) << line.text;
    const domain::ProgressLimits& limits = line.settings->life.progress;
    EXPECT_EQ(limits.stall, Duration::zero());
    EXPECT_EQ(limits.load_stall, std::chrono::seconds(5));
    EXPECT_EQ(limits.load_total, std::chrono::minutes(1));
    EXPECT_TRUE(parse_command_line({"--load-timeout", "0"}, around()).exit_code);
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
    EXPECT_TRUE(settings.tokens.own.token.empty());
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

TEST(HiveOptions, To_join_takes_a_url_and_a_token) {
    const auto command = parse_command_line(
        {"--join", "https://queen.lan:8080", "--join-token", "t", "--host", "0.0.0.0"}, around()
    );
    ASSERT_TRUE(command.settings) << command.text;
    ASSERT_TRUE(command.settings->join);
    const JoinOrder& order = *command.settings->join;
    EXPECT_EQ(order.queen.to_string(), "https://queen.lan:8080");
    EXPECT_EQ(order.token.expose(), "t");
    EXPECT_FALSE(order.name) << "the queen names it";
    EXPECT_THAT(order.hosts, testing::IsSupersetOf({"127.0.0.1", "localhost", "my_machine.local"}));
    EXPECT_EQ(order.folder.path, "/home/somebody/.rbee/hive");

    EXPECT_THAT(
        parse_command_line({"--join", "https://q:1"}, around()).text,
        testing::HasSubstr("rbee hives invite")
    );
    EXPECT_EQ(parse_command_line({"--join", "q", "--join-token", "t"}, around()).exit_code, 1);
    EXPECT_EQ(parse_command_line({"--tls-key", "/k"}, around()).exit_code, 1);
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

TEST(HiveOptions, AUTH_019_The_token_for_the_queen_may_be_another_one) {
    const std::string path = testing::TempDir() + "hive-queen-token";
    std::ofstream(path) << "what-the-queen-wants\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_read);
    const auto command = parse_command_line(
        {"--queen-token-file", path}, around({{"LLORCH_API_TOKEN", "0123456789abcdef"}})
    );
    std::filesystem::remove(path);
    ASSERT_TRUE(command.settings) << command.text;
    EXPECT_EQ(command.settings->tokens.own.token.expose(), "0123456789abcdef");
    EXPECT_EQ(command.settings->tokens.own.source, "LLORCH_API_TOKEN");
    EXPECT_EQ(command.settings->tokens.outgoing, path);
    EXPECT_FALSE(command.settings->accept_queen_token);
    EXPECT_EQ(parse_command_line({"--queen-token-file", "/nowhere"}, around()).exit_code, 1);
}

TEST(HiveOptions, Core_files_are_off_unless_asked_for) {
    EXPECT_FALSE(parse_command_line({}, around()).settings->core_dumps);
    EXPECT_TRUE(parse_command_line({"--core-dumps", "on"}, around()).settings->core_dumps);
    EXPECT_EQ(parse_command_line({"--core-dumps", "maybe"}, around()).exit_code, 1);
}

TEST(HiveOptions, Reading_again_leaves_tokens_and_descriptors_alone) {
    const std::string path = testing::TempDir() + "hive-again.toml";
    std::ofstream(path) << "[hive]\nmax_workers = 3\n";
    const std::vector<std::string> arguments = {
        "--config", path, "--token-fd", "4242", "--lifeline-fd", "4243"
    };
    const auto again = read_settings_again(arguments, around());
    std::ofstream(path) << "[hive]\nmax_workers = 0\n";
    const auto wrong = read_settings_again(arguments, around());
    std::filesystem::remove(path);
    ASSERT_TRUE(again) << again.error().what;
    EXPECT_EQ(again->worker.count_max, 3U);
    EXPECT_FALSE(again->lifeline.valid()) << "it would be closed with these settings";
    EXPECT_EQ(again->config.path, path);
    ASSERT_FALSE(wrong);
    EXPECT_THAT(wrong.error().what, testing::HasSubstr(path + ":2: max-workers must be"));
}

TEST(HiveOptions, Help_and_version_are_answers) {
    EXPECT_EQ(parse_command_line({"--version"}, around()).text, "rbee-hive " RBEE_VERSION "\n");
    const auto help = parse_command_line({"--help"}, around());
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.text, testing::HasSubstr("--worker-ports"));
}

TEST(HiveOptions, The_edge_comes_from_flags_variables_and_the_file) {
    const std::string path = testing::TempDir() + "hive-edge.toml";
    std::ofstream(path) << "[http]\nidle_s = 5\nallowed_hosts = [\"a.lan\", \"b.lan\"]\n";
    const auto command = parse_command_line(
        {"--config", path, "--cors-origin", "http://a", "--cors-origin", "http://b"},
        around({{"RBEE_HTTP_FIELDS", "60"}})
    );
    std::ofstream(path) << "[http]\nnonsense = 5\n";
    const auto wrong = parse_command_line({"--config", path}, around());
    std::filesystem::remove(path);
    ASSERT_TRUE(command.settings) << command.text;
    const http::ServerOptions& http = command.settings->http;
    EXPECT_EQ(http.idle_limit, std::chrono::seconds(5));
    EXPECT_EQ(http.fields_max, 60U);
    EXPECT_EQ(http.connections_per_source_max, 0U);
    EXPECT_THAT(http.browsers.allowed_hosts, testing::ElementsAre("a.lan", "b.lan"));
    EXPECT_THAT(http.browsers.cors_origins, testing::ElementsAre("http://a", "http://b"));
    EXPECT_EQ(wrong.exit_code, 1);
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
