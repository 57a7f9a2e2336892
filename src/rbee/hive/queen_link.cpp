#include "rbee/hive/queen_link.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

constexpr Duration answer_limit = std::chrono::seconds(5);
constexpr Duration retry_first = std::chrono::seconds(1);

} // namespace

void QueenLink::changed() {
    changed_ = true;
    woken_.notify_all();
}

asio::awaitable<Result<void>> QueenLink::send() {
    const api::HiveReport report = co_await with_.view.report();
    http::CallOptions options;
    options.connect_limit = answer_limit;
    options.head_limit = answer_limit;
    options.body_limit = answer_limit;
    api::ApiClient::Request request{.method = "POST", .target = "/v1/hives/heartbeat"};
    request.body = api::to_json(report);
    const auto answer = co_await queen_.call(std::move(request), options);
    with_.metrics.report_sent(answer.has_value());
    if (!answer) {
        co_return error_of(answer);
    }
    co_return Result<void>();
}

asio::awaitable<void> QueenLink::run() {
    const Clock& clock = with_.timers.clock();
    Duration retry = retry_first;
    bool outage = false;
    bool met = false;
    while (true) {
        // Changes come in groups (a worker ends, its requests end): one report tells them all.
        co_await with_.timers.sleep_for(with_.intervals.coalesce);
        changed_ = false;
        const auto sent = co_await send();
        if (sent && (outage || !met)) {
            with_.log.info(
                "queen_reached", outage ? "the queen answers again" : "registered with the queen"
            );
        } else if (!sent && !outage) {
            with_.log.warn(
                "queen_unreachable",
                "the queen does not take reports; trying on",
                {{"queen", queen_.endpoint().to_string()}, {"cause", sent.error().what}}
            );
        }
        outage = !sent;
        met = met || sent;
        const TimePoint due = clock.now() + (outage ? retry : with_.intervals.report);
        retry = outage ? std::min(retry * 2, with_.intervals.report) : retry_first;
        // During an outage a change is no reason to hurry: it goes along with the next attempt.
        while (clock.now() < due && (outage || !changed_)) {
            const bool notified = co_await woken_.wait_until(due);
            (void)notified; // the loop looks at the state itself
        }
    }
}

} // namespace rbee::hive
