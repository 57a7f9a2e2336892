#pragma once

#include "rbee/base/result.hpp"
#include "rbee/hive/postmortem.hpp"
#include "rbee/runtime/blocking.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::hive {

/// Keeps the last post-mortems of each model on disk, one file (0600) each, over restarts of the
/// hive. Belongs to one loop; stop() before it goes.
class PostmortemStore {
public:
    struct Dependencies {
        runtime::Timers& timers;
        telemetry::Logger& log;
        runtime::BlockingPool& pool;
        std::string folder; ///< Made (0700) when the first worker dies.
    };
    struct Limits {
        std::size_t per_model = 10;
        std::size_t in_all = 500;
    };

    /// What is known of each without reading its file.
    struct Brief {
        std::string id; ///< Sorts by time of death.
        std::string worker_id;
        std::string model_ref;
        std::string died_at;
        std::string summary;
        bool written = false; ///< Its file is there.
    };

    PostmortemStore(Dependencies dependencies, Limits limits);
    explicit PostmortemStore(Dependencies dependencies)
        : PostmortemStore(std::move(dependencies), Limits{}) {}

    /// Learns which there are from an earlier life of the hive; others may be added meanwhile.
    [[nodiscard]] boost::asio::awaitable<void> load();

    /// Adds one: reads the end of the worker's log and writes the file in the background. Returns
    /// its id.
    std::string record(Postmortem death);

    /// The last of a worker, with those of the same model before it as `earlier` (newest first).
    /// Waits for one that is being written. Errc::not_found with POSTMORTEM_NOT_FOUND when there is
    /// none, Errc::io when it cannot be read.
    [[nodiscard]] boost::asio::awaitable<Result<boost::json::object>> find(std::string worker_id);

    /// Oldest first.
    [[nodiscard]] const std::deque<Brief>& all() const { return briefs_; }

    /// Waits until all are written.
    [[nodiscard]] boost::asio::awaitable<void> stop();

private:
    [[nodiscard]] boost::asio::awaitable<void> write(Postmortem death, std::string id);
    [[nodiscard]] std::string path_of(std::string_view id) const;
    [[nodiscard]] const Brief* last_of(std::string_view worker_id) const;
    void insert(Brief brief);
    /// Forgets what is too much, and gives the paths of the files to remove.
    [[nodiscard]] std::vector<std::string> drop_surplus();

    Dependencies with_;
    Limits limits_;
    std::deque<Brief> briefs_;
    std::uint64_t last_number_ = 0; ///< Keeps ids of one millisecond apart.
    runtime::Notifier written_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::hive
