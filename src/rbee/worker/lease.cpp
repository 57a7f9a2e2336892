#include "rbee/worker/lease.hpp"

#include "rbee/telemetry/task_failure.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace rbee::worker {

namespace asio = boost::asio;

Lease::Lease(Dependencies dependencies, Duration limit, std::function<void(End)> on_end)
    : with_(dependencies), limit_(limit), on_end_(std::move(on_end)),
      tasks_(dependencies.timers.executor(), telemetry::log_task_failures(dependencies.log)) {}

void Lease::follow_lifeline(int fd) {
    lifeline_ = process::watch_lifeline(with_.timers.executor(), fd, [this] { lifeline_ended(); });
}

void Lease::lifeline_ended() {
    if (!lifeline_->may_survive()) {
        end({.cause = "the hive has gone", .at_once = true});
        return;
    }
    tasks_.start(run_out(++round_), "lease");
}

Result<void> Lease::follow(const HiveNotice& hive) {
    auto process =
        process::AdoptedProcess::open(with_.timers.executor(), hive.pid, hive.start_ticks);
    if (!process) {
        return error_of(process);
    }
    lifeline_.reset();
    hive_ = std::move(*process);
    tasks_.start(watch(hive_, ++round_), "hive");
    return {};
}

asio::awaitable<void>
Lease::watch(std::shared_ptr<process::AdoptedProcess> hive, std::uint64_t round) {
    const auto status = co_await hive->wait();
    (void)status; // whatever it ended by
    if (round == round_) {
        co_await run_out(++round_);
    }
}

asio::awaitable<void> Lease::run_out(std::uint64_t round) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit_).count();
    with_.log.warn(
        "hive_lost", "the hive has gone; waiting for another one", {{"limit_s", seconds}}
    );
    co_await with_.timers.sleep_for(limit_);
    if (round == round_) {
        end({.cause = fmt::format("no hive for {} s", seconds), .at_once = false});
    }
}

void Lease::end(End how) {
    if (const auto on_end = std::exchange(on_end_, nullptr)) {
        on_end(std::move(how));
    }
}

asio::awaitable<void> Lease::stop() {
    on_end_ = nullptr;
    lifeline_.reset();
    co_await tasks_.stop();
    hive_.reset();
}

} // namespace rbee::worker
