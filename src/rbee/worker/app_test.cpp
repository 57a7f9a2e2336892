#include "rbee/worker/app.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "support/fake_engine.hpp"

namespace rbee::worker {
namespace {

/// Runs a whole worker in a thread of its own, as a process would.
class AppTest : public testing::Test {
protected:
    static std::optional<std::string> environment(std::string_view name) {
        return name == "LLORCH_LOG_LEVEL" ? std::optional<std::string>("off") : std::nullopt;
    }

    void listen() {
        auto listener = open_listener({.host = "127.0.0.1", .port = 0, .unix_path = {}});
        ASSERT_TRUE(listener.has_value());
        endpoint_ = listener->endpoint;
        options_.listen_fd = listener->socket.release();
    }

    Result<std::unique_ptr<WorkerApp>> create() {
        return WorkerApp::create(options_, {environment, {}}, std::move(engine_));
    }

    /// The status of a whole answer; blocks.
    int fetch(std::string method, std::string target) {
        boost::asio::io_context loop{1};
        http::Reaper reaper(loop.get_executor());
        http::Client client(loop.get_executor(), reaper);
        http::ClientRequest request{
            .method = std::move(method), .target = std::move(target), .headers = {}, .body = {}
        };
        int status = 0;
        boost::asio::co_spawn(
            loop,
            client.fetch(endpoint_, std::move(request), {}),
            [&](const std::exception_ptr&, const Result<http::Response>& answer) {
                status = answer ? answer->status : -1;
                client.close_idle();
                reaper.stop();
            }
        );
        loop.run();
        return status;
    }

    static WorkerOptions make_options() {
        WorkerOptions options;
        options.worker_id = "worker-1";
        options.model_path = "tiny.gguf";
        options.model_ref = "file:tiny.gguf";
        options.model_name = "tiny";
        return options;
    }

    WorkerOptions options_ = make_options();
    http::Endpoint endpoint_;
    std::unique_ptr<test::FakeEngine> engine_ = std::make_unique<test::FakeEngine>();
};

TEST_F(AppTest, AModelThatCannotBeLoadedEndsItWithOneReadableLine) {
    engine_->set_load_result(fail(Errc::corrupt, "not a GGUF file"));
    auto app = create();
    ASSERT_TRUE(app.has_value());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ((*app)->run(), 65); // EX_DATAERR: trying again cannot help
    EXPECT_EQ(
        testing::internal::GetCapturedStderr(),
        "llm-worker-rbee: cannot load tiny.gguf: not a GGUF file\n"
    );
    EXPECT_THAT(
        testing::internal::GetCapturedStdout(),
        testing::MatchesRegex("llm-worker-rbee ready http://127.0.0.1:[0-9]+\n")
    );
}

TEST_F(AppTest, ShowsSignsOfLifeAndTheCauseOfItsEnd) {
    const auto page = process::PulsePage::make("worker-1");
    ASSERT_TRUE(page.has_value());
    const auto pulse = process::PulseHolder::take(page->fd());
    ASSERT_TRUE(pulse.has_value());
    engine_->set_load_result(fail(Errc::resources, "the model needs more memory"));
    auto app = WorkerApp::create(options_, {environment, {}, *pulse}, std::move(engine_));
    ASSERT_TRUE(app.has_value());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    EXPECT_EQ((*app)->run(), 71); // EX_OSERR: there may be more memory another time
    (void)testing::internal::GetCapturedStderr();
    (void)testing::internal::GetCapturedStdout();
    const process::Pulse seen = page->read();
    EXPECT_GT(seen.beats, 0U);
    EXPECT_EQ(seen.fatal, "the model needs more memory");
    EXPECT_EQ(seen.fatal_code, 71);
    EXPECT_EQ(seen.exit_code, 71);
}

TEST_F(AppTest, ItStopsWhenItsHiveHasGone) {
    listen();
    int lifeline[2];
    ASSERT_EQ(::pipe2(lifeline, O_CLOEXEC), 0);
    options_.lifeline_fd = lifeline[0];
    auto app = create();
    ASSERT_TRUE(app.has_value());
    int code = -1;
    std::thread worker([&] { code = (*app)->run(); });
    // A stop while the model loads would end the process.
    EXPECT_EQ(fetch("GET", "/v1/loading/progress"), 200);
    ::close(lifeline[1]);
    worker.join();
    EXPECT_EQ(code, 0);
}

TEST_F(AppTest, ServesOnTheSocketOfItsParentUntilItIsShutDown) {
    listen();
    auto app = create();
    ASSERT_TRUE(app.has_value());
    int code = -1;
    std::thread worker([&] { code = (*app)->run(); });

    EXPECT_EQ(fetch("GET", "/v1/loading/progress"), 200); // until it is loaded
    EXPECT_EQ(fetch("POST", "/v1/admin/shutdown"), 202);
    worker.join();
    EXPECT_EQ(code, 0);
}

TEST_F(AppTest, RefusesALifelineThatHasNoEnd) {
    options_.lifeline_fd = 999;
    EXPECT_FALSE(create().has_value());
}

TEST_F(AppTest, RefusesToListenEverywhereWithoutAToken) {
    options_.listen.host = "0.0.0.0";
    const auto app = create();
    ASSERT_FALSE(app.has_value());
    EXPECT_EQ(app.error().what, "API token required for non-loopback bind");
}

} // namespace
} // namespace rbee::worker
