#pragma once

#include "rbee/auth/bearer.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/http/sse.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/log_capture.hpp"
#include "rbee/telemetry/metrics.hpp"
#include "rbee/worker/listener.hpp"
#include "rbee/worker/service.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/fake_clock.hpp"
#include "support/fake_engine.hpp"
#include "support/fake_timers.hpp"

namespace rbee::worker {

/// A worker with a scripted engine behind a real socket, and a client of it, on one loop that the
/// test drives. Time is fake; answers of the engine come from its threads.
class ServiceTest : public testing::Test {
protected:
    static constexpr std::string_view token = "sixteen-chars-token";

    ServiceTest() {
        authenticator_.accept(Secret(std::string(token)));
        service_.attach(server_);
        auto listener = open_listener({.host = "127.0.0.1", .port = 0, .unix_path = {}});
        EXPECT_TRUE(listener.has_value());
        endpoint_ = listener->endpoint;
        EXPECT_TRUE(server_.serve(std::move(listener->socket)).has_value());
    }

    void TearDown() override {
        client_.close_idle();
        bool stopped = false;
        boost::asio::co_spawn(loop_, server_.stop(), [&](const std::exception_ptr&) {
            stopped = true;
        });
        run_until([&] { return stopped; });
        reaper_.stop();
    }

    /// Runs the loop until `done`; fails the test after 20 s of real time.
    void run_until(const std::function<bool()>& done) {
        const auto due = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done() && std::chrono::steady_clock::now() < due) {
            loop_.restart();
            loop_.run_one_for(std::chrono::milliseconds(10));
        }
        EXPECT_TRUE(done()) << "did not happen in time";
    }

    /// A coroutine that runs on the loop, and its result.
    template <typename T>
    struct Pending {
        std::optional<T> value;
    };
    template <typename T>
    std::shared_ptr<Pending<T>> start(boost::asio::awaitable<T> work) {
        auto pending = std::make_shared<Pending<T>>();
        boost::asio::co_spawn(
            loop_,
            std::move(work),
            [pending](const std::exception_ptr& failure, T value) {
                EXPECT_FALSE(failure);
                pending->value = std::move(value);
            }
        );
        return pending;
    }
    template <typename T>
    T finish(const std::shared_ptr<Pending<T>>& pending) {
        run_until([&] { return pending->value.has_value(); });
        std::optional<T>& value = pending->value;
        if (!value) {
            throw std::runtime_error("the coroutine did not end");
        }
        return std::move(*value);
    }

    [[nodiscard]] http::ClientRequest
    request(std::string method, std::string target, std::string body = {}) const {
        http::ClientRequest out{
            .method = std::move(method),
            .target = std::move(target),
            .headers = {},
            .body = std::move(body)
        };
        out.headers.add("Authorization", "Bearer " + std::string(token));
        return out;
    }

    using Answered = std::shared_ptr<Pending<Result<http::Response>>>;
    Answered begin(http::ClientRequest request) {
        return start(client_.fetch(endpoint_, std::move(request), {}));
    }
    http::Response fetch(http::ClientRequest request) {
        auto answer = finish(begin(std::move(request)));
        EXPECT_TRUE(answer.has_value());
        return answer ? *answer : http::Response{.status = 0};
    }
    http::Response get(std::string target) { return fetch(request("GET", std::move(target))); }
    http::Response post(std::string target, std::string body) {
        return fetch(request("POST", std::move(target), std::move(body)));
    }

    using Stream = std::unique_ptr<http::ResponseStream>;
    Stream open(http::ClientRequest request) {
        auto stream = finish(start(client_.open(endpoint_, std::move(request), {})));
        EXPECT_TRUE(stream.has_value());
        return stream ? std::move(*stream) : nullptr;
    }
    /// Reads until `text` has come, or to the end when it is empty.
    std::string read_until(http::ResponseStream& stream, std::string_view text) {
        std::string out;
        while (text.empty() || !out.contains(text)) {
            const auto bytes = finish(start(stream.next()));
            EXPECT_TRUE(bytes.has_value()) << "after: " << out;
            if (!bytes || bytes->empty()) {
                break;
            }
            out += *bytes;
        }
        return out;
    }

    void load(std::uint32_t slots = 1) {
        engine_.set_load_result(
            engine::ModelInfo{.description = "fake", .layers = 2, .slots = slots}
        );
        EXPECT_TRUE(finish(start(service_.load(&pool_))).has_value());
    }

    /// Lets the newest generation give `chunks` more.
    void advance_last(std::size_t chunks = 1) {
        engine_.advance(engine_.requests().back().id, chunks);
    }

    static engine::Chunk word(std::string text, std::int32_t id = 1) {
        return {.text = std::move(text), .wire = "data: {}\n\n", .token_ids = {id}};
    }
    /// "Hello", " world", then a natural end of 2 tokens behind a prompt of 3.
    static test::Script hello() {
        engine::End end;
        end.usage = {.prompt_tokens = 3, .completion_tokens = 2, .decode_ms = 12.4};
        return {.chunks = {word("Hello"), word(" world")}, .end = end};
    }
    static test::Script endless() {
        return {.chunks = {word("Hello"), word(" world")}, .end = {}, .ends = false};
    }

    [[nodiscard]] bool metric(const std::string& line) const {
        return metrics_.text().contains(line + "\n");
    }
    [[nodiscard]] bool logged(std::string_view part) const { return capture_->contains(part); }

    boost::asio::io_context loop_{1};
    test::FakeClock clock_;
    test::FakeTimers timers_{clock_, loop_};
    runtime::DeadlineTimers deadline_timers_{loop_.get_executor()};
    http::Reaper reaper_{loop_.get_executor()};
    std::shared_ptr<telemetry::LogCapture> capture_ = std::make_shared<telemetry::LogCapture>();
    telemetry::Logger log_{
        *telemetry::Logger::open({.component = "llm-worker-rbee", .capture = capture_})
    };
    telemetry::Metrics metrics_;
    auth::Authenticator authenticator_;
    test::FakeEngine engine_;
    int shutdowns_ = 0;
    WorkerService service_{
        Settings{
            .worker_id = "worker-1",
            .model_name = "tiny",
            .load =
                {.model_path = "/secret/place/tiny.gguf",
                 .model_name = "tiny",
                 .slots = 1,
                 .engine_args = {}},
            .pending_bytes_max = 1000,
        },
        Outside{
            timers_, deadline_timers_, engine_, log_, metrics_, [] { return std::uint64_t{77}; }
        },
        authenticator_,
        [this] { ++shutdowns_; }
    };
    runtime::BlockingPool pool_{1, "test-load"};
    http::Server server_{loop_.get_executor(), reaper_, http::ServerOptions{}};
    http::Client client_{loop_.get_executor(), reaper_};
    http::Endpoint endpoint_;
};

} // namespace rbee::worker
