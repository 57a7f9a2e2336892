#include "rbee/cli/commands.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/cli/table.hpp"
#include "rbee/cli/tables.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

constexpr Duration probe_limit = std::chrono::seconds(3);

class ModelsList final : public Command {
public:
    explicit ModelsList(Context& context) : context_(context) {}

    asio::awaitable<Result<int>> run() override {
        const auto answer = co_await context_.get("/v1/models");
        if (!answer) {
            co_return error_of(answer);
        }
        if (context_.options().json) {
            context_.print_json(*answer);
        } else {
            const auto rows = list_of(*answer, {"data", "models"});
            context_.console().out(models_table(rows, context_.console()));
        }
        co_return 0;
    }

private:
    Context& context_;
};

class WorkersList final : public Command {
public:
    WorkersList(Context& context, WorkersListOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const auto answer = co_await context_.get("/v1/workers");
        if (!answer) {
            co_return error_of(answer);
        }
        auto rows = list_of(*answer, {"workers", "data"});
        if (!options_.node.empty()) {
            std::erase_if(rows, [&](const auto& worker) {
                return node_of(worker) != options_.node;
            });
        }
        if (context_.options().json) {
            context_.print_json({{"workers", json::array(rows.begin(), rows.end())}});
        } else if (options_.health) {
            context_.console().out(health_table(rows, context_.console()));
        } else {
            const auto now = context_.clock().wall();
            context_.console().out(workers_table(rows, now, context_.console()));
        }
        co_return 0;
    }

private:
    Context& context_;
    WorkersListOptions options_;
};

class HivesList final : public Command {
public:
    explicit HivesList(Context& context) : context_(context) {}

    asio::awaitable<Result<int>> run() override {
        const auto answer = co_await context_.get("/v1/hives");
        if (!answer) {
            co_return error_of(answer);
        }
        if (context_.options().json) {
            context_.print_json(*answer);
        } else {
            const auto rows = list_of(*answer, {"hives", "nodes", "data"});
            const auto now = context_.clock().wall();
            context_.console().out(hives_table(rows, now, context_.console()));
        }
        co_return 0;
    }

private:
    Context& context_;
};

/// Everything at a glance; exit code 1 when the queen does not answer.
class Status final : public Command {
public:
    explicit Status(Context& context) : context_(context) {}

    asio::awaitable<Result<int>> run() override {
        const auto answer = co_await context_.probe("/v1/status", probe_limit);
        if (!answer) {
            co_return error_of(answer);
        }
        json::object status = *answer;
        status["queen_url"] = context_.settings().queen_url;
        if (context_.options().json) {
            context_.print_json(status);
        } else {
            show(status);
        }
        co_return 0;
    }

private:
    void show(const json::object& status) {
        Console& console = context_.console();
        const auto now = context_.clock().wall();
        const auto number = [&status](std::string_view field) {
            return number_of(status, field).value_or(0);
        };
        const auto uptime = std::chrono::seconds(static_cast<std::int64_t>(number("uptime_s")));
        console.out(fmt::format(
            "{} {}  {}  version {}\n{} {} running, {} of {} waiting\n\n{}\n{}\n{}",
            console.paint(Console::Colour::bold, "Queen"),
            console.paint(Console::Colour::green, "up " + human_duration(uptime)),
            context_.settings().queen_url,
            one_line(text_of(status, "version")),
            console.paint(Console::Colour::bold, "Requests"),
            number("in_flight"),
            number("queue_depth"),
            number("queue_capacity"),
            hives_table(list_of(status, {"hives"}), now, console),
            workers_table(list_of(status, {"workers"}), now, console),
            models_table(list_of(status, {"models"}), console)
        ));
    }

    Context& context_;
};

class Version final : public Command {
public:
    explicit Version(Context& context) : context_(context) {}

    asio::awaitable<Result<int>> run() override {
        const auto health = co_await context_.probe("/health", std::chrono::seconds(1));
        const std::string queen = health ? text_of(*health, "version") : std::string();
        if (context_.options().json) {
            context_.print_json(
                {{"client", RBEE_VERSION},
                 {"queen", queen.empty() ? json::value(nullptr) : json::value(queen)},
                 {"queen_url", context_.settings().queen_url}}
            );
        } else {
            context_.console().out(fmt::format(
                "rbee   {}\nqueen  {} ({})\n",
                RBEE_VERSION,
                queen.empty() ? "not reachable" : one_line(queen),
                context_.settings().queen_url
            ));
        }
        co_return 0;
    }

private:
    Context& context_;
};

} // namespace

std::unique_ptr<Command> make_models_list(Context& context) {
    return std::make_unique<ModelsList>(context);
}

std::unique_ptr<Command> make_workers_list(Context& context, WorkersListOptions options) {
    return std::make_unique<WorkersList>(context, std::move(options));
}

std::unique_ptr<Command> make_hives_list(Context& context) {
    return std::make_unique<HivesList>(context);
}

std::unique_ptr<Command> make_status(Context& context) {
    return std::make_unique<Status>(context);
}

std::unique_ptr<Command> make_version(Context& context) {
    return std::make_unique<Version>(context);
}

} // namespace rbee::cli
