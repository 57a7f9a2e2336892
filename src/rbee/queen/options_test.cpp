#include "rbee/queen/app.hpp"
#include "rbee/queen/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

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

TEST(QueenOptions, TlsIsOffUnlessAskedFor) {
    EXPECT_FALSE(parse({}).options.value().tls_files.on());
    const auto usual = parse({"--tls"}).options.value();
    EXPECT_EQ(usual.tls_files.certificate, "/home/bee/.rbee/pki/queen.pem");
    EXPECT_EQ(usual.tls_files.key, "/home/bee/.rbee/pki/queen.key");
    EXPECT_EQ(usual.tls_files.ca, "/home/bee/.rbee/pki/ca.pem");
    const auto elsewhere = parse({"--pki-dir", "/p"}, {{"RBEE_TLS", "on"}}).options.value();
    EXPECT_EQ(elsewhere.tls_files.certificate, "/p/queen.pem");
    const auto named = parse({"--tls-cert", "/c", "--tls-key", "/k"}).options.value();
    EXPECT_EQ(named.tls_files.certificate, "/c");
    EXPECT_EQ(named.tls_files.ca, "") << "a public certificate says nothing about hives";
    EXPECT_THAT(parse({"--tls-cert", "/c"}).text, HasSubstr("tls-key"));
    EXPECT_THAT(parse({}, {{"RBEE_TLS", "yes"}}).text, HasSubstr("on or off"));
}

TEST(QueenOptions, FlagOverEnvironmentOverFile) {
    std::string path = testing::TempDir() + "queen-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    std::ofstream(path
    ) << "[server]\nport = 2000\nhost = \"::1\"\n[queue]\ncapacity = 7\nwait_s = 9\n";
    const auto line = parse(
        {"-p", "2002", "-c", path},
        {{"RBEE_QUEEN_PORT", "2001"}, {"RBEE_QUEUE_CAPACITY", "8"}, {"RBEE_HOME", "/data"}}
    );
    ASSERT_TRUE(line.options) << line.text;
    EXPECT_EQ(line.options->port, 2002);
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

TEST(QueenOptions, AModelMayHaveDeadlinesOfItsOwn) {
    std::string path = testing::TempDir() + "queen-XXXXXX";
    const int fd = ::mkstemp(path.data());
    ASSERT_GE(fd, 0);
    ::close(fd);
    std::ofstream(path) << "[deadline]\ndefault_s = 20\n"
                           "[[deadline.model]]\nname = \"large\"\ndefault_s = 90\n"
                           "[[deadline.model]]\nname = \"small\"\nmax_s = 5\nstrict = \"on\"\n";
    const auto line = parse({"--deadline-stream-s", "100", "-c", path});
    ASSERT_TRUE(line.options) << line.text;
    using std::chrono::seconds;
    const auto& models = line.options->deadline_by_model;
    ASSERT_TRUE(models.contains("large") && models.contains("small"));
    EXPECT_EQ(models.at("large").whole, seconds(90));
    EXPECT_EQ(models.at("large").stream_total, seconds(100)) << "the rest is as for all others";
    EXPECT_EQ(models.at("small").whole, seconds(20));
    EXPECT_EQ(models.at("small").cap, seconds(5));
    EXPECT_TRUE(models.at("small").strict);
    EXPECT_FALSE(line.options->deadline.strict);
    const auto refused = [&](const std::string& text) {
        std::ofstream(path) << text;
        const auto wrong = parse({"-c", path});
        EXPECT_EQ(wrong.exit_code, 1);
        return wrong.text;
    };
    EXPECT_THAT(refused("[[deadline.model]]\ndefault_s = 9\n"), HasSubstr("name is missing"));
    EXPECT_THAT(
        refused("[[deadline.model]]\nname = \"a\"\n[[deadline.model]]\nname = \"a\"\n"),
        HasSubstr("deadline.model[1].name is there twice")
    );
    EXPECT_THAT(
        refused("[[deadline.model]]\nname = \"a\"\nmax_s = 0\n"), HasSubstr("deadline.model \"a\"")
    );
    EXPECT_THAT(
        refused("[[deadline.model]]\nname = \"a\"\nmaxs = 1\n"), HasSubstr("deadline.model[0].maxs")
    );
    std::filesystem::remove(path);
}

TEST(QueenOptions, MistakesAreNamed) {
    EXPECT_THAT(
        parse({"--port", "70000"}).text, HasSubstr("must be from 1024 to 65535, or 0 for any")
    );
    EXPECT_THAT(parse({"--local-hive", "maybe"}).text, HasSubstr("auto, always or never"));
    EXPECT_EQ(parse({"--nonsense"}).exit_code, 1);
    EXPECT_EQ(parse({"--version"}).text, "queen-rbee " RBEE_VERSION "\n");
    EXPECT_THAT(parse({"--help"}).text, HasSubstr("--queue-capacity"));
}

TEST(QueenOptions, OtherThanLoopbackNeedsAToken) {
    Options options;
    const auto load = [&](Secret from_environment) {
        return load_token(
            options, [](std::string_view) { return std::nullopt; }, std::move(from_environment)
        );
    };
    EXPECT_TRUE(load(Secret()));
    options.host = "0.0.0.0";
    EXPECT_EQ(load(Secret()).error().what, "API token required for non-loopback bind");
    EXPECT_FALSE(load(Secret("short")));
    EXPECT_TRUE(load(Secret("sixteen-letters-x")));
    options.token_file = "/nonexistent/token";
    EXPECT_FALSE(load(Secret("sixteen-letters-x")));
}

TEST(QueenOptions, CoreFilesAreOffAndHivesGetTheOwnToken) {
    EXPECT_FALSE(parse({}).options->core_dumps);
    EXPECT_EQ(parse({}).options->hive_token_file, "");
    const auto given = parse({"--core-dumps", "on", "--hive-token-file", "/t", "--token-fd", "7"});
    ASSERT_TRUE(given.options) << given.text;
    EXPECT_TRUE(given.options->core_dumps);
    EXPECT_EQ(given.options->hive_token_file, "/t");
    EXPECT_EQ(given.options->token_fd, 7);
}

TEST(QueenOptions, MetricsAuthIsOnOrOff) {
    EXPECT_FALSE(parse({}).options->metrics_auth);
    EXPECT_TRUE(parse({"--metrics-auth", "on"}).options->metrics_auth);
    EXPECT_EQ(parse({"--metrics-auth", "maybe"}).exit_code, 1);
    EXPECT_EQ(parse({"--tokens-file", "/t.toml"}).options->tokens_file, "/t.toml");
}

TEST(QueenOptions, TheEdgeComesFromFlagsVariablesAndTheFile) {
    const std::string path = testing::TempDir() + "queen-edge.toml";
    std::ofstream(path
    ) << "[http]\nidle_s = 5\nfields = 50\nallowed_hosts = [\"a.lan\", \"b.lan\"]\n";
    const auto line = parse(
        {"-c", path, "--http-idle-s", "6", "--cors-origin", "http://a", "--cors-origin", "http://b"
        },
        {{"RBEE_HTTP_FIELDS", "60"}}
    );
    std::filesystem::remove(path);
    ASSERT_TRUE(line.options) << line.text;
    const http::ServerOptions& http = line.options->http;
    EXPECT_EQ(http.idle_limit, std::chrono::seconds(6));
    EXPECT_EQ(http.fields_max, 60U);
    EXPECT_EQ(http.connections_per_source_max, 256U);
    EXPECT_THAT(http.browsers.allowed_hosts, testing::ElementsAre("a.lan", "b.lan"));
    EXPECT_THAT(http.browsers.cors_origins, testing::ElementsAre("http://a", "http://b"));
    EXPECT_EQ(parse({"--http-fields", "0"}).exit_code, 1);
}

TEST(QueenOptions, AMistakeSaysWhereItCameFrom) {
    EXPECT_THAT(
        parse({}, {{"RBEE_QUEUE_WAIT_S", "0"}}).text, HasSubstr("RBEE_QUEUE_WAIT_S: queue.wait_s")
    );
    const std::string path = testing::TempDir() + "queen-where.toml";
    std::ofstream(path) << "[log]\nlevel = \"debug\"\n\n[queue]\nwait_s = 0\n";
    const auto wrong = parse({"-c", path}).text;
    std::ofstream(path) << "[log]\nlevel = \"debug\"\n[server]\ncore_dumps = true\n";
    const auto right = parse({"-c", path});
    std::filesystem::remove(path);
    EXPECT_THAT(wrong, HasSubstr(path + ":5: queue.wait_s: --queue-wait-s must be"));
    ASSERT_TRUE(right.options) << right.text;
    EXPECT_EQ(right.options->log.level, telemetry::Level::debug);
    EXPECT_TRUE(right.options->core_dumps);
    EXPECT_EQ(right.options->config.path, path);
}

TEST(QueenOptions, PrintsItsSettings) {
    const auto toml = parse({"--print-config"});
    EXPECT_EQ(toml.exit_code, 0);
    EXPECT_THAT(toml.text, HasSubstr("\n#[[deadline.model]]\n"));
    EXPECT_THAT(parse({"--print-config=markdown"}).text, HasSubstr("| `server.port` |"));
    EXPECT_EQ(parse({"--print-config=xml"}).exit_code, 1);
    EXPECT_TRUE(parse({"--validate-config"}).validate_only);
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
