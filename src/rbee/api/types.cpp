#include "rbee/api/types.hpp"

#include "rbee/api/field_reader.hpp"
#include "rbee/domain/model_ref.hpp"
#include "rbee/domain/validate.hpp"

#include <boost/json/array.hpp>

#include <utility>

namespace rbee::api {

namespace json = boost::json;

namespace {

template <typename T>
json::array to_array(const std::vector<T>& items) {
    json::array out;
    out.reserve(items.size());
    for (const T& item : items) {
        out.push_back(to_json(item));
    }
    return out;
}

constexpr std::size_t workers_max = 4096;
constexpr std::size_t models_max = 20'000;
constexpr std::size_t backends_max = 256;
constexpr std::uint32_t slots_max = 256;
constexpr std::size_t engine_args_max = 64;
constexpr std::size_t engine_arg_bytes_max = 4096;

// Names that programs of ours tell each other. Files may have odd ones, so these are bounded texts
// and not references in the strict sense, which are for what people ask for.
constexpr domain::TextRule name_rule{.bytes_max = 4200};
constexpr domain::TextRule word_rule{.bytes_max = 128};

/// llama-server flags may hold templates and grammars, so line ends are fine.
Result<std::string> engine_argument(const json::value& item) {
    if (!item.is_string()) {
        return std::unexpected(domain::field_error("", "type(string)", "must be a string"));
    }
    std::string text(item.get_string());
    const domain::TextRule rule{.bytes_max = engine_arg_bytes_max, .lines = true, .empty = false};
    if (const auto good = domain::check_text("engine_args", text, rule); !good) {
        return std::unexpected(domain::in_field(good.error(), ""));
    }
    return text;
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
        {"next_restart", or_null(worker.next_restart)},
        {"last_exit", worker.last_exit},
        {"last_heartbeat", or_null(worker.last_heartbeat)},
        {"last_activity", worker.last_activity},
        {"started_at", worker.started_at},
        {"load_fraction", worker.load_fraction},
        {"memory_bytes", worker.memory_bytes},
        {"active_requests", worker.active_requests},
        {"deadline", or_null(worker.deadline)},
    };
}

Result<WorkerInfo> worker_from_json(const json::object& object) {
    WorkerInfo worker;
    FieldReader read(object);
    read.checked("id", worker.id, domain::check_worker_id, FieldReader::required);
    read.url("url", worker.url);
    read.text("model_ref", worker.model_ref, {.bytes_max = name_rule.bytes_max, .empty = false});
    read.text("model", worker.model, name_rule);
    read.checked("backend", worker.backend, domain::check_backend);
    read.number("device", worker.device);
    read.state("state", worker.state);
    read.prose("reason", worker.reason);
    read.number("slots_total", worker.slots_total);
    read.number("slots_available", worker.slots_available);
    read.optional_number("pid", worker.pid);
    read.number("failed_health_checks", worker.failed_health_checks);
    read.number("restart_count", worker.restart_count);
    read.optional_time("last_restart", worker.last_restart);
    read.optional_time("next_restart", worker.next_restart);
    read.prose("last_exit", worker.last_exit);
    read.optional_time("last_heartbeat", worker.last_heartbeat);
    read.time("last_activity", worker.last_activity);
    read.time("started_at", worker.started_at);
    read.fraction("load_fraction", worker.load_fraction);
    read.number("memory_bytes", worker.memory_bytes);
    read.number("active_requests", worker.active_requests);
    read.optional_time("deadline", worker.deadline);
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
    FieldReader read(object);
    read.text("id", model.id, {.bytes_max = name_rule.bytes_max, .empty = false});
    read.text("ref", model.ref, name_rule);
    read.number("size_bytes", model.size_bytes);
    read.text("state", model.state, word_rule);
    return read.finish(std::move(model));
}

json::object to_json(const BackendInfo& backend) {
    json::object out{
        {"backend", backend.backend},
        {"available", backend.available},
        {"device", backend.device},
        {"name", backend.name},
        {"memory_total_bytes", backend.memory_total_bytes},
        {"memory_available_bytes", backend.memory_available_bytes},
    };
    if (backend.temperature_c) {
        out["temperature_c"] = *backend.temperature_c;
    }
    return out;
}

Result<BackendInfo> backend_from_json(const json::object& object) {
    BackendInfo backend;
    FieldReader read(object);
    read.text("backend", backend.backend, {.bytes_max = word_rule.bytes_max, .empty = false});
    read.boolean("available", backend.available);
    read.number("device", backend.device);
    read.prose("name", backend.name);
    read.number("memory_total_bytes", backend.memory_total_bytes);
    read.number("memory_available_bytes", backend.memory_available_bytes);
    read.optional_number("temperature_c", backend.temperature_c);
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
    FieldReader read(object);
    read.checked("hive_id", report.hive_id, domain::check_node_name, FieldReader::required);
    read.url("url", report.url, FieldReader::required);
    read.text("version", report.version, word_rule);
    read.time("timestamp", report.timestamp);
    read.list("workers", report.workers, workers_max, each_object(&worker_from_json));
    read.list("models", report.models, models_max, each_object(&model_from_json));
    read.list("backends", report.backends, backends_max, each_object(&backend_from_json));
    read.number("ram_total_bytes", report.ram_total_bytes);
    read.number("ram_available_bytes", report.ram_available_bytes);
    read.number("disk_total_bytes", report.disk_total_bytes);
    read.number("disk_available_bytes", report.disk_available_bytes);
    return read.finish(std::move(report));
}

json::object to_json(const SpawnRequest& request) {
    json::object out{{"backend", request.backend}};
    if (request.model_path.empty()) {
        out["model_ref"] = request.model_ref;
    } else {
        out["model_path"] = request.model_path;
    }
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
    FieldReader read(object);
    const json::value* path = object.if_contains("model_path");
    if (path != nullptr && !path->is_null()) {
        read.checked(
            "model_path", request.model_path, domain::check_relative_path, FieldReader::required
        );
    } else {
        read.model_ref("model_ref", request.model_ref);
    }
    read.checked("backend", request.backend, domain::check_backend);
    read.optional_number("device", request.device);
    read.optional_number("slots", request.slots, {.min = 1, .max = slots_max});
    read.list("engine_args", request.engine_args, engine_args_max, engine_argument);
    read.checked("node", request.node, domain::check_node_name);
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
    FieldReader read(object);
    read.checked("worker_id", notice.worker_id, domain::check_worker_id, FieldReader::required);
    read.url("url", notice.url, FieldReader::required);
    read.text("model_ref", notice.model_ref, {.bytes_max = name_rule.bytes_max, .empty = false});
    read.checked("backend", notice.backend, domain::check_backend, FieldReader::required);
    read.number("device", notice.device);
    read.state("state", notice.state);
    read.number("slots_total", notice.slots_total);
    read.prose("reason", notice.reason);
    return read.finish(std::move(notice));
}

Result<std::string> heartbeat_from_json(const json::object& object) {
    std::string worker_id;
    std::string ignored;
    FieldReader read(object);
    read.checked("worker_id", worker_id, domain::check_worker_id, FieldReader::required);
    read.time("timestamp", ignored);
    read.text("health_status", ignored, word_rule);
    return read.finish(std::move(worker_id));
}

} // namespace rbee::api
