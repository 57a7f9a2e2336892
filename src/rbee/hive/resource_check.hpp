#pragma once

#include "rbee/api/types.hpp"
#include "rbee/hive/machine.hpp"
#include "rbee/hive/model_provider.hpp"
#include "rbee/hive/preflight.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rbee::hive {

/// Where a worker goes.
struct Place {
    std::uint32_t device = 0;
    std::vector<unsigned> cpus; ///< Processors it is bound to; empty: all.
};

/// Looks at this machine before a worker is started: is there room for it, and where (behaviour.md
/// 4.3). Belongs to one loop.
class ResourceCheck {
public:
    struct Dependencies {
        const Settings& settings;
        Machine& machine;
        const Supervisor& supervisor;
        const telemetry::Logger& log;
    };

    explicit ResourceCheck(Dependencies dependencies) : with_(dependencies) {}

    /// What a worker would need.
    struct Need {
        std::string model_ref;
        std::uint64_t model_bytes = 0;
        std::string backend;
        std::optional<std::uint32_t> device; ///< Absent: the one with most free memory.
        std::string correlation_id;          ///< For the log; may be empty.
        std::vector<unsigned> cpus = {};     ///< Where it is bound already: it stays there.
    };

    /// Checks everything, and memory once more at the very end, because asking GPUs takes time.
    /// Start the worker in the same turn of the loop: what else starts meanwhile is counted in.
    [[nodiscard]] boost::asio::awaitable<Checked<Place>> check(Need need);

private:
    [[nodiscard]] PreflightInput input_for(const Need& need, const Machine::Snapshot& there) const;
    [[nodiscard]] std::uint64_t unpromised(std::uint64_t ram_available) const;
    [[nodiscard]] Place place(const Need& need, std::uint32_t device) const;

    Dependencies with_;
};

} // namespace rbee::hive
