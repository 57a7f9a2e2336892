#include "rbee/audit/cursor.hpp"
#include "rbee/audit/files.hpp"
#include "rbee/audit/init.hpp"
#include "rbee/audit/settings.hpp"
#include "rbee/cli/audit_folders.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/printable.hpp"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

class AuditInit final : public Command {
public:
    AuditInit(Context& context, AuditInitOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        if (options_.log.service.empty()) {
            co_return fail(
                Errc::invalid_argument,
                "--service is needed: queen-rbee, rbee-hive or the id of a worker"
            );
        }
        const std::string folder = options_.log.dir.empty()
                                       ? audit_base(context_) + "/" + options_.log.service
                                       : options_.log.dir;
        const auto first = audit::init_key(folder, options_.log.service, context_.clock().wall());
        if (!first) {
            co_return error_of(first);
        }
        const Secret text = first->format();
        if (context_.options().json) {
            context_.print_json({{"folder", folder}, {"key", text.expose()}, {"seq", first->seq}});
            co_return 0;
        }
        context_.console().out(std::string(text.expose()) + "\n");
        context_.console().status(
            "audit",
            "keep this on another machine; it cannot be shown again, and `rbee audit "
            "verify --key-file` needs it"
        );
        co_return 0;
    }

private:
    Context& context_;
    AuditInitOptions options_;
};

/// A time, or how long ago.
Result<std::optional<WallTime>> read_time(const std::string& text, WallTime now) {
    if (text.empty()) {
        return std::optional<WallTime>();
    }
    if (const auto time = parse_rfc3339(text)) {
        return std::optional<WallTime>(*time);
    }
    const auto ago = parse_lifetime(text);
    if (!ago) {
        return fail(
            Errc::invalid_argument,
            text + ": must be a time such as 2026-01-31T08:00:00Z, or how long ago, such as 2h"
        );
    }
    return std::optional<WallTime>(now - *ago);
}

/// "path=/v1/models reason=…" in the order of the record.
std::string details_of(const json::object& record) {
    std::string out;
    const json::object* details = object_of(record, "details");
    if (details == nullptr) {
        return out;
    }
    for (const auto& member : *details) {
        const json::value& value = member.value();
        const std::string text =
            value.is_string() ? std::string(value.get_string()) : json::serialize(value);
        out += fmt::format("{}{}={}", out.empty() ? "" : " ", std::string(member.key()), text);
    }
    return out;
}

class AuditShow final : public Command {
public:
    AuditShow(Context& context, AuditShowOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const WallTime now = context_.clock().wall();
        auto since = read_time(options_.since, now);
        auto until = read_time(options_.until, now);
        auto folders = audit_folders(context_, options_.log);
        if (!since || !until || !folders) {
            co_return !since ? error_of(since) : (!until ? error_of(until) : error_of(folders));
        }
        const audit::Filter filter{
            *since, *until, options_.type, options_.actor, options_.correlation_id
        };
        std::vector<audit::Cursor> cursors;
        for (const std::string& folder : *folders) {
            auto cursor = audit::Cursor::open(folder);
            if (!cursor) {
                co_return error_of(cursor);
            }
            cursors.push_back(std::move(*cursor));
        }
        bool first = true;
        do {
            show(cursors, filter, first ? options_.last : std::nullopt);
            first = false;
            if (options_.follow) {
                co_await context_.sleep(std::chrono::milliseconds(200));
            }
        } while (options_.follow && !context_.interrupted());
        co_return 0;
    }

private:
    void show(
        std::vector<audit::Cursor>& cursors,
        const audit::Filter& filter,
        std::optional<std::uint32_t> last
    ) {
        for (audit::Cursor& cursor : cursors) {
            std::deque<json::object> kept;
            while (auto record = cursor.next(filter)) {
                if (!last) {
                    print(*record);
                    continue;
                }
                kept.push_back(std::move(*record));
                if (kept.size() > *last) {
                    kept.pop_front();
                }
            }
            for (const json::object& record : kept) {
                print(record);
            }
        }
    }

    void print(const json::object& record) {
        if (context_.options().json) {
            context_.print_json(record);
            return;
        }
        const std::string id = text_of(record, "correlation_id");
        context_.console().out(fmt::format(
            "{}  {:<16}  {:<28}  {:<14}  {}{}\n",
            one_line(text_of(record, "timestamp")),
            one_line(text_of(record, "service_id")),
            one_line(text_of(record, "event_type")),
            one_line(text_of(record, "actor")),
            one_line(details_of(record)),
            id.empty() ? "" : "  id=" + one_line(id)
        ));
    }

    Context& context_;
    AuditShowOptions options_;
};

} // namespace

std::string audit_base(const Context& context) {
    return context.environment()("LLORCH_AUDIT_DIR").value_or(std::string(audit::usual_dir));
}

Result<std::vector<std::string>> audit_folders(const Context& context, const AuditLogOptions& log) {
    if (!log.dir.empty()) {
        return std::vector<std::string>{log.dir};
    }
    const std::string base = audit_base(context);
    if (!log.service.empty()) {
        return std::vector<std::string>{base + "/" + log.service};
    }
    auto found = audit::find_logs(base);
    if (found.empty()) {
        return fail(Errc::not_found, "there is no audit log in " + base);
    }
    return found;
}

std::unique_ptr<Command> make_audit_init(Context& context, AuditInitOptions options) {
    return std::make_unique<AuditInit>(context, std::move(options));
}

std::unique_ptr<Command> make_audit_show(Context& context, AuditShowOptions options) {
    return std::make_unique<AuditShow>(context, std::move(options));
}

} // namespace rbee::cli
