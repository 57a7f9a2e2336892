#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/api/running.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/relay.hpp"
#include "rbee/http/router.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/queen/inference_job.hpp"
#include "rbee/queen/metrics.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <memory>
#include <string>
#include <string_view>

namespace rbee::queen {

/// Every inference path: reads the request, finds the model, waits for a slot and relays the answer
/// of the hive. A request that the hive refused before anything was done is sent again; one of
/// which a single byte has been answered never is.
class Gateway {
public:
    struct Parts {
        Fleet& fleet;
        Dispatcher& dispatcher;
        HiveClient& hives;
        api::RunningRequests& running;
        api::Deadlines& deadlines;
        const Clock& clock;
        const telemetry::Logger& log;
        QueenMetrics& metrics;
    };

    explicit Gateway(Parts parts);

    void mount(http::Router& router);

private:
    struct Attempt;
    struct Request;

    [[nodiscard]] boost::asio::awaitable<void> handle_inference(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> handle_task(http::Exchange& exchange);
    [[nodiscard]] boost::asio::awaitable<void> handle_cancel(http::Exchange& exchange);

    [[nodiscard]] boost::asio::awaitable<void> serve(http::Exchange& exchange, InferenceJob job);
    [[nodiscard]] boost::asio::awaitable<Attempt> try_workers(Request& request);
    [[nodiscard]] boost::asio::awaitable<Attempt> attempt(Request& request, Worker& worker);
    [[nodiscard]] boost::asio::awaitable<Attempt>
    relay(Request& request, const Worker& worker, http::ResponseStream& upstream);
    [[nodiscard]] boost::asio::awaitable<Attempt>
    refused(http::Exchange& exchange, Worker& worker, http::ResponseStream& upstream);
    [[nodiscard]] Attempt not_opened(Request& request, Worker& worker, const Error& error);
    void count_expired(const Request& request, const Error& error);
    [[nodiscard]] boost::asio::awaitable<void> answer_error(http::Exchange& exchange, Error error);

    Fleet& fleet_;
    Dispatcher& dispatcher_;
    HiveClient& hives_;
    api::RunningRequests& running_;
    api::Deadlines& deadlines_;
    const Clock& clock_;
    telemetry::Logger log_;
    QueenMetrics& metrics_;
};

} // namespace rbee::queen
