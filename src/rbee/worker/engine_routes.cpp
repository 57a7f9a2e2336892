#include "rbee/worker/engine_routes.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/api/gate.hpp"
#include "rbee/api/route_fields.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <string>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;

using engine::Route;

namespace {

struct Entry {
    const char* method;
    const char* path;
    Route route;
    http::Access access = http::Access::infer;
};

constexpr Entry entries[] = {
    {"GET", "/v1/models", Route::models, http::Access::models},
    {"POST", "/v1/embeddings", Route::embeddings},
    {"POST", "/v1/rerank", Route::rerank},
    {"POST", "/v1/messages/count_tokens", Route::count_tokens},
    {"POST", "/tokenize", Route::tokenize},
    {"POST", "/detokenize", Route::detokenize},
    {"POST", "/apply-template", Route::apply_template},
    {"POST", "/infill", Route::infill},
    {"GET", "/props", Route::props, http::Access::models},
    {"GET", "/slots", Route::slots, http::Access::admin},
    {"GET", "/lora-adapters", Route::lora_adapters_get, http::Access::models},
    {"POST", "/lora-adapters", Route::lora_adapters_set, http::Access::admin},
};

} // namespace

void EngineRoutes::install(http::Router& router) {
    for (const Entry& entry : entries) {
        router.add(
            entry.method,
            entry.path,
            [this, route = entry.route](http::Exchange& exchange) {
                return serve(exchange, route);
            },
            entry.access
        );
    }
}

asio::awaitable<void> EngineRoutes::serve(http::Exchange& exchange, Route route) {
    engine::Call request{.route = route, .body = {}, .query = exchange.head().query};
    if (exchange.head().method == "POST") {
        auto body = co_await exchange.read_body(exchange.inference_body_bytes_max());
        if (!body) {
            co_await api::respond_error(exchange, body.error());
            co_return;
        }
        request.body = std::move(*body);
        // The engine gets the rest to judge; adapters are the one body that is no object.
        const auto fields = route == Route::lora_adapters_set ? Result<api::RouteFields>()
                                                              : api::route_fields(request.body);
        if (!fields) {
            co_await api::respond_error(exchange, fields.error());
            co_return;
        }
    }
    const auto ready = core_.status.check_ready();
    if (!ready) {
        co_await api::respond_error(exchange, ready.error());
        co_return;
    }
    const auto listed = core_.running.add({exchange.correlation_id()}, exchange.cancel());
    engine::Reply reply = co_await call(std::move(request));
    if (reply.status >= 400) {
        co_await api::respond_error(exchange, api::error_from_response(reply.status, reply.body));
        co_return;
    }
    http::Response response;
    response.status = reply.status;
    response.content_type = std::move(reply.content_type);
    response.body = std::move(reply.body);
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // a client that left needs no answer
}

asio::awaitable<engine::Reply> EngineRoutes::call(engine::Call call) {
    const auto executor = co_await asio::this_coro::executor;
    // Tracked, or the loop could end while the engine works.
    auto loop = asio::prefer(executor, asio::execution::outstanding_work.tracked);
    auto initiate = [this, loop, &call](auto handler) {
        // Shared, because a std::function must be copyable.
        auto resume = std::make_shared<decltype(handler)>(std::move(handler));
        core_.engine.call(std::move(call), [loop, resume](engine::Reply reply) {
            asio::post(loop, [resume, reply = std::move(reply)]() mutable {
                std::move (*resume)(std::move(reply));
            });
        });
    };
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(engine::Reply)>(
        std::move(initiate), asio::use_awaitable
    );
}

} // namespace rbee::worker
