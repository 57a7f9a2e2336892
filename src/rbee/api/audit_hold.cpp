#include "rbee/api/audit_hold.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/audit/receipt.hpp"

#include <string>
#include <utility>

namespace rbee::api {

namespace asio = boost::asio;

namespace {

using Hook = decltype(http::Exchange::before_begin);

asio::awaitable<std::optional<http::Response>>
settled(Hook earlier, audit::Receipt receipt, std::string correlation_id) {
    if (earlier) {
        auto instead = co_await earlier();
        if (instead) {
            co_return instead;
        }
    }
    const auto recorded = co_await receipt.wait();
    if (!recorded) {
        co_return error_response(recorded.error(), correlation_id);
    }
    co_return std::nullopt;
}

} // namespace

void record_and_hold(http::Exchange& exchange, audit::Logger& logger, audit::Event event) {
    if (logger.demand(event.kind()) == audit::Demand::nothing) {
        logger.record(std::move(event));
        return;
    }
    auto receipt = audit::Receipt::submit(logger, std::move(event), exchange.executor());
    Hook earlier = std::exchange(exchange.before_begin, {});
    exchange.before_begin = [earlier = std::move(earlier),
                             receipt = std::move(receipt),
                             id = exchange.correlation_id()] {
        return settled(earlier, receipt, id);
    };
}

asio::awaitable<std::optional<http::Response>> await_records(http::Exchange& exchange) {
    const Hook wait = std::exchange(exchange.before_begin, {});
    if (!wait) {
        co_return std::nullopt;
    }
    auto instead = co_await wait();
    co_return instead;
}

} // namespace rbee::api
