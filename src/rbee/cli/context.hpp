#pragma once

#include "rbee/api/client.hpp"
#include "rbee/base/cancel.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/cli/console.hpp"
#include "rbee/cli/environment.hpp"
#include "rbee/cli/options.hpp"
#include "rbee/cli/settings.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <memory>
#include <string>

namespace rbee::cli {

/// One command. Owned by the caller of Context::run(), which keeps it until run() has ended.
class Command {
public:
    virtual ~Command() = default;
    /// Does the work and returns the exit code; an error is shown by the caller and exits with 1.
    [[nodiscard]] virtual boost::asio::awaitable<Result<int>> run() = 0;
};

/// What every command has: the loop, the queen, the console. Belongs to the main thread.
class Context {
public:
    Context(GlobalOptions options, Settings settings, Environment environment, Console& console);
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;
    ~Context() = default;

    /// Limit of each attempt to connect.
    static constexpr Duration connect_limit = std::chrono::seconds(10);

    [[nodiscard]] const GlobalOptions& options() const { return options_; }
    [[nodiscard]] const Settings& settings() const { return settings_; }
    [[nodiscard]] Settings& settings() { return settings_; }
    [[nodiscard]] const Environment& environment() const { return environment_; }
    [[nodiscard]] Console& console() { return console_; }
    [[nodiscard]] const Clock& clock() const { return clock_; }
    [[nodiscard]] http::Reaper& reaper() { return reaper_; }
    [[nodiscard]] api::ApiClient& queen() { return *queen_; }
    [[nodiscard]] boost::asio::any_io_executor executor() { return loop_.get_executor(); }

    /// Talks to `settings().queen` with `settings().token` from now on; after those were changed.
    void reconnect();

    /// Runs the loop until `command` has ended. Ctrl+C cancels interrupt(); a second one, and any
    /// while no command runs, has its default effect. May be called again.
    [[nodiscard]] Result<int> run(Command& command);

    /// Cancelled by Ctrl+C and SIGTERM.
    [[nodiscard]] CancelSource& interrupt() { return *interrupt_; }
    [[nodiscard]] bool interrupted() const { return interrupt_->cancelled(); }
    /// 130 after Ctrl+C, 143 after SIGTERM.
    [[nodiscard]] int interrupt_code() const { return 128 + signal_; }

    /// Calls the queen. When no connection can be made, so nothing was sent, tries up to three
    /// times with pauses of 200 and 400 ms (once with RBEE_NO_RETRY), and says so each time.
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
    call(api::ApiClient::Request request, Duration limit = std::chrono::seconds(30));
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>> get(std::string target);
    /// One attempt of GET with a limit.
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>>
    probe(std::string target, Duration limit);

    /// Shows why an attempt to reach the queen failed, and pauses before the next. False when it
    /// was the last one, or the user interrupted.
    [[nodiscard]] boost::asio::awaitable<bool> pause_after(int attempt, Error error);

    /// Returns after `time`, or at once when interrupted.
    [[nodiscard]] boost::asio::awaitable<void> sleep(Duration time);

    /// Prints `object` on one line.
    void print_json(const boost::json::object& object);

private:
    void watch_signals();

    GlobalOptions options_;
    Settings settings_;
    Environment environment_;
    Console& console_;
    SystemClock clock_;
    boost::asio::io_context loop_{1};
    http::Reaper reaper_;
    http::Client client_;
    std::unique_ptr<api::ApiClient> queen_;
    std::unique_ptr<CancelSource> interrupt_;
    boost::asio::signal_set signals_;
    int signal_ = 2;
};

} // namespace rbee::cli
