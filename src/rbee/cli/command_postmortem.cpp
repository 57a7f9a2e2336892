#include "rbee/base/text.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/cli/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// The last `count` lines of `text`.
std::string_view last_lines(std::string_view text, std::size_t count) {
    text = text.substr(0, text.find_last_not_of('\n') + 1);
    std::size_t at = text.size();
    for (std::size_t i = 0; i < count && at != std::string_view::npos && at > 0; ++i) {
        at = text.rfind('\n', at - 1);
    }
    const bool all = at == std::string_view::npos || at == 0;
    return count == 0 ? std::string_view() : text.substr(all ? 0 : at + 1);
}

class WorkersPostmortem final : public Command {
public:
    WorkersPostmortem(Context& context, WorkersPostmortemOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const auto death =
            co_await context_.get("/v1/workers/" + percent_encode(options_.id) + "/postmortem");
        if (!death) {
            co_return error_of(death);
        }
        if (context_.options().json) {
            context_.print_json(*death);
        } else {
            show(*death);
        }
        co_return 0;
    }

private:
    void line(std::string_view label, const std::string& text) {
        if (!text.empty()) {
            context_.console().out(fmt::format("{:<10}{}\n", label, one_line(text)));
        }
    }

    void show(const json::object& death) {
        const auto now = context_.clock().wall();
        const std::string age = age_of(text_of(death, "died_at"), now);
        const auto up = std::chrono::milliseconds(
            static_cast<std::int64_t>(number_of(death, "uptime_ms").value_or(0))
        );
        line(
            "Worker",
            fmt::format(
                "{} ({}, {} {})",
                text_of(death, "worker_id"),
                text_of(death, "model"),
                text_of(death, "backend"),
                number_of(death, "device").value_or(0)
            )
        );
        line(
            "Died",
            fmt::format(
                "{} ({}), up for {}",
                age == "now" ? "just now" : age + " ago",
                text_of(death, "died_at"),
                human_duration(std::chrono::duration_cast<std::chrono::seconds>(up))
            )
        );
        line("How", text_of(death, "summary"));
        line("Cause", text_of(death, "cause"));
        line("Evidence", text_of(death, "oom_evidence"));
        line("State", text_of(death, "state"));
        show_usage(death);
        show_requests(death);
        show_earlier(death);
        show_log(death);
    }

    void show_usage(const json::object& death) {
        const json::object* usage = object_of(death, "usage");
        if (usage == nullptr) {
            return;
        }
        const auto seconds = [usage](std::string_view field) {
            return static_cast<double>(number_of(*usage, field).value_or(0)) / 1000;
        };
        line(
            "Used",
            fmt::format(
                "{} of memory at most, {:.1f} s of CPU and {:.1f} s in the kernel",
                human_bytes(number_of(*usage, "peak_memory_bytes").value_or(0)),
                seconds("user_ms"),
                seconds("system_ms")
            )
        );
    }

    void show_requests(const json::object& death) {
        const json::value* requests = death.if_contains("requests");
        if (requests == nullptr || !requests->is_array()) {
            return;
        }
        for (const json::value& id : requests->get_array()) {
            if (id.is_string()) {
                line("Request", std::string(id.get_string()));
            }
        }
    }

    void show_earlier(const json::object& death) {
        for (const json::object& other : list_of(death, {"earlier"})) {
            line("Before", text_of(other, "died_at") + "  " + text_of(other, "summary"));
        }
    }

    void show_log(const json::object& death) {
        const std::string log = text_of(death, "log");
        const std::string_view end = last_lines(log, options_.log_lines);
        if (!end.empty()) {
            context_.console().out(fmt::format("\n{}\n", without_controls(end)));
        }
    }

    Context& context_;
    WorkersPostmortemOptions options_;
};

} // namespace

std::unique_ptr<Command>
make_workers_postmortem(Context& context, WorkersPostmortemOptions options) {
    return std::make_unique<WorkersPostmortem>(context, std::move(options));
}

} // namespace rbee::cli
