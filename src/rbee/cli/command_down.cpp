#include "rbee/base/unique_fd.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/daemon.hpp"
#include "rbee/cli/family.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

namespace rbee::cli {

namespace asio = boost::asio;

namespace {

constexpr Duration probe_limit = std::chrono::seconds(1);
constexpr Duration poll_interval = std::chrono::milliseconds(50);
/// After each signal, before the next stronger one.
constexpr Duration grace = std::chrono::seconds(5);
/// The queen takes note of the request at once, or she hangs.
constexpr Duration ack_limit = std::chrono::seconds(5);
/// Name of the hive that a queen starts on her own machine.
constexpr const char* local_hive = "localhost";

class Down final : public Command {
public:
    Down(Context& context, DownOptions options) : context_(context), options_(options) {}

    asio::awaitable<Result<int>> run() override;

private:
    void find_process();
    [[nodiscard]] asio::awaitable<void> find_family();
    [[nodiscard]] asio::awaitable<Result<void>> stop_family();
    [[nodiscard]] asio::awaitable<bool> wait_family(Duration limit);
    void forget_ended();
    [[nodiscard]] asio::awaitable<Result<void>> ask();
    [[nodiscard]] asio::awaitable<bool> wait_gone(Duration limit);
    [[nodiscard]] asio::awaitable<bool> gone();
    [[nodiscard]] asio::awaitable<Result<void>> stop();
    void report(bool was_running);

    Context& context_;
    DownOptions options_;
    UniqueFd process_; ///< Not valid when the queen is not one that `up` started.
    pid_t pid_ = 0;
    bool killed_ = false;        ///< She did not stop in order.
    std::vector<Member> family_; ///< Her hive and its workers; they end with her.
};

void Down::find_process() {
    const auto mark = read_pid_file(context_.settings().pid_file());
    if (!mark) {
        return;
    }
    const auto where = http::parse_endpoint(mark->url);
    if (where && *where == context_.settings().queen) {
        process_ = open_process(*mark);
        pid_ = process_.valid() ? mark->pid : 0;
    }
}

asio::awaitable<void> Down::find_family() {
    if (pid_ == 0) {
        co_return; // not ours to look after
    }
    family_ = descendants_of(pid_);
    const bool has_hive = !family_.empty();
    const auto answer = co_await context_.probe("/v1/workers", probe_limit);
    if (!answer || !has_hive) {
        co_return; // a hive that she did not start stays, and its workers with it
    }
    for (Member& worker : workers_of(*answer, local_hive)) {
        if (std::ranges::find(family_, worker.pid, &Member::pid) == family_.end()) {
            family_.push_back(std::move(worker));
        }
    }
}

void Down::forget_ended() {
    std::erase_if(family_, [](const Member& member) { return has_ended(member.process); });
}

asio::awaitable<bool> Down::wait_family(Duration limit) {
    const TimePoint begin = context_.clock().now();
    forget_ended();
    while (!family_.empty() && !context_.interrupted()) {
        const Duration waited = context_.clock().now() - begin;
        if (waited >= limit) {
            break;
        }
        context_.console().progress(fmt::format(
            "stopping {:.1f} s, {} left",
            std::chrono::duration<double>(waited).count(),
            family_.size()
        ));
        co_await context_.sleep(poll_interval);
        forget_ended();
    }
    context_.console().clear_progress();
    const std::size_t left = family_.size();
    co_return left == 0;
}

/// She stops her hive, and it its workers. When she could not, it notices that she has gone and
/// needs time for its running requests. What is left then is stopped here.
asio::awaitable<Result<void>> Down::stop_family() {
    const Duration limit = killed_ ? Duration(std::chrono::seconds(options_.timeout_s)) : grace;
    bool gone = co_await wait_family(limit);
    for (const int signal : {SIGTERM, SIGKILL}) {
        if (gone || context_.interrupted()) {
            break;
        }
        for (const Member& member : family_) {
            context_.console().status(
                "down",
                fmt::format(
                    "{} (pid {}) is left; sending {}",
                    member.name,
                    member.pid,
                    signal == SIGTERM ? "SIGTERM" : "SIGKILL"
                )
            );
            send_signal(member.process, signal);
        }
        gone = co_await wait_family(grace);
    }
    if (!gone) {
        co_return fail(
            context_.interrupted() ? Errc::cancelled : Errc::timeout,
            fmt::format("{} processes of the service are left", family_.size()),
            "NOT_STOPPED"
        );
    }
    co_return Result<void>();
}

asio::awaitable<bool> Down::gone() {
    if (process_.valid()) {
        co_return has_ended(process_);
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
    const auto answer = co_await context_.call(std::move(request), ack_limit);
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
        killed_ = signal == SIGKILL;
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
        co_await find_family();
        auto stopped = co_await stop();
        if (stopped) {
            stopped = co_await stop_family();
        }
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
