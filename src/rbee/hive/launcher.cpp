#include "rbee/hive/launcher.hpp"

#include <csignal>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;

namespace {

class ChildProcess final : public WorkerProcess {
public:
    explicit ChildProcess(std::unique_ptr<process::Child> child)
        : child_(std::move(child)), pid_(child_->pid()) {}

    [[nodiscard]] std::int64_t pid() const override { return pid_; }

    void send(int signal) override {
        if (signal == SIGKILL) {
            child_->kill();
            return;
        }
        const auto sent = child_->send_signal(signal);
        (void)sent; // it has ended, which is what signals are sent for here
    }

    asio::awaitable<process::ExitStatus> wait() override { return child_->wait(); }

private:
    std::unique_ptr<process::Child> child_;
    std::int64_t pid_;
};

} // namespace

Result<std::unique_ptr<WorkerProcess>> ChildLauncher::start(const process::Command& command) {
    auto child = process::Child::spawn(executor_, command);
    if (!child) {
        return error_of(child);
    }
    return std::make_unique<ChildProcess>(std::move(*child));
}

} // namespace rbee::hive
