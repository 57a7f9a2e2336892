#include "rbee/hive/hive_view.hpp"

#include "rbee/domain/worker_state.hpp"

#include <boost/json/array.hpp>

#include <algorithm>
#include <chrono>
#include <set>
#include <string_view>
#include <utility>

namespace rbee::hive {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

/// Memory and devices in answers may be this old: asking GPUs takes a while.
constexpr Duration look_age = std::chrono::seconds(5);

/// A model is as ready as its best worker.
std::string_view model_state(const std::vector<api::WorkerInfo>& workers, const std::string& name) {
    std::string_view state = "available";
    for (const api::WorkerInfo& worker : workers) {
        if (worker.model != name) {
            continue;
        }
        if (domain::routable(worker.state)) {
            return "ready";
        }
        if (worker.state == domain::WorkerState::loading) {
            state = "loading";
        }
    }
    return state;
}

double gigabytes(std::uint64_t bytes) {
    return static_cast<double>(bytes) / 1e9;
}

} // namespace

std::vector<api::ModelEntry>
merge_models(const std::vector<Model>& models, const std::vector<api::WorkerInfo>& workers) {
    std::vector<api::ModelEntry> out;
    out.reserve(models.size());
    for (const Model& model : models) {
        out.push_back(
            {model.name,
             model.ref.to_string(),
             model.size_bytes,
             std::string(model_state(workers, model.name))}
        );
    }
    for (const api::WorkerInfo& worker : workers) {
        const bool known = std::ranges::find(out, worker.model, &api::ModelEntry::id) != out.end();
        if (!known && domain::alive(worker.state)) {
            out.push_back(
                {worker.model, worker.model_ref, 0, std::string(model_state(workers, worker.model))}
            );
        }
    }
    return out;
}

asio::awaitable<std::vector<api::ModelEntry>> HiveView::models() {
    const std::vector<Model> found =
        co_await with_.pool.run([&models = with_.models] { return models.list(); });
    co_return merge_models(found, with_.registry.list());
}

asio::awaitable<api::HiveReport> HiveView::report() {
    api::HiveReport report;
    const std::vector<Model> found =
        co_await with_.pool.run([&models = with_.models] { return models.list(); });
    const Machine::Snapshot there = co_await with_.machine.refresh(look_age);
    // Nothing is awaited from here on: workers and models belong to the same moment.
    report.hive_id = identity_.name;
    report.url = identity_.url;
    report.version = RBEE_VERSION;
    report.timestamp = to_rfc3339(with_.clock.wall());
    report.workers = with_.registry.list();
    report.models = merge_models(found, report.workers);
    for (const Device& device : there.devices) {
        report.backends.push_back(device.info);
    }
    report.ram_total_bytes = there.resources.ram_total;
    report.ram_available_bytes = there.resources.ram_available;
    report.disk_total_bytes = there.resources.disk_total;
    report.disk_available_bytes = there.resources.disk_available;
    co_return report;
}

asio::awaitable<json::object> HiveView::backends() {
    const Machine::Snapshot there = co_await with_.machine.refresh(look_age);
    json::array list;
    std::set<std::string> available;
    for (const Device& device : there.devices) {
        json::object entry = api::to_json(device.info);
        if (!device.reason.empty()) {
            entry["reason"] = device.reason;
        }
        if (device.info.available) {
            available.insert(device.info.backend);
        }
        list.push_back(std::move(entry));
    }
    json::object out{{"backends", std::move(list)}};
    out["available"] = json::array(available.begin(), available.end());
    co_return out;
}

asio::awaitable<json::object> HiveView::resources() {
    const Machine::Snapshot there = co_await with_.machine.refresh(look_age);
    const Resources& now = there.resources;
    co_return json::object{
        {"ram_total_bytes", now.ram_total},
        {"ram_available_bytes", now.ram_available},
        {"disk_total_bytes", now.disk_total},
        {"disk_available_bytes", now.disk_available},
        {"ram_total_gb", gigabytes(now.ram_total)},
        {"ram_available_gb", gigabytes(now.ram_available)},
        {"disk_total_gb", gigabytes(now.disk_total)},
        {"disk_available_gb", gigabytes(now.disk_available)},
    };
}

} // namespace rbee::hive
