#pragma once

#include "rbee/api/gate.hpp"
#include "rbee/auth/bearer.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/router.hpp"
#include "rbee/http/server.hpp"
#include "rbee/telemetry/log.hpp"
#include "rbee/telemetry/metrics.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace rbee::test {

/// A gate behind a real socket, and a client of it. Calls run one at a time to their end.
class GateServer {
public:
    explicit GateServer(api::Gate& gate) {
        gate.attach(server_);
        UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* raw = reinterpret_cast<sockaddr*>(&address);
        EXPECT_EQ(::bind(fd.get(), raw, size), 0);
        EXPECT_EQ(::listen(fd.get(), 16), 0);
        EXPECT_EQ(::getsockname(fd.get(), raw, &size), 0);
        endpoint_ = {.host = "127.0.0.1", .port = ntohs(address.sin_port), .unix_path = {}};
        EXPECT_TRUE(server_.serve(std::move(fd)).has_value());
    }
    GateServer(const GateServer&) = delete;
    GateServer& operator=(const GateServer&) = delete;
    ~GateServer() {
        client_.close_idle();
        finish(server_.stop());
        reaper_.stop();
    }

    http::Response
    fetch(std::string method, std::string target, std::optional<std::string> authorization = {}) {
        http::ClientRequest request{
            .method = std::move(method), .target = std::move(target), .headers = {}, .body = {}
        };
        if (authorization) {
            request.headers.add("Authorization", std::move(*authorization));
        }
        return fetch(std::move(request));
    }
    http::Response fetch(http::ClientRequest request) {
        http::Response out{.status = 0};
        finish(call(std::move(request), &out));
        return out;
    }

private:
    boost::asio::awaitable<void> call(http::ClientRequest request, http::Response* out) {
        auto answer = co_await client_.fetch(endpoint_, std::move(request), {});
        EXPECT_TRUE(answer.has_value());
        if (answer) {
            *out = std::move(*answer);
        }
    }
    void finish(boost::asio::awaitable<void> work) {
        bool done = false;
        boost::asio::co_spawn(loop_, std::move(work), [&](const std::exception_ptr& failure) {
            EXPECT_FALSE(failure);
            done = true;
        });
        const auto due = std::chrono::steady_clock::now() + std::chrono::seconds(20);
        while (!done && std::chrono::steady_clock::now() < due) {
            loop_.restart();
            loop_.run_one_for(std::chrono::milliseconds(10));
        }
        EXPECT_TRUE(done) << "the call did not end in time";
    }

    boost::asio::io_context loop_{1};
    http::Reaper reaper_{loop_.get_executor()};
    http::Server server_{loop_.get_executor(), reaper_, {}};
    http::Client client_{loop_.get_executor(), reaper_};
    http::Endpoint endpoint_;
};

/// Asks every route of the table, and paths that are in none, with five methods and no token. All
/// get 401 but the pairs in `open`, such as "GET /health". `status_of` sends one request.
inline void expect_default_deny(
    const http::Router& router,
    const std::set<std::string>& open,
    const std::function<int(const std::string& method, const std::string& path)>& status_of
) {
    std::set<std::string> paths = {"/", "/nothing", "/v1/../health", "/health/", "//health"};
    for (const http::Router::Route& route : router.routes()) {
        std::string path = route.pattern;
        for (auto at = path.find('{'); at != std::string::npos; at = path.find('{')) {
            path.replace(at, path.find('}') - at + 1, "some-id");
        }
        paths.insert(std::move(path));
        const bool listed = open.contains(route.method + " " + route.pattern);
        EXPECT_EQ(route.access == http::Access::open, listed)
            << route.method << " " << route.pattern;
    }
    EXPECT_GT(paths.size(), 10U);
    for (const std::string& path : paths) {
        for (const char* method : {"GET", "POST", "PUT", "DELETE", "PATCH"}) {
            const std::string what = std::string(method) + " " + path;
            const int status = status_of(method, path);
            if (open.contains(what)) {
                EXPECT_NE(status, 401) << what;
            } else {
                EXPECT_EQ(status, 401) << what;
            }
        }
    }
}

/// The same for routes that `mount` adds to a gate of its own.
inline void expect_default_deny(
    const std::set<std::string>& open, const std::function<void(http::Router&)>& mount
) {
    auth::Authenticator authenticator;
    authenticator.accept(Secret("the-only-token-there-is"));
    telemetry::Logger log = telemetry::Logger::silent();
    telemetry::Metrics metrics;
    const SystemClock clock;
    api::Gate gate(
        authenticator,
        log,
        metrics,
        {.program = "test", .prefix = "test", .clock = clock, .failures = {.burst = 1e6}}
    );
    mount(gate.router());
    GateServer server(gate);
    expect_default_deny(
        gate.router(),
        open,
        [&](const std::string& method, const std::string& path) {
            return server.fetch(method, path).status;
        }
    );
}

} // namespace rbee::test
