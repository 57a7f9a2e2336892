// The part of WorkerRoutes that concerns workers that have died.
#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/queen/worker_routes.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace rbee::queen {

namespace asio = boost::asio;

namespace {

/// For each hive that is asked.
constexpr Duration ask_limit = std::chrono::seconds(5);

} // namespace

/// The hive keeps it longer than the worker is in the fleet. Which hive that was is not known then,
/// so all are asked.
asio::awaitable<void> WorkerRoutes::postmortem(http::Exchange& exchange) {
    const std::string id = exchange.path_parameters.at(0);
    if (fleet_.find_worker(id)) {
        co_return co_await pass_on(exchange);
    }
    std::vector<http::Endpoint> endpoints;
    for (const auto& [name, hive] : fleet_.hives()) {
        if (hive.available) {
            endpoints.push_back(hive.endpoint);
        }
    }
    for (const http::Endpoint& endpoint : endpoints) {
        http::ClientRequest request;
        request.target = "/v1/workers/" + id + "/postmortem";
        request.headers.add("X-Correlation-Id", exchange.correlation_id());
        http::CallOptions limits;
        limits.head_limit = ask_limit;
        limits.body_limit = ask_limit;
        limits.cancel = &exchange.cancel();
        auto answer = co_await hives_.fetch(endpoint, std::move(request), limits);
        if (answer && answer->status == 200) {
            const auto sent = co_await exchange.respond(std::move(*answer));
            (void)sent; // the client may have gone; there is nobody else to tell
            co_return;
        }
    }
    const Error error{
        Errc::not_found, "no death of a worker of this id is known", "WORKER_NOT_FOUND"
    };
    co_await api::respond_error(exchange, error);
}

} // namespace rbee::queen
