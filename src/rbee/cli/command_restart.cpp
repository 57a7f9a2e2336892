#include "rbee/base/text.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/load_watch.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/cli/table.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// The hive looks for room before it answers.
constexpr Duration begin_limit = std::chrono::seconds(60);

class WorkersRestart final : public Command {
public:
    WorkersRestart(Context& context, WorkersRestartOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        api::ApiClient::Request request;
        request.method = "POST";
        request.target = "/v1/workers/" + percent_encode(options_.id) + "/restart";
        auto begun = co_await context_.call(std::move(request), begin_limit);
        if (!begun) {
            co_return error_of(begun);
        }
        const std::string id = text_of(*begun, "worker_id");
        if (const std::string note = text_of(*begun, "note"); !note.empty()) {
            context_.console().status("workers", "stopped first: " + one_line(note));
        }
        // Whoever stops first is not loading yet, so its state would tell too little.
        const bool replaced = !text_of(*begun, "replaces").empty();
        if (options_.no_wait || id.empty() || !replaced) {
            report(*begun, fmt::format("worker {} is being restarted", one_line(id)));
            co_return 0;
        }
        const auto ready = co_await follow(id);
        if (!ready) {
            co_return error_of(ready);
        }
        (*begun)["state"] = ready->state;
        report(
            *begun, fmt::format("worker {} replaced by {}", one_line(options_.id), one_line(id))
        );
        co_return 0;
    }

private:
    asio::awaitable<Result<LoadState>> follow(std::string id) {
        LoadWatch::Options watching{.worker_id = std::move(id), .model = {}};
        watching.stuck_limit = std::chrono::seconds(options_.load_s);
        LoadWatch watch(context_, std::move(watching), [this](const LoadState& state) {
            context_.console().progress(progress_line(
                "loading " + state.model,
                state.fraction,
                state.note(),
                context_.console().options().columns
            ));
        });
        auto ready = co_await watch.follow();
        context_.console().clear_progress();
        co_return ready;
    }

    void report(const json::object& answer, const std::string& done) {
        if (context_.options().json) {
            context_.print_json(answer);
        } else {
            context_.console().out(done + "\n");
        }
    }

    Context& context_;
    WorkersRestartOptions options_;
};

} // namespace

std::unique_ptr<Command> make_workers_restart(Context& context, WorkersRestartOptions options) {
    return std::make_unique<WorkersRestart>(context, std::move(options));
}

} // namespace rbee::cli
