#include "rbee/cli/tables.hpp"

#include "rbee/base/text.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/table.hpp"

#include <fmt/format.h>

namespace rbee::cli {

namespace json = boost::json;
using Align = Table::Align;

namespace {

std::string bytes_of(const json::object& object, std::string_view field) {
    const auto bytes = number_of(object, field);
    return bytes && *bytes > 0 ? human_bytes(*bytes) : "-";
}

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

std::string device_of(const json::object& worker) {
    const std::string backend = text_of(worker, "backend");
    const auto device = number_of(worker, "device");
    return device && backend != "cpu" ? fmt::format("{}:{}", backend, *device) : or_dash(backend);
}

/// "2/4": busy ones of all.
std::string slots_of(const json::object& worker) {
    const auto total = number_of(worker, "slots_total");
    const auto free = number_of(worker, "slots_available");
    return total && free && *free <= *total ? fmt::format("{}/{}", *total - *free, *total) : "-";
}

std::string state_note(const json::object& worker) {
    if (text_of(worker, "state") == "loading") {
        return fmt::format("{:.0f} %", real_of(worker, "load_fraction") * 100);
    }
    std::string reason = text_of(worker, "reason");
    const std::string last_exit = text_of(worker, "last_exit");
    if (text_of(worker, "state") == "backoff" || text_of(worker, "state") == "crashed") {
        return last_exit.empty() ? reason : last_exit;
    }
    const auto restarts = number_of(worker, "restart_count").value_or(0);
    if (reason.empty() && restarts > 0) {
        return fmt::format("restarted {}x; before: {}", restarts, last_exit);
    }
    return reason;
}

std::size_t count_of(const json::object& hive, std::string_view field) {
    if (const auto count = number_of(hive, field)) {
        return *count;
    }
    return list_of(hive, {field}).size();
}

/// Either an RFC 3339 time or Unix seconds; queens have both.
std::string seen_of(const json::object& hive, std::chrono::system_clock::time_point now) {
    const std::string text = first_text(hive, {"last_heartbeat", "last_seen", "timestamp"});
    if (!text.empty()) {
        return age_of(text, now);
    }
    for (const auto* field : {"last_report_unix", "last_heartbeat_unix", "last_connected_unix"}) {
        const auto seconds = number_of(hive, field);
        if (seconds && *seconds > 0) {
            const auto then = std::chrono::system_clock::time_point(
                std::chrono::seconds(static_cast<std::int64_t>(*seconds))
            );
            return human_age(std::chrono::duration_cast<std::chrono::seconds>(now - then));
        }
    }
    return "-";
}

} // namespace

std::string node_of(const json::object& worker) {
    return first_text(worker, {"node", "hive", "hive_id", "node_name"});
}

bool hive_available(const json::object& hive) {
    if (const json::value* flag = hive.if_contains("available");
        flag != nullptr && flag->is_bool()) {
        return flag->get_bool();
    }
    const std::string state = first_text(hive, {"state", "status"});
    return state == "available" || state == "reachable" || state == "ready" || state == "ok";
}

std::string models_table(const Rows& models, const Console& console) {
    if (models.empty()) {
        return "No models. Put a .gguf file into the models folder, or use file:/path as model.\n";
    }
    Table table({{"MODEL"}, {"STATE"}, {"SIZE", Align::right}, {"REFERENCE"}});
    for (const auto& model : models) {
        table.add(
            {text_of(model, "id"),
             or_dash(text_of(model, "state")),
             bytes_of(model, "size_bytes"),
             first_text(model, {"ref", "model_ref"})}
        );
    }
    return table.render(console);
}

std::string workers_table(
    const Rows& workers, std::chrono::system_clock::time_point now, const Console& console
) {
    if (workers.empty()) {
        return "No workers. The first request for a model starts one, or 'rbee workers spawn "
               "MODEL'.\n";
    }
    Table table(
        {{"WORKER"},
         {"NODE"},
         {"MODEL"},
         {"DEVICE"},
         {"STATE"},
         {"BUSY", Align::right},
         {"MEMORY", Align::right},
         {"UP", Align::right},
         {"LAST USE", Align::right},
         {"NOTE"}}
    );
    for (const auto& worker : workers) {
        table.add(
            {first_text(worker, {"id", "worker_id"}),
             or_dash(node_of(worker)),
             first_text(worker, {"model", "model_ref"}),
             device_of(worker),
             text_of(worker, "state"),
             slots_of(worker),
             bytes_of(worker, "memory_bytes"),
             age_of(text_of(worker, "started_at"), now),
             age_of(text_of(worker, "last_activity"), now),
             state_note(worker)}
        );
    }
    return table.render(console);
}

std::string health_table(const Rows& workers, const Console& console) {
    if (workers.empty()) {
        return "No workers.\n";
    }
    Table table({{"WORKER"}, {"NODE"}, {"STATE"}, {"READY"}, {"NOTE"}});
    for (const auto& worker : workers) {
        const std::string state = text_of(worker, "state");
        table.add(
            {first_text(worker, {"id", "worker_id"}),
             or_dash(node_of(worker)),
             state,
             state == "idle" || state == "busy" ? "yes" : "no",
             state_note(worker)}
        );
    }
    return table.render(console);
}

std::string
hives_table(const Rows& hives, std::chrono::system_clock::time_point now, const Console& console) {
    if (hives.empty()) {
        return "No hives. 'rbee up' starts one here; others: 'rbee hives add NAME URL'.\n";
    }
    Table table(
        {{"HIVE"},
         {"STATE"},
         {"URL"},
         {"VERSION"},
         {"WORKERS", Align::right},
         {"FREE MEMORY", Align::right},
         {"SEEN", Align::right},
         {"NOTE"}}
    );
    for (const auto& hive : hives) {
        table.add(
            {first_text(hive, {"name", "hive_id", "node_name"}),
             hive_available(hive) ? "available" : "unavailable",
             text_of(hive, "url"),
             or_dash(text_of(hive, "version")),
             std::to_string(count_of(hive, "workers")),
             bytes_of(hive, "ram_available_bytes"),
             seen_of(hive, now),
             hive_available(hive) ? "" : first_text(hive, {"reason", "last_error"})}
        );
    }
    return table.render(console);
}

} // namespace rbee::cli
