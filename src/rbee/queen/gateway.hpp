#pragma once

#include "rbee/api/deadlines.hpp"
#include "rbee/api/running.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/domain/retry_budget.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/relay.hpp"
#include "rbee/http/router.hpp"
#include "rbee/queen/dispatcher.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/queen/inference_audit.hpp"
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
/// of the hive. A request of which nothing was answered yet is sent again, to another worker or
/// when its own is back, within its deadline: twice at most when a worker may have begun with it,
/// and only as far as the retry budget allows. One of which a single byte was answered never is.
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
        audit::Logger* audit = nullptr; ///< Hears of each request; or none.
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
    [[nodiscard]] bool goes_on(Request& request, const Attempt& last);
    [[nodiscard]] boost::asio::awaitable<Attempt> attempt(Request& request, Lease& lease);
    [[nodiscard]] boost::asio::awaitable<Attempt>
    relay(Request& request, Lease& lease, http::ResponseStream& upstream);
    [[nodiscard]] boost::asio::awaitable<Attempt>
    refused(Request& request, Lease& lease, http::ResponseStream& upstream);
    [[nodiscard]] Attempt not_answered(Request& request, Lease& lease, const Error& error);
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
    InferenceAudit audit_;
    domain::RetryBudget budget_;
};

} // namespace rbee::queen
