#include "rbee/cli/context.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <optional>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr int attempts_max = 3;

} // namespace

Context::Context(
    GlobalOptions options, Settings settings, Environment environment, Console& console
)
    : options_(std::move(options)), settings_(std::move(settings)),
      environment_(std::move(environment)), console_(console), reaper_(loop_.get_executor()),
      client_(loop_.get_executor(), reaper_), interrupt_(std::make_unique<CancelSource>()),
      signals_(loop_) {
    reconnect();
}

void Context::reconnect() {
    if (settings_.tls) {
        client_.use_tls(settings_.tls);
    }
    queen_ = std::make_unique<api::ApiClient>(client_, settings_.queen, settings_.token.clone());
}

void Context::watch_signals() {
    signals_.add(SIGINT);
    signals_.add(SIGTERM);
    signals_.async_wait([this](const boost::system::error_code& error, int signal) {
        if (error) {
            return;
        }
        signal_ = signal;
        signals_.clear(); // the next one ends the program the hard way
        interrupt_->cancel(CancelReason::requested);
    });
}

Result<int> Context::run(Command& command) {
    std::optional<Result<int>> outcome;
    std::exception_ptr failure;
    interrupt_ = std::make_unique<CancelSource>();
    watch_signals();
    asio::co_spawn(
        loop_,
        command.run(),
        [&outcome, &failure, this](std::exception_ptr thrown, Result<int> result) {
            failure = std::move(thrown);
            outcome = std::move(result);
            loop_.stop();
        }
    );
    loop_.restart();
    loop_.run();
    signals_.cancel();
    signals_.clear();
    if (failure) {
        std::rethrow_exception(failure);
    }
    return std::move(outcome).value_or(fail(Errc::internal, "the event loop ended too early"));
}

asio::awaitable<Result<json::object>>
Context::call(api::ApiClient::Request request, Duration limit) {
    for (int attempt = 1;; ++attempt) {
        http::CallOptions call_options;
        call_options.connect_limit = connect_limit;
        call_options.head_limit = limit;
        call_options.cancel = interrupt_.get();
        auto answer = co_await queen_->call(request, call_options);
        const bool nothing_sent =
            !answer && answer.error().code == Errc::unavailable && answer.error().wire_code.empty();
        if (!nothing_sent) {
            co_return answer;
        }
        const bool again = co_await pause_after(attempt, answer.error());
        if (!again) {
            co_return answer;
        }
    }
}

asio::awaitable<bool> Context::pause_after(int attempt, Error error) {
    if (!settings_.retry || interrupted()) {
        co_return false;
    }
    const bool last = attempt >= attempts_max;
    const auto pause = std::chrono::milliseconds(200) * attempt;
    console_.status(
        "queen",
        fmt::format(
            "attempt {} of {}: {}{}",
            attempt,
            attempts_max,
            error.what,
            last ? "" : fmt::format("; trying again in {} ms", pause.count())
        )
    );
    if (!last) {
        co_await sleep(pause);
    }
    co_return !last && !interrupted();
}

asio::awaitable<Result<json::object>> Context::get(std::string target) {
    api::ApiClient::Request request;
    request.target = std::move(target);
    auto answer = co_await call(std::move(request));
    co_return answer;
}

asio::awaitable<Result<json::object>> Context::probe(std::string target, Duration limit) {
    api::ApiClient::Request request;
    request.target = std::move(target);
    http::CallOptions call_options;
    call_options.connect_limit = limit;
    call_options.head_limit = limit;
    call_options.body_limit = limit;
    call_options.cancel = interrupt_.get();
    auto answer = co_await queen_->call(std::move(request), call_options);
    co_return answer;
}

asio::awaitable<void> Context::sleep(Duration time) {
    asio::steady_timer timer(loop_, time);
    const auto wake = interrupt_->on_cancel([&timer](CancelReason) { timer.cancel(); });
    if (!interrupted()) {
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
}

void Context::print_json(const json::object& object) {
    console_.out(json::serialize(object) + "\n");
}

} // namespace rbee::cli
