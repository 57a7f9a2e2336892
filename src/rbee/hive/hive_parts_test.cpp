// Small parts of the hive: ports, worker arguments, log reading, the view of models.
#include "rbee/hive/hive_view.hpp"
#include "rbee/hive/log_tail.hpp"
#include "rbee/hive/port_range.hpp"
#include "rbee/hive/worker_command.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace rbee::hive {
namespace {

TEST(PortRange, Reads_ranges_single_ports_and_zero) {
    EXPECT_EQ(parse_port_range("8081-9000")->last, 9000);
    EXPECT_EQ(parse_port_range("9000")->first, 9000);
    EXPECT_EQ(parse_port_range("0")->last, 0);
    for (const char* wrong : {"", "x", "9-8", "0-5", "1-70000", "1-2-3", "-5"}) {
        EXPECT_FALSE(parse_port_range(wrong)) << wrong;
    }
}

TEST(PortRange, Passes_over_a_port_that_is_taken) {
    const auto first = listen_for_worker("127.0.0.1", {0, 0});
    ASSERT_TRUE(first);
    const std::uint16_t taken = first->port;
    ASSERT_LT(taken, 65'500);
    const auto second =
        listen_for_worker("127.0.0.1", {taken, static_cast<std::uint16_t>(taken + 30)});
    ASSERT_TRUE(second);
    EXPECT_GT(second->port, taken);
    const auto none = listen_for_worker("127.0.0.1", {taken, taken});
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().wire_code, "NO_FREE_PORT");
}

TEST(WorkerArguments, Name_everything_and_put_engine_flags_last) {
    WorkerLaunch launch;
    launch.worker_id = "worker-1";
    launch.model_path = "/m/x.gguf";
    launch.model_ref = "x";
    launch.model_name = "x";
    launch.backend = "cpu";
    launch.slots = 2;
    launch.hive_url = "http://127.0.0.1:9200";
    launch.listen_fd = 3;
    launch.lifeline_fd = 4;
    launch.token_fd = 5;
    launch.pulse_fd = 6;
    launch.hive_lease_s = 30;
    launch.engine_args = {"--ctx-size", "512"};
    EXPECT_THAT(
        worker_arguments(launch),
        testing::ElementsAre(
            "--worker-id",
            "worker-1",
            "--model",
            "/m/x.gguf",
            "--model-ref",
            "x",
            "--model-name",
            "x",
            "--backend",
            "cpu",
            "--device",
            "0",
            "--slots",
            "2",
            "--listen-fd",
            "3",
            "--hive-url",
            "http://127.0.0.1:9200",
            "--lifeline-fd",
            "4",
            "--token-fd",
            "5",
            "--pulse-fd",
            "6",
            "--hive-lease",
            "30",
            "--",
            "--ctx-size",
            "512"
        )
    );
}

TEST(WorkerArguments, Carry_limits_that_differ_from_the_default) {
    WorkerLaunch launch;
    launch.inference_body_mb = 64;
    launch.allow_remote_images = true;
    const auto arguments = worker_arguments(launch);
    EXPECT_THAT(arguments, testing::IsSupersetOf({"--inference-body-mb", "64"}));
    EXPECT_EQ(arguments.back(), "--allow-remote-images");
}

class LogTailTest : public testing::Test {
protected:
    LogTailTest() {
        std::string pattern = testing::TempDir() + "rbee-log-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        path_ = (root_ / "worker-1.log").string();
    }
    ~LogTailTest() override { std::filesystem::remove_all(root_); }
    void write(const std::string& text) const { std::ofstream(path_, std::ios::app) << text; }

    std::filesystem::path root_;
    std::string path_;
};

TEST_F(LogTailTest, Gives_the_last_lines_and_what_comes_after) {
    write("one\ntwo\nthree\n");
    EXPECT_EQ(read_tail(path_, 2)->text, "two\nthree\n");
    EXPECT_EQ(read_tail(path_, 9)->text, "one\ntwo\nthree\n");
    EXPECT_EQ(read_tail(path_, 0)->text, "");
    const auto tail = read_tail(path_, 1);
    EXPECT_EQ(tail->text, "three\n");
    write("four");
    const auto next = read_from(path_, tail->next);
    EXPECT_EQ(next->text, "four");
    EXPECT_EQ(read_from(path_, next->next)->text, "");
    EXPECT_EQ(read_tail(path_, 1)->text, "four");
}

TEST_F(LogTailTest, Begins_anew_when_the_file_was_cut) {
    write("short");
    EXPECT_EQ(read_from(path_, 1000)->text, "short");
}

TEST_F(LogTailTest, A_missing_log_or_a_link_is_not_read) {
    EXPECT_EQ(read_tail(path_, 1).error().code, Errc::not_found);
    std::filesystem::create_symlink("/etc/passwd", path_);
    EXPECT_EQ(read_tail(path_, 1).error().code, Errc::not_found);
}

TEST(LastWords, Are_the_last_error_or_the_last_line) {
    EXPECT_EQ(last_words("a\nb\n\n"), "b");
    EXPECT_EQ(last_words(""), "");
    EXPECT_EQ(
        last_words("{\"level\":\"error\",\"message\":\"cannot load\",\"cause\":\"bad magic\"}\n"
                   "{\"level\":\"info\",\"message\":\"stopped\"}\n"),
        "cannot load: bad magic"
    );
    EXPECT_EQ(last_words(std::string(1000, 'x')).size(), 300U);
    EXPECT_EQ(last_words("a\tb\x1b[0m"), "a b [0m");
}

TEST(MergeModels, A_model_is_as_ready_as_its_best_worker) {
    const std::vector<Model> models = {
        {{domain::ModelRef::Provider::name, "big"}, "big", "/m/big.gguf", 2},
        {{domain::ModelRef::Provider::name, "tiny"}, "tiny", "/m/tiny.gguf", 1},
    };
    api::WorkerInfo loading;
    loading.model = "tiny";
    api::WorkerInfo ready = loading;
    ready.state = domain::WorkerState::busy;
    api::WorkerInfo by_path;
    by_path.model = "mine";
    by_path.model_ref = "file:/x/mine.gguf";
    const auto merged = merge_models(models, {loading, ready, by_path});
    ASSERT_EQ(merged.size(), 3U);
    EXPECT_EQ(merged.at(0).state, "available");
    EXPECT_EQ(merged.at(1).state, "ready");
    EXPECT_EQ(merged.at(2).ref, "file:/x/mine.gguf");
    EXPECT_EQ(merged.at(2).state, "loading");
    EXPECT_EQ(merge_models(models, {loading}).at(1).state, "loading");
}

} // namespace
} // namespace rbee::hive
