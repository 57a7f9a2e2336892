#include "rbee/worker/listener.hpp"
#include "rbee/worker/options.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

namespace rbee::worker {
namespace {

using testing::HasSubstr;

WorkerOptions good(const std::vector<std::string>& arguments) {
    CommandLine command = parse_command_line(arguments);
    EXPECT_FALSE(command.exit_code.has_value()) << command.output;
    return command.options;
}

std::string bad(const std::vector<std::string>& arguments) {
    const CommandLine command = parse_command_line(arguments);
    EXPECT_EQ(command.exit_code, 1);
    EXPECT_THAT(command.output, testing::StartsWith("llm-worker-rbee: "));
    return command.output;
}

TEST(Options, HaveDefaultsForAWorkerOnItsOwn) {
    const WorkerOptions options = good({"--model", "/models/tiny.gguf"});
    EXPECT_THAT(options.worker_id, testing::StartsWith("worker-"));
    EXPECT_EQ(options.model_path, "/models/tiny.gguf");
    EXPECT_EQ(options.model_ref, "file:/models/tiny.gguf");
    EXPECT_EQ(options.model_name, "tiny");
    EXPECT_EQ(options.backend, "cpu");
    EXPECT_EQ(options.slots, 4U);
    EXPECT_EQ(options.listen.host, "127.0.0.1");
    EXPECT_EQ(options.listen.port, 0);
    EXPECT_FALSE(options.listen_fd || options.lifeline_fd || options.hive);
    EXPECT_TRUE(options.engine_args.empty());
}

TEST(Options, ReadWhatAHiveGives) {
    const WorkerOptions options = good(
        {"--worker-id",
         "worker-1",
         "--model",
         "/m/a.gguf",
         "--model-ref",
         "hf:org/tiny",
         "--backend",
         "cuda",
         "--device",
         "1",
         "--slots",
         "2",
         "--listen-fd",
         "5",
         "--hive-url",
         "http://127.0.0.1:9200",
         "--lifeline-fd",
         "6",
         "--token-file",
         "/t",
         "--",
         "--ctx-size",
         "512",
         "--host",
         "ignored-here"}
    );
    EXPECT_EQ(options.worker_id, "worker-1");
    EXPECT_EQ(options.model_ref, "hf:org/tiny");
    EXPECT_EQ(options.model_name, "tiny");
    EXPECT_EQ(options.device, 1U);
    EXPECT_EQ(options.slots, 2U);
    EXPECT_EQ(options.listen_fd, 5);
    EXPECT_EQ(options.lifeline_fd, 6);
    ASSERT_TRUE(options.hive.has_value());
    EXPECT_EQ(options.hive->port, 9200);
    EXPECT_EQ(options.token_file, "/t");
    EXPECT_THAT(
        options.engine_args, testing::ElementsAre("--ctx-size", "512", "--host", "ignored-here")
    );
}

TEST(Options, ReadAUnixSocket) {
    EXPECT_EQ(
        good({"--model", "m.gguf", "--socket", "/run/w.sock"}).listen.unix_path, "/run/w.sock"
    );
}

TEST(Options, RefuseWhatMakesNoSense) {
    EXPECT_THAT(bad({}), HasSubstr("--model"));
    EXPECT_THAT(bad({"--model", "m", "--slots", "0"}), HasSubstr("--slots"));
    EXPECT_THAT(bad({"--model", "m", "--worker-id", "a b"}), HasSubstr("--worker-id"));
    EXPECT_THAT(bad({"--model", "m", "--backend", "abacus"}), HasSubstr("--backend"));
    EXPECT_THAT(bad({"--model", "m", "--hive-url", "ftp://x"}), HasSubstr("--hive-url"));
    EXPECT_THAT(bad({"--model", "m", "--listen-fd", "3", "--port", "80"}), HasSubstr("excludes"));
    EXPECT_THAT(bad({"--model", "m", "--port", "80"}), HasSubstr("1024 to 65535"));
    EXPECT_THAT(bad({"--model", "m", "--port", "70000"}), HasSubstr("1024 to 65535"));
    EXPECT_THAT(bad({"--model", "m", "--model-name", "a\nb"}), HasSubstr("--model-name"));
    EXPECT_THAT(bad({"--model", "m", "--inference-body-mb", "0"}), HasSubstr("body-mb"));
    EXPECT_THAT(bad({"--model", "m", "--nonsense"}), HasSubstr("--nonsense"));
}

TEST(Options, PrintVersionAndHelp) {
    const CommandLine version = parse_command_line({"--version"});
    EXPECT_EQ(version.exit_code, 0);
    EXPECT_EQ(version.output, "llm-worker-rbee " RBEE_VERSION "\n");
    const CommandLine help = parse_command_line({"--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.output, HasSubstr("--listen-fd"));
}

TEST(Listener, OpensAFreePortAndSaysWhenOneIsTaken) {
    const auto first = open_listener({.host = "localhost", .port = 0, .unix_path = {}});
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(first->endpoint.host, "127.0.0.1");
    EXPECT_NE(first->endpoint.port, 0);
    const auto second = open_listener(first->endpoint);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_THAT(second.error().what, testing::StartsWith("cannot listen on 127.0.0.1"));
    EXPECT_FALSE(open_listener({.host = "256.256.256.256", .port = 0, .unix_path = {}}).has_value()
    );
}

TEST(Listener, OpensAUnixSocketOverAStaleOne) {
    const std::string path = testing::TempDir() + "worker-listener.sock";
    for (int i = 0; i < 2; ++i) {
        const auto listener = open_listener({.host = {}, .port = 0, .unix_path = path});
        ASSERT_TRUE(listener.has_value());
        EXPECT_EQ(listener->endpoint.to_string(), "unix:" + path);
    }
    std::filesystem::remove(path);
}

TEST(Listener, AdoptsOnlyASocketThatListens) {
    auto opened = open_listener({.host = "127.0.0.1", .port = 0, .unix_path = {}});
    ASSERT_TRUE(opened.has_value());
    const auto adopted = adopt_listener(opened->socket.release());
    ASSERT_TRUE(adopted.has_value());
    EXPECT_EQ(adopted->endpoint, opened->endpoint);
    EXPECT_FALSE(adopt_listener(0).has_value());
    EXPECT_FALSE(adopt_listener(999).has_value());
}

} // namespace
} // namespace rbee::worker
