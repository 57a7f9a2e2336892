#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/secret.hpp"
#include "rbee/hive/settings.hpp"
#include "rbee/hive/supervisor.hpp"
#include "rbee/hive/worker_registry.hpp"
#include "rbee/hive/worker_state_file.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::hive {

/// Workers outlive a hive that dies (reliability.md 2.2): keeps on disk which there are, allows
/// each to go on once it stands there, and takes over those that a former hive left. With
/// `on_hive_exit = "kill"` it kills them instead. Belongs to one loop; stop() before it goes.
class Adoption {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        Supervisor& supervisor;
        WorkerRegistry& registry;
        runtime::BlockingPool& pool;
        const Settings& settings;
    };

    explicit Adoption(Dependencies dependencies);

    /// Reads the list and takes over each process on it that runs; one that ended meanwhile counts
    /// as a crash. To be called once, before requests come. Blocks for as long as the disk does.
    void take_over();
    /// Tells the workers who their hive is now and begins to keep the list. Call it when the
    /// supervisor knows the hive's URL.
    void start();
    /// A worker came, went or changed.
    void changed();
    /// Writes the list for the last time.
    [[nodiscard]] boost::asio::awaitable<void> stop();

private:
    struct Left {
        std::string id;
        std::int64_t pid = 0;
        bool stopping = false; ///< The former hive had asked it to end.
    };

    void take(SlotRecord record);
    [[nodiscard]] boost::asio::awaitable<void> greet(Left worker);
    /// True when it has accepted this hive, or is not there any more.
    [[nodiscard]] boost::asio::awaitable<bool> greet_once(const Left& worker);
    void welcome(const Left& worker, const boost::json::object& answer);
    [[nodiscard]] bool still_there(const Left& worker) const;
    [[nodiscard]] boost::asio::awaitable<void> keep();
    [[nodiscard]] boost::asio::awaitable<bool> write();
    [[nodiscard]] std::vector<SlotRecord> collect();
    [[nodiscard]] std::uint64_t ticks_of(std::int64_t pid);

    Dependencies with_;
    std::optional<WorkerStateFile> file_;
    std::string boot_id_;
    std::vector<Left> left_;
    std::size_t ungreeted_ = 0;
    TimePoint begun_;
    bool dirty_ = true;
    bool running_ = false;
    Secret written_;
    std::map<std::int64_t, std::uint64_t> ticks_; ///< By process; asked once.
    runtime::Notifier wake_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
