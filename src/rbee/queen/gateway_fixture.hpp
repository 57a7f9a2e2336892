#pragma once

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/process/listener.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/gateway.hpp"
#include "rbee/queen/info_routes.hpp"
#include "rbee/queen/worker_routes.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::queen::test {

namespace asio = boost::asio;

/// A hive that answers what the test says.
class FakeHive {
public:
    using Handler = std::function<asio::awaitable<void>(FakeHive&, http::Exchange&)>;

    FakeHive(asio::io_context& context, http::Reaper& reaper)
        : server_(context.get_executor(), reaper, {}) {
        server_.set_handler(
            [this](http::Exchange& exchange) { return serve(exchange); },
            [](const Error& error, const std::string& id) {
                return api::error_response(error, id);
            },
            [](const std::string&, const std::string& what) { ADD_FAILURE() << what; }
        );
        auto listener = process::listen_tcp("127.0.0.1", 0).value();
        endpoint = {"127.0.0.1", listener.port, {}};
        EXPECT_TRUE(server_.serve(std::move(listener.fd)));
    }

    asio::awaitable<void> stop() { co_await server_.stop(); }

    http::Endpoint endpoint;
    Handler handler;                             ///< What inference requests get.
    http::Response spawn_answer;                 ///< What POST /v1/workers/spawn gets.
    std::optional<http::Response> report_answer; ///< What GET /v1/report gets, if not `handler`.
    int spawns = 0;
    std::vector<http::RequestHead> seen; ///< Inference requests.
    std::vector<std::string> bodies;
    std::uint32_t running = 0;
    std::uint32_t running_most = 0;

private:
    asio::awaitable<void> serve(http::Exchange& exchange) {
        auto body = co_await exchange.read_body(1'000'000);
        if (exchange.head().path == "/v1/workers/spawn") {
            ++spawns;
            const auto sent = co_await exchange.respond(spawn_answer);
            EXPECT_TRUE(sent);
            co_return;
        }
        if (exchange.head().path == "/v1/report" && (report_answer || !handler)) {
            const auto sent =
                co_await exchange.respond(report_answer.value_or(http::Response{.status = 404}));
            EXPECT_TRUE(sent);
            co_return;
        }
        seen.push_back(exchange.head());
        bodies.push_back(body.value_or(""));
        running_most = std::max(running_most, ++running);
        co_await handler(*this, exchange);
        --running;
    }

    http::Server server_;
};

/// The queen's gateway over fake hives, all on one loop; the body of a test is a coroutine.
class GatewayTest : public testing::Test {
protected:
    struct Limits {
        std::size_t capacity = 100;
        Duration wait = std::chrono::seconds(5);
        domain::DeadlinePolicy deadline = {};
    };

    void start(Limits limits) {
        dispatcher_ = std::make_unique<Dispatcher>(
            Dispatcher::Parts{fleet_, hives_, timers_, log_, queen_metrics_},
            domain::Admission::Limits{.capacity = limits.capacity, .wait_max = limits.wait}
        );
        deadlines_ = std::make_unique<api::Deadlines>(
            api::Deadlines::Parts{deadline_timers_, log_, metrics_, "test"},
            api::Deadlines::Policies{limits.deadline}
        );
        gateway_ = std::make_unique<Gateway>(Gateway::Parts{
            fleet_,
            *dispatcher_,
            hives_,
            running_,
            *deadlines_,
            timers_.clock(),
            log_,
            queen_metrics_
        });
        gateway_->mount(gate_.router());
        info_ = std::make_unique<InfoRoutes>(InfoRoutes::Parts{
            fleet_, *dispatcher_, running_, timers_.clock(), [this] { ++shutdowns_; }
        });
        info_->mount(gate_.router());
        workers_ = std::make_unique<WorkerRoutes>(WorkerRoutes::Parts{fleet_, hives_, log_});
        workers_->mount(gate_.router());
        gate_.attach(server_);
        auto listener = process::listen_tcp("127.0.0.1", 0).value();
        queen_ = {"127.0.0.1", listener.port, {}};
        ASSERT_TRUE(server_.serve(std::move(listener.fd)));
    }

    FakeHive& add_hive(const std::string& name) {
        auto& hive = fakes_.emplace_back(std::make_unique<FakeHive>(context_, reaper_));
        hive->handler = [](FakeHive&, http::Exchange& exchange) -> asio::awaitable<void> {
            return answer(exchange, 200, R"({"ok":true})");
        };
        fleet_.add_hive(name, hive->endpoint);
        return *hive;
    }

    /// The hive reports one worker of the model "tiny" that it will start again in a moment.
    void report_backoff(const std::string& name, const std::string& id, Duration next) {
        report(name, {{id, domain::WorkerState::backoff}});
        api::HiveReport report = *fleet_.find_hive(name)->report;
        const WallTime now = timers_.clock().wall();
        report.timestamp = to_rfc3339(now);
        report.workers.front().last_exit = "killed by signal 9 (SIGKILL)";
        report.workers.front().next_restart =
            to_rfc3339(now + std::chrono::duration_cast<WallTime::duration>(next));
        fleet_.apply(std::move(report));
    }

    /// The hive reports these workers of the model "tiny".
    void report(
        const std::string& name,
        const std::map<std::string, domain::WorkerState>& workers,
        std::uint32_t slots = 1
    ) {
        api::HiveReport report;
        report.hive_id = name;
        report.url = fleet_.find_hive(name)->endpoint.to_string();
        report.version = "0.1.0";
        report.models = {{"tiny", "file:/m/tiny.gguf", 10, "available"}};
        for (const auto& [id, state] : workers) {
            api::WorkerInfo info;
            info.id = id;
            info.model = "tiny";
            info.model_ref = "file:/m/tiny.gguf";
            info.backend = "cpu";
            info.state = state;
            info.reason = "no reason";
            info.slots_total = slots;
            report.workers.push_back(info);
        }
        fleet_.apply(std::move(report));
    }

    static asio::awaitable<void> answer(http::Exchange& exchange, int status, std::string body) {
        http::Response response;
        response.status = status;
        response.body = std::move(body);
        const auto sent = co_await exchange.respond(std::move(response));
        EXPECT_TRUE(sent);
    }

    static asio::awaitable<void> refuse(http::Exchange& exchange, Error error) {
        co_await api::respond_error(exchange, std::move(error));
    }

    asio::awaitable<http::Response>
    post(std::string path, std::string body, CancelSource* cancel = nullptr) {
        auto response = co_await post_with({}, std::move(path), std::move(body), cancel);
        co_return response;
    }

    asio::awaitable<http::Response> post_with(
        http::Headers headers, std::string path, std::string body, CancelSource* cancel = nullptr
    ) {
        http::ClientRequest request;
        request.headers = std::move(headers);
        request.method = "POST";
        request.target = std::move(path);
        request.body = std::move(body);
        http::CallOptions options;
        options.cancel = cancel;
        auto response = co_await client_.fetch(queen_, std::move(request), options);
        if (!response) {
            http::Response failed;
            failed.status = 0;
            failed.body = response.error().what;
            co_return failed;
        }
        co_return std::move(*response);
    }

    asio::awaitable<void> until(std::function<bool()> condition) {
        for (int i = 0; i < 5000 && !condition(); ++i) {
            co_await timers_.sleep_for(std::chrono::milliseconds(1));
        }
        EXPECT_TRUE(condition());
    }

    /// Runs a request beside the test; its answer lands in the slot.
    void spawn_post(std::string body, http::Response& into, CancelSource* cancel = nullptr) {
        asio::co_spawn(context_, post_into(std::move(body), &into, cancel), asio::detached);
    }

    template <typename Test>
    void run(Test test) {
        bool finished = false;
        std::exception_ptr crash;
        asio::co_spawn(context_, whole(test()), [&](std::exception_ptr failure) {
            finished = true;
            crash = std::move(failure);
            context_.stop();
        });
        context_.run_for(std::chrono::seconds(30));
        if (crash) {
            std::rethrow_exception(crash);
        }
        EXPECT_TRUE(finished) << "the test did not end in time";
        for (const auto& [id, worker] : fleet_.workers()) {
            EXPECT_EQ(worker->in_flight, 0U) << id;
        }
    }

    asio::io_context context_{1};
    runtime::SystemTimers timers_{context_.get_executor()};
    telemetry::Logger log_ = telemetry::Logger::silent();
    telemetry::Metrics metrics_;
    QueenMetrics queen_metrics_{metrics_};
    http::Reaper reaper_{context_.get_executor()};
    http::Client client_{context_.get_executor(), reaper_};
    HiveClient hives_{client_, Secret("hive-token")};
    Fleet fleet_{timers_.clock()};
    api::RunningRequests running_;
    auth::Authenticator authenticator_;
    api::Gate gate_{
        authenticator_,
        log_,
        metrics_,
        {.program = "queen-rbee", .prefix = "rbee_queen", .clock = timers_.clock()}
    };
    std::unique_ptr<Dispatcher> dispatcher_;
    runtime::DeadlineTimers deadline_timers_{context_.get_executor()};
    std::unique_ptr<api::Deadlines> deadlines_;
    std::unique_ptr<Gateway> gateway_;
    std::unique_ptr<InfoRoutes> info_;
    std::unique_ptr<WorkerRoutes> workers_;
    std::vector<std::unique_ptr<FakeHive>> fakes_;
    http::Server server_{context_.get_executor(), reaper_, {}};
    http::Endpoint queen_;
    int shutdowns_ = 0;

private:
    asio::awaitable<void> post_into(std::string body, http::Response* into, CancelSource* cancel) {
        auto response = co_await post("/v1/chat/completions", std::move(body), cancel);
        *into = std::move(response);
    }

    asio::awaitable<void> whole(asio::awaitable<void> test) {
        co_await std::move(test);
        co_await dispatcher_->stop();
        co_await server_.stop();
        for (const auto& fake : fakes_) {
            co_await fake->stop();
        }
        client_.close_idle();
    }
};

} // namespace rbee::queen::test
