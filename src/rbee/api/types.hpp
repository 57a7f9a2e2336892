#pragma once

#include "rbee/base/result.hpp"
#include "rbee/domain/worker_state.hpp"

#include <boost/json/object.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::api {

/// A worker as hive and queen show it (behaviour.md 4.4). Times are RFC 3339 in UTC.
struct WorkerInfo {
    std::string id;
    std::string url;       ///< Base URL of the worker itself.
    std::string model_ref; ///< As asked for, canonical.
    std::string model;     ///< Short name; what the `model` field of requests is matched with.
    std::string backend;   ///< cpu, cuda or metal.
    std::uint32_t device = 0;
    domain::WorkerState state = domain::WorkerState::loading;
    std::string reason; ///< Why it is in this state, for people; may be empty.
    std::uint32_t slots_total = 1;
    std::uint32_t slots_available = 0;
    std::optional<std::int64_t> pid;
    std::uint32_t failed_health_checks = 0;
    std::uint32_t restart_count = 0; ///< Restarts since it last was up for long enough.
    std::optional<std::string> last_restart;
    std::optional<std::string> next_restart; ///< When a restart is due, in the state backoff.
    std::string last_exit; ///< How its process ended last, one line; empty when none has.
    std::optional<std::string> last_heartbeat;
    std::string last_activity;
    std::string started_at;
    double load_fraction = 0;            ///< 0 ... 1 while loading.
    std::uint64_t memory_bytes = 0;      ///< Resident size of the process.
    std::uint32_t active_requests = 0;   ///< Those that the hive has with it now.
    std::optional<std::string> deadline; ///< The earliest of their deadlines.
};

/// A model that a hive can serve.
struct ModelEntry {
    std::string id;  ///< Short name.
    std::string ref; ///< Reference to spawn it with.
    std::uint64_t size_bytes = 0;
    std::string state; ///< available, loading or ready.
};

/// A device that workers can run on.
struct BackendInfo {
    std::string backend;
    bool available = true;
    std::uint32_t device = 0;
    std::string name;
    std::uint64_t memory_total_bytes = 0;
    std::uint64_t memory_available_bytes = 0;
    std::optional<std::uint32_t> temperature_c = {}; ///< Degrees Celsius, where the device tells.
};

/// What a hive tells the queen every 15 s and at each change.
struct HiveReport {
    std::string hive_id; ///< Node name.
    std::string url;     ///< Where the queen reaches this hive.
    std::string version;
    std::string timestamp;
    std::vector<WorkerInfo> workers;
    std::vector<ModelEntry> models;
    std::vector<BackendInfo> backends;
    std::uint64_t ram_total_bytes = 0;
    std::uint64_t ram_available_bytes = 0;
    std::uint64_t disk_total_bytes = 0;
    std::uint64_t disk_available_bytes = 0;
};

/// POST /v1/workers/spawn.
struct SpawnRequest {
    std::string model_ref;  ///< Canonical.
    std::string model_path; ///< In its place: a file below a models directory of the hive.
    std::string backend = "cpu";
    std::optional<std::uint32_t> device;
    std::optional<std::uint32_t> slots;   ///< Requests at the same time; hive default when absent.
    std::vector<std::string> engine_args; ///< llama-server flags.
    std::string node;                     ///< At the queen: which hive; empty = any.
};

/// Worker → hive: POST /v1/workers/ready, at bind (loading), when loaded (idle), or failed.
struct ReadyNotice {
    std::string worker_id;
    std::string url;
    std::string model_ref;
    std::string backend;
    std::uint32_t device = 0;
    domain::WorkerState state = domain::WorkerState::idle;
    std::uint32_t slots_total = 0; ///< 0 = not known yet.
    std::string reason;            ///< Why loading failed.
};

[[nodiscard]] boost::json::object to_json(const WorkerInfo& worker);
[[nodiscard]] boost::json::object to_json(const ModelEntry& model);
[[nodiscard]] boost::json::object to_json(const BackendInfo& backend);
[[nodiscard]] boost::json::object to_json(const HiveReport& report);
[[nodiscard]] boost::json::object to_json(const SpawnRequest& request);
[[nodiscard]] boost::json::object to_json(const ReadyNotice& notice);

/// Each checks every field it reads and fails with Errc::invalid_argument: the message tells the
/// first that is wrong, Error::fields all of them, and neither repeats a value.
/// Unknown members are ignored, so that programs of neighbouring versions understand each other.
[[nodiscard]] Result<WorkerInfo> worker_from_json(const boost::json::object& object);
[[nodiscard]] Result<ModelEntry> model_from_json(const boost::json::object& object);
[[nodiscard]] Result<BackendInfo> backend_from_json(const boost::json::object& object);
[[nodiscard]] Result<HiveReport> report_from_json(const boost::json::object& object);
[[nodiscard]] Result<SpawnRequest> spawn_from_json(const boost::json::object& object);
[[nodiscard]] Result<ReadyNotice> ready_from_json(const boost::json::object& object);
/// Worker → hive: POST /v1/heartbeat. Gives the id of the worker; the rest is only checked.
[[nodiscard]] Result<std::string> heartbeat_from_json(const boost::json::object& object);

} // namespace rbee::api
