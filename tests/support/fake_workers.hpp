#pragma once

#include "rbee/hive/launcher.hpp"
#include "rbee/runtime/timers.hpp"

#include <boost/asio/awaitable.hpp>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace rbee::test {

/// A process that exists on paper only.
class FakeProcess final : public hive::WorkerProcess {
public:
    struct Record {
        std::vector<int> signals;
        bool obeys_term = false;
        std::optional<process::ExitStatus> status;
        std::function<void()> tell; ///< Who waits for the end, while the process object is there.

        /// It ends by itself.
        void end(const process::ExitStatus& how) {
            if (!status) {
                status = how;
                tell();
            }
        }
    };
    FakeProcess(std::shared_ptr<Record> record, runtime::Timers& timers)
        : record_(std::move(record)), ended_(timers) {
        record_->tell = [this] { ended_.notify_all(); };
    }
    ~FakeProcess() override {
        record_->tell = [] {};
    }
    FakeProcess(const FakeProcess&) = delete;
    FakeProcess& operator=(const FakeProcess&) = delete;
    [[nodiscard]] std::int64_t pid() const override { return 1'000'000'000; }
    void send(int signal) override {
        record_->signals.push_back(signal);
        if (signal == SIGKILL || (signal == SIGTERM && record_->obeys_term)) {
            record_->status = process::ExitStatus{.code = std::nullopt, .signal = signal};
            ended_.notify_all();
        }
    }
    boost::asio::awaitable<process::ExitStatus> wait() override {
        while (!record_->status) {
            co_await ended_.wait();
        }
        co_return *record_->status;
    }

private:
    std::shared_ptr<Record> record_;
    runtime::Notifier ended_;
};

/// Starts those, and keeps what became of each.
class FakeLauncher final : public hive::Launcher {
public:
    explicit FakeLauncher(runtime::Timers& timers) : timers_(timers) {}
    Result<std::unique_ptr<hive::WorkerProcess>> start(const process::Command&) override {
        records.push_back(std::make_shared<FakeProcess::Record>());
        return std::make_unique<FakeProcess>(records.back(), timers_);
    }
    /// Processes that have not ended.
    [[nodiscard]] std::size_t alive() const {
        return static_cast<std::size_t>(std::ranges::count_if(records, [](const auto& one) {
            return !one->status;
        }));
    }
    std::vector<std::shared_ptr<FakeProcess::Record>> records;

private:
    runtime::Timers& timers_;
};

} // namespace rbee::test
