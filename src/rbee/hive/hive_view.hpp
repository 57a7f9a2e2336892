#pragma once

#include "rbee/api/types.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/hive/machine.hpp"
#include "rbee/hive/model_provider.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/runtime/blocking.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <string>
#include <vector>

namespace rbee::hive {

/// What a hive tells about itself: to the queen in reports, and to whoever asks its endpoints.
/// Belongs to one loop.
class HiveView {
public:
    struct Dependencies {
        const Clock& clock;
        const WorkerRegistry& registry;
        const ModelProvider& models;
        Machine& machine;
        runtime::BlockingPool& pool;
    };
    struct Identity {
        std::string name; ///< Of this node.
        std::string url;  ///< Where others reach it.
    };

    explicit HiveView(Dependencies dependencies) : with_(dependencies) {}
    void set_identity(Identity identity) { identity_ = std::move(identity); }
    [[nodiscard]] const Identity& identity() const { return identity_; }

    /// Models with their state: those found on disk, and those that workers run by path.
    [[nodiscard]] boost::asio::awaitable<std::vector<api::ModelEntry>> models();
    /// Everything, looked at anew.
    [[nodiscard]] boost::asio::awaitable<api::HiveReport> report();
    [[nodiscard]] boost::asio::awaitable<boost::json::object> backends();
    [[nodiscard]] boost::asio::awaitable<boost::json::object> resources();

private:
    Dependencies with_;
    Identity identity_;
};

/// Adds what the workers say to the models on disk. Pure.
[[nodiscard]] std::vector<api::ModelEntry>
merge_models(const std::vector<Model>& models, const std::vector<api::WorkerInfo>& workers);

} // namespace rbee::hive
