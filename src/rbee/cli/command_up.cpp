#include "rbee/auth/token.hpp"
#include "rbee/auth/token_file.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/daemon.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/cli/tables.hpp"
#include "rbee/process/process_stat.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace fs = std::filesystem;
namespace json = boost::json;

namespace {

constexpr int token_child_fd = 3;
constexpr Duration health_limit = std::chrono::milliseconds(500);
constexpr Duration poll_interval = std::chrono::milliseconds(100);

class Up final : public Command {
public:
    Up(Context& context, UpOptions options) : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override;

private:
    [[nodiscard]] Result<void> choose_address();
    [[nodiscard]] Result<void> prepare_home();
    [[nodiscard]] Result<void> prepare_token();
    [[nodiscard]] Result<void> lock();
    [[nodiscard]] Result<void> start();
    [[nodiscard]] Environment child_environment() const;
    [[nodiscard]] asio::awaitable<Result<void>> wait_until_serving();
    [[nodiscard]] asio::awaitable<Result<bool>> serving();
    [[nodiscard]] Result<void> still_alive();
    [[nodiscard]] Error too_late() const;
    void report(bool already_running);
    [[nodiscard]] asio::awaitable<Result<int>> stay();

    Context& context_;
    UpOptions options_;
    std::string bind_host_;
    UniqueFd lock_;
    ProcessMark queen_;
    std::uint64_t log_offset_ = 0;
    bool healthy_ = false;
    bool token_made_ = false;
};

Result<void> Up::choose_address() {
    Settings& settings = context_.settings();
    if (!http::is_loopback(settings.queen) && options_.host.empty()) {
        return fail(
            Errc::invalid_argument,
            fmt::format(
                "'up' starts a queen on this machine, but {} ({}) is another one; give --host to "
                "listen for others",
                settings.queen_url,
                settings.queen_source
            )
        );
    }
    bind_host_ = options_.host.empty() ? settings.queen.host : options_.host;
    if (bind_host_.empty() || bind_host_ == "localhost") {
        bind_host_ = "127.0.0.1";
    }
    settings.queen.unix_path.clear();
    settings.queen.host =
        bind_host_ == "0.0.0.0" ? "127.0.0.1" : (bind_host_ == "::" ? "::1" : bind_host_);
    settings.queen.port = options_.port.value_or(settings.queen.port);
    settings.queen_url = settings.queen.to_string();
    return {};
}

Result<void> Up::prepare_home() {
    const fs::path& home = context_.settings().home;
    for (const fs::path& folder : {home, home / "logs", home / "run", home / "models"}) {
        if (const auto made = make_private_folder(folder); !made) {
            return made;
        }
    }
    return {};
}

Result<void> Up::prepare_token() {
    Settings& settings = context_.settings();
    if (!settings.token.empty()) {
        return {};
    }
    const std::string path = settings.token_file().string();
    auto stored = auth::store_token_file(path, auth::make_token());
    if (!stored) {
        return stored;
    }
    auto token = auth::load_token_file(path);
    if (!token) {
        return error_of(token);
    }
    settings.token = std::move(*token);
    settings.token_source = path;
    settings.token_path = path;
    token_made_ = true;
    return {};
}

Result<void> Up::lock() {
    const fs::path path = context_.settings().home / "run" / "up.lock";
    lock_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_.valid()) {
        return fail(
            Errc::io,
            fmt::format("cannot open {}: {}", path.string(), std::generic_category().message(errno))
        );
    }
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
        return fail(Errc::conflict, "another 'rbee up' is running", "ALREADY_STARTING");
    }
    return {};
}

Environment Up::child_environment() const {
    const Settings& settings = context_.settings();
    std::error_code ignored;
    Environment out = context_.environment()
                          .with("RBEE_HOME", fs::absolute(settings.home, ignored).string())
                          .with("LLORCH_API_TOKEN_FILE", std::nullopt)
                          .with("LLORCH_API_TOKEN", std::nullopt);
    if (!settings.token_path.empty()) {
        const std::string path = fs::absolute(settings.token_path, ignored).string();
        out = out.with("LLORCH_API_TOKEN_FILE", path);
    }
    if (!options_.models_dir.empty()) {
        out = out.with("RBEE_MODELS_DIR", fs::absolute(options_.models_dir, ignored).string());
    }
    return out;
}

Result<void> Up::start() {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    const Settings& settings = context_.settings();
    DaemonCommand command;
    command.program = (self.parent_path() / "queen-rbee").string();
    command.arguments = {"--host", bind_host_, "--port", std::to_string(settings.queen.port)};
    command.environment = child_environment().entries();
    command.log = settings.queen_log();
    UniqueFd token;
    if (settings.token_path.empty()) { // it has no file that the queen could read
        auto handed = auth::hand_over(settings.token);
        if (!handed) {
            return error_of(handed);
        }
        token = std::move(*handed);
        command.inherit = {{.parent_fd = token.get(), .child_fd = token_child_fd}};
        command.arguments.insert(
            command.arguments.end(), {"--token-fd", std::to_string(token_child_fd)}
        );
    }
    const auto size = fs::file_size(command.log, error);
    log_offset_ = error ? 0 : size;
    const auto pid = start_daemon(command);
    if (!pid) {
        return std::unexpected(Error{
            pid.error().code,
            pid.error().what + "; the programs of rbee belong into one folder",
            "QUEEN_NOT_STARTED"
        });
    }
    queen_ = {*pid, process::start_ticks_of(*pid).value_or(0), settings.queen_url};
    return write_pid_file(settings.pid_file(), queen_);
}

Result<void> Up::still_alive() {
    int status = 0;
    if (::waitpid(queen_.pid, &status, WNOHANG) != queen_.pid) {
        return {};
    }
    std::error_code ignored;
    fs::remove(context_.settings().pid_file(), ignored);
    std::string line = last_line(context_.settings().queen_log(), log_offset_);
    if (line.empty()) {
        line = WIFEXITED(status) ? fmt::format("exit code {}", WEXITSTATUS(status))
                                 : fmt::format("killed by signal {}", WTERMSIG(status));
    }
    return fail(
        Errc::unavailable,
        fmt::format(
            "the queen ended while it started: {} (its log: {})",
            one_line(line),
            context_.settings().queen_log().string()
        ),
        "QUEEN_NOT_STARTED"
    );
}

/// True once a hive is there. Errors are those that waiting cannot cure.
asio::awaitable<Result<bool>> Up::serving() {
    if (!healthy_) {
        const auto health = co_await context_.probe("/health", health_limit);
        healthy_ = health.has_value();
    }
    if (!healthy_) {
        co_return false;
    }
    const auto status = co_await context_.probe("/v1/status", std::chrono::seconds(2));
    if (!status) {
        if (status.error().code == Errc::unauthenticated) {
            co_return error_of(status);
        }
        co_return false;
    }
    const auto hives = list_of(*status, {"hives"});
    co_return std::ranges::any_of(hives, hive_available);
}

Error Up::too_late() const {
    if (healthy_) {
        return {
            Errc::timeout,
            fmt::format(
                "the queen serves, but no hive was available within {} s; 'rbee hives list' shows "
                "why",
                options_.timeout_s
            ),
            "HIVE_NOT_AVAILABLE"
        };
    }
    return {
        Errc::timeout,
        fmt::format(
            "the queen did not answer within {} s; its log: {}",
            options_.timeout_s,
            context_.settings().queen_log().string()
        ),
        "QUEEN_NOT_STARTED"
    };
}

asio::awaitable<Result<void>> Up::wait_until_serving() {
    const TimePoint begin = context_.clock().now();
    const TimePoint due = begin + std::chrono::seconds(options_.timeout_s);
    while (!context_.interrupted()) {
        if (const auto alive = still_alive(); !alive) {
            co_return alive;
        }
        const auto ready = co_await serving();
        if (!ready) {
            co_return error_of(ready);
        }
        if (*ready) {
            context_.console().clear_progress();
            co_return Result<void>();
        }
        const TimePoint now = context_.clock().now();
        if (now >= due) {
            co_return std::unexpected(too_late());
        }
        context_.console().progress(fmt::format(
            "{} {:.1f} s",
            healthy_ ? "queen is up, waiting for its hive" : "starting the queen",
            std::chrono::duration<double>(now - begin).count()
        ));
        co_await context_.sleep(poll_interval);
    }
    co_return fail(Errc::cancelled, "interrupted");
}

void Up::report(bool already_running) {
    const Settings& settings = context_.settings();
    if (context_.options().json) {
        context_.print_json(
            {{"url", settings.queen_url},
             {"already_running", already_running},
             {"pid", already_running ? json::value(nullptr) : json::value(queen_.pid)},
             {"token_file",
              settings.token_path.empty() ? json::value(nullptr) : json::value(settings.token_path)
             },
             {"log", settings.queen_log().string()}}
        );
        return;
    }
    const std::string token =
        settings.token_path.empty() ? "from " + settings.token_source : settings.token_path;
    context_.console().out(fmt::format(
        "{}  {}\ntoken    {}{}\nstop it  {}\n",
        already_running ? "running already" : "serving",
        settings.queen_url,
        settings.token.empty() ? "none" : token,
        token_made_ ? " (new, mode 0600)" : "",
        options_.foreground && !already_running ? "Ctrl+C" : "rbee down"
    ));
}

asio::awaitable<Result<int>> Up::stay() {
    while (!context_.interrupted()) {
        if (const auto alive = still_alive(); !alive) {
            co_return error_of(alive);
        }
        co_await context_.sleep(poll_interval);
    }
    co_return context_.interrupt_code();
}

asio::awaitable<Result<int>> Up::run() {
    if (const auto address = choose_address(); !address) {
        co_return error_of(address);
    }
    context_.reconnect();
    const auto running = co_await serving();
    if (!running) {
        co_return error_of(running);
    }
    if (healthy_) {
        report(true);
        co_return 0;
    }
    for (const auto step : {&Up::prepare_home, &Up::lock, &Up::prepare_token, &Up::start}) {
        if (const auto done = (this->*step)(); !done) {
            co_return error_of(done);
        }
    }
    context_.reconnect();
    const auto serves = co_await wait_until_serving();
    if (!serves) {
        if (!healthy_) {
            send_signal(open_process(queen_), SIGTERM); // a queen nobody can reach is of no use
        }
        co_return error_of(serves);
    }
    report(false);
    if (options_.foreground) {
        const auto code = co_await stay();
        co_return code;
    }
    co_return 0;
}

} // namespace

std::unique_ptr<Command> make_up(Context& context, UpOptions options) {
    return std::make_unique<Up>(context, std::move(options));
}

} // namespace rbee::cli
