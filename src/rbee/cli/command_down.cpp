#include "rbee/base/unique_fd.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/daemon.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;

namespace {

constexpr Duration probe_limit = std::chrono::seconds(1);
constexpr Duration poll_interval = std::chrono::milliseconds(50);
/// After each signal, before the next stronger one.
constexpr Duration grace = std::chrono::seconds(5);

class Down final : public Command {
public:
    Down(Context& context, DownOptions options) : context_(context), options_(options) {}

    asio::awaitable<Result<int>> run() override;

private:
    void find_process();
    [[nodiscard]] asio::awaitable<Result<void>> ask();
    [[nodiscard]] asio::awaitable<bool> wait_gone(Duration limit);
    [[nodiscard]] asio::awaitable<bool> gone();
    [[nodiscard]] asio::awaitable<Result<void>> stop();
    void report(bool was_running);

    Context& context_;
    DownOptions options_;
    UniqueFd process_; ///< Not valid when the queen is not one that `up` started.
};

void Down::find_process() {
    const auto mark = read_pid_file(context_.settings().pid_file());
    if (!mark) {
        return;
    }
    const auto where = http::parse_endpoint(mark->url);
    if (where && *where == context_.settings().queen) {
        process_ = open_process(*mark);
    }
}

asio::awaitable<bool> Down::gone() {
    if (process_.valid()) {
        pollfd poll{process_.get(), POLLIN, 0};
        co_return ::poll(&poll, 1, 0) == 1;
    }
    const auto health = co_await context_.probe("/health", probe_limit);
    co_return !health && health.error().code == Errc::unavailable;
}

asio::awaitable<bool> Down::wait_gone(Duration limit) {
    const TimePoint begin = context_.clock().now();
    while (true) {
        const bool ended = co_await gone();
        const Duration waited = context_.clock().now() - begin;
        if (ended || waited >= limit || context_.interrupted()) {
            context_.console().clear_progress();
            co_return ended;
        }
        context_.console().progress(
            fmt::format("stopping {:.1f} s", std::chrono::duration<double>(waited).count())
        );
        co_await context_.sleep(poll_interval);
    }
}

asio::awaitable<Result<void>> Down::ask() {
    api::ApiClient::Request request;
    request.method = "POST";
    request.target = "/v1/admin/shutdown";
    const auto answer = co_await context_.call(std::move(request));
    if (!answer) {
        co_return error_of(answer);
    }
    co_return Result<void>();
}

asio::awaitable<Result<void>> Down::stop() {
    const auto asked = co_await ask();
    if (!asked && !process_.valid()) {
        co_return error_of(asked);
    }
    if (asked) {
        const bool ended = co_await wait_gone(std::chrono::seconds(options_.timeout_s));
        if (ended) {
            co_return Result<void>();
        }
    }
    for (const int signal : {SIGTERM, SIGKILL}) {
        if (!process_.valid() || context_.interrupted()) {
            break;
        }
        context_.console().status(
            "down", signal == SIGTERM ? "no answer; sending SIGTERM" : "sending SIGKILL"
        );
        send_signal(process_, signal);
        const bool ended = co_await wait_gone(grace);
        if (ended) {
            co_return Result<void>();
        }
    }
    if (context_.interrupted()) {
        co_return fail(Errc::cancelled, "interrupted");
    }
    co_return fail(
        Errc::timeout,
        fmt::format("the queen at {} does not stop", context_.settings().queen_url),
        "NOT_STOPPED"
    );
}

void Down::report(bool was_running) {
    const std::string& url = context_.settings().queen_url;
    if (context_.options().json) {
        context_.print_json({{"url", url}, {"was_running", was_running}, {"stopped", true}});
    } else {
        context_.console().out(was_running ? "stopped\n" : "not running: " + url + "\n");
    }
}

asio::awaitable<Result<int>> Down::run() {
    find_process();
    const auto health = co_await context_.probe("/health", probe_limit);
    const bool was_running = health.has_value() || process_.valid();
    if (was_running) {
        const auto stopped = co_await stop();
        if (!stopped) {
            co_return error_of(stopped);
        }
    } else if (health.error().code != Errc::unavailable) {
        co_return error_of(health);
    }
    const auto mark = read_pid_file(context_.settings().pid_file());
    if (mark && !is_running(*mark)) {
        std::error_code ignored;
        std::filesystem::remove(context_.settings().pid_file(), ignored);
    }
    report(was_running);
    co_return 0;
}

} // namespace

std::unique_ptr<Command> make_down(Context& context, DownOptions options) {
    return std::make_unique<Down>(context, options);
}

} // namespace rbee::cli
