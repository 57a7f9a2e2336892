#include "rbee/api/types.hpp"

#include "rbee/api/json.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>

#include <utility>

namespace rbee::api {

namespace json = boost::json;

namespace {

/// Reads members one after the other and remembers the first failure, so that a contract with many
/// fields reads as a list.
class Reader {
public:
    explicit Reader(const json::object& object) : object_(object) {}

    void text(std::string_view field, std::string& into) {
        if (auto value = take(get_string(object_, field))) {
            into = std::move(*value);
        }
    }
    void optional_text(std::string_view field, std::optional<std::string>& into) {
        into = take(get_string(object_, field));
    }
    void required_text(std::string_view field, std::string& into) {
        auto value = require_string(object_, field);
        if (value) {
            into = std::move(*value);
        } else {
            note(value.error());
        }
    }
    template <typename Number>
    void number(std::string_view field, Number& into) {
        if (const auto value = take(get_unsigned(object_, field))) {
            into = narrow<Number>(field, *value);
        }
    }
    template <typename Number>
    void optional_number(std::string_view field, std::optional<Number>& into) {
        if (const auto value = take(get_unsigned(object_, field))) {
            into = narrow<Number>(field, *value);
        }
    }
    void real(std::string_view field, double& into) {
        if (const auto value = take(get_number(object_, field))) {
            into = *value;
        }
    }
    void boolean(std::string_view field, bool& into) {
        if (const auto value = take(get_bool(object_, field))) {
            into = *value;
        }
    }
    void state(std::string_view field, domain::WorkerState& into) {
        const auto value = take(get_string(object_, field));
        if (!value) {
            return;
        }
        const auto state = domain::parse_worker_state(*value);
        if (state) {
            into = *state;
        } else {
            note({Errc::invalid_argument, fmt::format("{} is not a worker state", field), {}});
        }
    }
    template <typename T, typename Parse>
    void list(std::string_view field, std::vector<T>& into, Parse parse) {
        const json::value* value = object_.if_contains(field);
        if (value == nullptr || value->is_null()) {
            return;
        }
        if (!value->is_array()) {
            note({Errc::invalid_argument, fmt::format("{} must be an array", field), {}});
            return;
        }
        for (const json::value& item : value->get_array()) {
            auto parsed = parse(item);
            if (!parsed) {
                note(parsed.error().within(field));
                return;
            }
            into.push_back(std::move(*parsed));
        }
    }
    template <typename T>
    Result<T> finish(T value) {
        if (error_) {
            return std::unexpected(std::move(*error_));
        }
        return value;
    }

private:
    template <typename T>
    std::optional<T> take(Result<std::optional<T>> value) {
        if (!value) {
            note(value.error());
            return std::nullopt;
        }
        return std::move(*value);
    }
    template <typename Number>
    Number narrow(std::string_view field, std::uint64_t value) {
        if (!std::in_range<Number>(value)) {
            note({Errc::invalid_argument, fmt::format("{} is too large", field), {}});
            return {};
        }
        return static_cast<Number>(value);
    }
    void note(Error error) {
        if (!error_) {
            error_ = std::move(error);
        }
    }

    const json::object& object_;
    std::optional<Error> error_;
};

template <typename T>
json::array to_array(const std::vector<T>& items) {
    json::array out;
    out.reserve(items.size());
    for (const T& item : items) {
        out.push_back(to_json(item));
    }
    return out;
}

/// Adapts a parser of objects to array elements.
template <typename T>
auto each_object(Result<T> (*parse)(const json::object&)) {
    return [parse](const json::value& item) -> Result<T> {
        if (!item.is_object()) {
            return fail(Errc::invalid_argument, "elements must be objects");
        }
        return parse(item.get_object());
    };
}

Result<std::string> text_element(const json::value& item) {
    if (!item.is_string()) {
        return fail(Errc::invalid_argument, "elements must be strings");
    }
    return std::string(item.get_string());
}

json::value or_null(const std::optional<std::string>& text) {
    return text ? json::value(*text) : json::value(nullptr);
}

} // namespace

json::object to_json(const WorkerInfo& worker) {
    return {
        {"id", worker.id},
        {"worker_id", worker.id},
        {"url", worker.url},
        {"model_ref", worker.model_ref},
        {"model", worker.model},
        {"backend", worker.backend},
        {"device", worker.device},
        {"state", domain::to_string(worker.state)},
        {"reason", worker.reason},
        {"slots_total", worker.slots_total},
        {"slots_available", worker.slots_available},
        {"pid", worker.pid ? json::value(*worker.pid) : json::value(nullptr)},
        {"failed_health_checks", worker.failed_health_checks},
        {"restart_count", worker.restart_count},
        {"last_restart", or_null(worker.last_restart)},
        {"last_heartbeat", or_null(worker.last_heartbeat)},
        {"last_activity", worker.last_activity},
        {"started_at", worker.started_at},
        {"load_fraction", worker.load_fraction},
        {"memory_bytes", worker.memory_bytes},
    };
}

Result<WorkerInfo> worker_from_json(const json::object& object) {
    WorkerInfo worker;
    Reader read(object);
    read.required_text("id", worker.id);
    read.text("url", worker.url);
    read.required_text("model_ref", worker.model_ref);
    read.text("model", worker.model);
    read.text("backend", worker.backend);
    read.number("device", worker.device);
    read.state("state", worker.state);
    read.text("reason", worker.reason);
    read.number("slots_total", worker.slots_total);
    read.number("slots_available", worker.slots_available);
    read.optional_number("pid", worker.pid);
    read.number("failed_health_checks", worker.failed_health_checks);
    read.number("restart_count", worker.restart_count);
    read.optional_text("last_restart", worker.last_restart);
    read.optional_text("last_heartbeat", worker.last_heartbeat);
    read.text("last_activity", worker.last_activity);
    read.text("started_at", worker.started_at);
    read.real("load_fraction", worker.load_fraction);
    read.number("memory_bytes", worker.memory_bytes);
    return read.finish(std::move(worker));
}

json::object to_json(const ModelEntry& model) {
    return {
        {"id", model.id},
        {"ref", model.ref},
        {"size_bytes", model.size_bytes},
        {"state", model.state},
    };
}

Result<ModelEntry> model_from_json(const json::object& object) {
    ModelEntry model;
    Reader read(object);
    read.required_text("id", model.id);
    read.text("ref", model.ref);
    read.number("size_bytes", model.size_bytes);
    read.text("state", model.state);
    return read.finish(std::move(model));
}

json::object to_json(const BackendInfo& backend) {
    return {
        {"backend", backend.backend},
        {"available", backend.available},
        {"device", backend.device},
        {"name", backend.name},
        {"memory_total_bytes", backend.memory_total_bytes},
        {"memory_available_bytes", backend.memory_available_bytes},
    };
}

Result<BackendInfo> backend_from_json(const json::object& object) {
    BackendInfo backend;
    Reader read(object);
    read.required_text("backend", backend.backend);
    read.boolean("available", backend.available);
    read.number("device", backend.device);
    read.text("name", backend.name);
    read.number("memory_total_bytes", backend.memory_total_bytes);
    read.number("memory_available_bytes", backend.memory_available_bytes);
    return read.finish(std::move(backend));
}

json::object to_json(const HiveReport& report) {
    return {
        {"hive_id", report.hive_id},
        {"url", report.url},
        {"version", report.version},
        {"timestamp", report.timestamp},
        {"workers", to_array(report.workers)},
        {"models", to_array(report.models)},
        {"backends", to_array(report.backends)},
        {"ram_total_bytes", report.ram_total_bytes},
        {"ram_available_bytes", report.ram_available_bytes},
        {"disk_total_bytes", report.disk_total_bytes},
        {"disk_available_bytes", report.disk_available_bytes},
    };
}

Result<HiveReport> report_from_json(const json::object& object) {
    HiveReport report;
    Reader read(object);
    read.required_text("hive_id", report.hive_id);
    read.required_text("url", report.url);
    read.text("version", report.version);
    read.text("timestamp", report.timestamp);
    read.list("workers", report.workers, each_object(&worker_from_json));
    read.list("models", report.models, each_object(&model_from_json));
    read.list("backends", report.backends, each_object(&backend_from_json));
    read.number("ram_total_bytes", report.ram_total_bytes);
    read.number("ram_available_bytes", report.ram_available_bytes);
    read.number("disk_total_bytes", report.disk_total_bytes);
    read.number("disk_available_bytes", report.disk_available_bytes);
    return read.finish(std::move(report));
}

json::object to_json(const SpawnRequest& request) {
    json::object out{{"model_ref", request.model_ref}, {"backend", request.backend}};
    if (request.device) {
        out["device"] = *request.device;
    }
    if (request.slots) {
        out["slots"] = *request.slots;
    }
    if (!request.engine_args.empty()) {
        out["engine_args"] = json::array(request.engine_args.begin(), request.engine_args.end());
    }
    if (!request.node.empty()) {
        out["node"] = request.node;
    }
    return out;
}

Result<SpawnRequest> spawn_from_json(const json::object& object) {
    SpawnRequest request;
    Reader read(object);
    read.required_text("model_ref", request.model_ref);
    read.text("backend", request.backend);
    read.optional_number("device", request.device);
    read.optional_number("slots", request.slots);
    read.list("engine_args", request.engine_args, text_element);
    read.text("node", request.node);
    return read.finish(std::move(request));
}

json::object to_json(const ReadyNotice& notice) {
    return {
        {"worker_id", notice.worker_id},
        {"url", notice.url},
        {"model_ref", notice.model_ref},
        {"backend", notice.backend},
        {"device", notice.device},
        {"state", domain::to_string(notice.state)},
        {"slots_total", notice.slots_total},
        {"reason", notice.reason},
    };
}

Result<ReadyNotice> ready_from_json(const json::object& object) {
    ReadyNotice notice;
    Reader read(object);
    read.required_text("worker_id", notice.worker_id);
    read.required_text("url", notice.url);
    read.required_text("model_ref", notice.model_ref);
    read.required_text("backend", notice.backend);
    read.number("device", notice.device);
    read.state("state", notice.state);
    read.number("slots_total", notice.slots_total);
    read.text("reason", notice.reason);
    return read.finish(std::move(notice));
}

} // namespace rbee::api
