#include "rbee/audit/receipt.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <optional>
#include <utility>

namespace rbee::audit {

namespace asio = boost::asio;

struct Receipt::State {
    State(const asio::any_io_executor& executor, bool refuses)
        : decided(executor, std::chrono::steady_clock::time_point::max()), must_refuse(refuses) {}

    asio::steady_timer decided; ///< Cancelled when the outcome is there.
    std::optional<Result<void>> outcome;
    bool must_refuse;
};

Receipt Receipt::submit(Logger& logger, Event event, asio::any_io_executor executor) {
    const Demand demand = logger.demand(event.kind());
    if (demand == Demand::nothing) {
        logger.record(std::move(event));
        return {};
    }
    Receipt receipt;
    receipt.state_ = std::make_shared<State>(executor, demand == Demand::recorded);
    logger.submit(std::move(event), [state = receipt.state_, executor](Result<void> outcome) {
        // The last reference must go on the loop: the timer belongs to it.
        asio::post(executor, [state, outcome = std::move(outcome)] {
            state->outcome = outcome;
            state->decided.cancel();
        });
    });
    return receipt;
}

asio::awaitable<Result<void>> Receipt::wait() {
    const std::shared_ptr<State> state = state_;
    if (!state) {
        co_return Result<void>();
    }
    while (!state->outcome) {
        const auto [error] =
            co_await state->decided.async_wait(asio::as_tuple(asio::use_awaitable));
        if (error && !state->outcome) {
            throw boost::system::system_error(error);
        }
    }
    co_return state->must_refuse ? *state->outcome : Result<void>();
}

} // namespace rbee::audit
