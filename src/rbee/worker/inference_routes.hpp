#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/base/result.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"
#include "rbee/worker/core.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <memory>
#include <optional>

namespace rbee::worker {

/// The endpoints that generate: rbee's own dialect, OpenAI's and Anthropic's, and explicit cancel.
/// Must outlive the router's server.
class InferenceRoutes {
public:
    explicit InferenceRoutes(Core& core) : core_(core) {}

    void install(http::Router& router);

private:
    [[nodiscard]] boost::asio::awaitable<void> infer(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void>
    generate(http::Exchange& exchange, engine::Dialect dialect);
    /// For a request of this worker's one model.
    [[nodiscard]] Result<std::unique_ptr<api::RequestDeadline>>
    begin_deadline(http::Exchange& exchange, std::optional<std::int64_t> deadline_ms, bool stream);
    [[nodiscard]] boost::asio::awaitable<void> cancel_by_path(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> cancel_by_body(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void>
    refuse(http::Exchange& exchange, engine::Dialect dialect, Error error);

    Core& core_;
};

} // namespace rbee::worker
