#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/cli/context.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace rbee::cli {

/// How far a worker is with loading its model.
struct LoadState {
    std::string worker_id;
    std::string model;
    std::string state;
    std::string reason;
    double fraction = 0;
    std::uint64_t layers_loaded = 0;
    std::uint64_t layers_total = 0;

    bool operator==(const LoadState&) const = default;
    /// "28/80 layers", or nothing when layers are not known.
    [[nodiscard]] std::string note() const;
};

/// Follows a worker that loads: the worker list tells which one, its progress stream how far.
class LoadWatch {
public:
    struct Options {
        std::string worker_id; ///< This worker; else any that loads `model`.
        std::string model;
        Duration interval = std::chrono::milliseconds(250);
        Duration stuck_limit = std::chrono::minutes(5); ///< Without any progress.
    };
    using OnProgress = std::function<void(const LoadState&)>;

    LoadWatch(Context& context, Options options, OnProgress on_progress);

    /// Returns when the worker can serve. Fails when it failed to load, and with wire code
    /// LOADING_TIMEOUT when it made no progress for too long. Without a worker id it waits for a
    /// worker to appear, until it is cancelled.
    [[nodiscard]] boost::asio::awaitable<Result<LoadState>> follow();

private:
    [[nodiscard]] boost::asio::awaitable<Result<LoadState>> look();
    [[nodiscard]] boost::asio::awaitable<void> read_stream(std::string worker_id);
    void take(const LoadState& next);
    [[nodiscard]] bool stuck() const;
    [[nodiscard]] Error stuck_error() const;

    Context& context_;
    Options options_;
    OnProgress on_progress_;
    LoadState state_;
    TimePoint changed_at_;
    int streams_failed_ = 0;
};

} // namespace rbee::cli
