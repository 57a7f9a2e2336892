#include "rbee/api/error_body.hpp"
#include "rbee/api/types.hpp"
#include "rbee/base/text.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/load_watch.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/cli/table.hpp"

#include <fmt/format.h>

#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Starting and stopping include the work of another machine, and a worker may drain for 30 s.
constexpr Duration slow_limit = std::chrono::seconds(90);

/// The queen tries three times for up to 10 s to reach a hive.
constexpr Duration add_limit = std::chrono::seconds(60);

std::string worker_path(const std::string& id) {
    return "/v1/workers/" + percent_encode(id);
}

class WorkersSpawn final : public Command {
public:
    WorkersSpawn(Context& context, WorkersSpawnOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const auto started = co_await start();
        if (!started) {
            co_return error_of(started);
        }
        const std::string id = first_text(*started, {"worker_id", "id"});
        if (options_.no_wait || id.empty()) {
            report(*started, id, "started; its model is loading");
            co_return 0;
        }
        context_.console().status("workers", "started " + id);
        LoadWatch::Options watching{.worker_id = id, .model = {}};
        watching.stuck_limit = std::chrono::seconds(options_.load_s);
        LoadWatch watch(context_, std::move(watching), [this](const LoadState& state) {
            context_.console().progress(progress_line(
                "loading " + state.model,
                state.fraction,
                state.note(),
                context_.console().options().columns
            ));
        });
        const auto ready = co_await watch.follow();
        context_.console().clear_progress();
        if (!ready) {
            co_return error_of(ready);
        }
        json::object answer = *started;
        answer["state"] = ready->state;
        report(answer, id, "ready");
        co_return 0;
    }

private:
    asio::awaitable<Result<json::object>> start() {
        api::SpawnRequest spawn;
        spawn.model_ref = options_.model;
        spawn.backend = options_.backend;
        spawn.device = options_.device;
        spawn.slots = options_.slots;
        spawn.node = options_.node;
        spawn.engine_args = options_.engine_args;
        api::ApiClient::Request request;
        request.method = "POST";
        request.target = "/v1/workers/spawn";
        request.body = api::to_json(spawn);
        auto answer = co_await context_.call(std::move(request), slow_limit);
        co_return answer;
    }

    void report(const json::object& answer, const std::string& id, std::string_view what) {
        if (context_.options().json) {
            context_.print_json(answer);
        } else {
            context_.console().out(fmt::format("worker {} {}\n", one_line(id), what));
        }
    }

    Context& context_;
    WorkersSpawnOptions options_;
};

/// DELETE of one thing, with a sentence when done.
class Remove final : public Command {
public:
    Remove(Context& context, std::string target, std::string done)
        : context_(context), target_(std::move(target)), done_(std::move(done)) {}

    asio::awaitable<Result<int>> run() override {
        api::ApiClient::Request request;
        request.method = "DELETE";
        request.target = target_;
        const auto answer = co_await context_.call(std::move(request), slow_limit);
        if (!answer) {
            co_return error_of(answer);
        }
        if (context_.options().json) {
            context_.print_json({{"success", true}, {"message", done_}});
        } else {
            context_.console().out(done_ + "\n");
        }
        co_return 0;
    }

private:
    Context& context_;
    std::string target_;
    std::string done_;
};

class HivesAdd final : public Command {
public:
    HivesAdd(Context& context, HivesAddOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        if (const auto url = http::parse_endpoint(options_.url); !url) {
            co_return error_of(url);
        }
        api::ApiClient::Request request;
        request.method = "POST";
        request.target = "/v1/hives";
        request.body = json::object{{"name", options_.name}, {"url", options_.url}};
        const auto answer = co_await context_.call(std::move(request), add_limit);
        if (!answer) {
            co_return error_of(answer);
        }
        if (context_.options().json) {
            context_.print_json(*answer);
            co_return 0;
        }
        context_.console().out(fmt::format("hive {} added ({})\n", options_.name, options_.url));
        show_warnings(*answer);
        co_return 0;
    }

private:
    void show_warnings(const json::object& answer) {
        const json::value* warnings = answer.if_contains("warnings");
        if (warnings == nullptr || !warnings->is_array()) {
            return;
        }
        for (const json::value& warning : warnings->get_array()) {
            if (warning.is_string()) {
                context_.console().status("hives", one_line(warning.get_string()));
            }
        }
    }

    Context& context_;
    HivesAddOptions options_;
};

class WorkersLogs final : public Command {
public:
    WorkersLogs(Context& context, WorkersLogsOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        http::ClientRequest request;
        request.target = fmt::format(
            "{}/logs?tail={}{}",
            worker_path(options_.id),
            options_.tail,
            options_.follow ? "&follow=1" : ""
        );
        http::CallOptions limits;
        limits.cancel = &context_.interrupt();
        if (options_.follow) {
            limits.body_limit = std::chrono::hours(24 * 365); // a quiet worker is no failure
        }
        const auto opened = co_await context_.queen().open(std::move(request), limits);
        if (!opened) {
            co_return error_of(opened);
        }
        http::ResponseStream& stream = **opened;
        const int status = stream.head().status;
        std::string text;
        while (true) {
            const auto bytes = co_await stream.next();
            if (!bytes) {
                co_return error_of(bytes);
            }
            if (bytes->empty()) {
                break;
            }
            text.append(*bytes);
            if (status < 400 && !context_.options().json) {
                context_.console().out_streamed(text);
                text.clear();
            } else if (status < 400 && options_.follow) {
                print_lines(text);
            }
        }
        if (status >= 400) {
            co_return std::unexpected(api::error_from_response(status, text));
        }
        if (context_.options().json) {
            text += text.empty() || text.ends_with('\n') ? "" : "\n";
            print_lines(text);
        }
        co_return 0;
    }

private:
    /// One object for each whole line, so that following works as JSON lines.
    void print_lines(std::string& text) {
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            context_.print_json({{"worker_id", options_.id}, {"line", text.substr(0, end)}});
            text.erase(0, end + 1);
        }
    }

    Context& context_;
    WorkersLogsOptions options_;
};

} // namespace

std::unique_ptr<Command> make_workers_spawn(Context& context, WorkersSpawnOptions options) {
    return std::make_unique<WorkersSpawn>(context, std::move(options));
}

std::unique_ptr<Command> make_workers_stop(Context& context, const WorkersStopOptions& options) {
    return std::make_unique<Remove>(
        context, worker_path(options.id), "worker " + options.id + " stopped"
    );
}

std::unique_ptr<Command> make_workers_logs(Context& context, WorkersLogsOptions options) {
    return std::make_unique<WorkersLogs>(context, std::move(options));
}

std::unique_ptr<Command> make_hives_add(Context& context, HivesAddOptions options) {
    return std::make_unique<HivesAdd>(context, std::move(options));
}

std::unique_ptr<Command> make_hives_remove(Context& context, const HivesRemoveOptions& options) {
    return std::make_unique<Remove>(
        context, "/v1/hives/" + percent_encode(options.name), "hive " + options.name + " removed"
    );
}

} // namespace rbee::cli
