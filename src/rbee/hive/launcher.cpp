#include "rbee/hive/launcher.hpp"

#include "rbee/base/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

constexpr std::size_t verdicts_kept = 64;
constexpr const char* group_prefix = "rbee-worker-";

} // namespace

class ChildLauncher::ChildProcess final : public WorkerProcess {
public:
    ChildProcess(
        std::unique_ptr<process::Child> child,
        std::optional<process::MemoryGroup> group,
        std::shared_ptr<Verdicts> verdicts
    )
        : child_(std::move(child)), pid_(child_->pid()), group_(std::move(group)),
          verdicts_(std::move(verdicts)) {}

    [[nodiscard]] std::int64_t pid() const override { return pid_; }

    void send(int signal) override {
        if (signal == SIGKILL) {
            child_->kill();
            return;
        }
        const auto sent = child_->send_signal(signal);
        (void)sent; // it has ended, which is what signals are sent for here
    }

    asio::awaitable<process::ExitStatus> wait() override {
        const process::ExitStatus status = co_await child_->wait();
        close_group();
        co_return status;
    }

private:
    /// Ends what is left of the process' family, and remembers what the group knows.
    void close_group() {
        if (!group_) {
            return;
        }
        group_->kill_all();
        if (group_->oom_kills() > 0) {
            verdicts_->latest.emplace_back(
                pid_,
                fmt::format("it passed its memory limit of {}", human_bytes(group_->limit_bytes()))
            );
            if (verdicts_->latest.size() > verdicts_kept) {
                verdicts_->latest.pop_front();
            }
        }
        group_.reset();
    }

    std::unique_ptr<process::Child> child_;
    std::int64_t pid_;
    std::optional<process::MemoryGroup> group_;
    std::shared_ptr<Verdicts> verdicts_;
};

Result<void> ChildLauncher::limit_memory(std::uint64_t limit_bytes) {
    auto groups = process::MemoryGroups::find();
    if (!groups) {
        return error_of(groups);
    }
    groups->remove_empty(group_prefix);
    // Tried before it is relied on: a file that may be written may still be refused.
    const auto trial = groups->make(fmt::format("{}trial", group_prefix), limit_bytes);
    if (!trial) {
        return error_of(trial);
    }
    groups_ = std::move(*groups);
    limit_bytes_ = limit_bytes;
    return {};
}

std::optional<process::MemoryGroup> ChildLauncher::make_group(pid_t pid) {
    if (!groups_) {
        return std::nullopt;
    }
    auto group = groups_->make(fmt::format("{}{}", group_prefix, pid), limit_bytes_);
    if (!group || !group->add(pid)) {
        return std::nullopt; // it ended at once, or the group has been taken from us
    }
    return std::move(*group);
}

Result<std::unique_ptr<WorkerProcess>> ChildLauncher::start(const process::Command& command) {
    auto child = process::Child::spawn(executor_, command);
    if (!child) {
        return error_of(child);
    }
    auto group = make_group((*child)->pid());
    return std::make_unique<ChildProcess>(std::move(*child), std::move(group), verdicts_);
}

std::optional<std::string> ChildLauncher::memory_verdict(std::int64_t pid) const {
    const auto& latest = verdicts_->latest;
    const auto found = std::ranges::find(
        latest.rbegin(), latest.rend(), pid, &std::pair<std::int64_t, std::string>::first
    );
    return found == latest.rend() ? std::nullopt : std::optional(found->second);
}

} // namespace rbee::hive
