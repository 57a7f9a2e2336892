#pragma once

#include "rbee/base/secret.hpp"
#include "rbee/process/child.hpp"
#include "rbee/process/command.hpp"
#include "rbee/process/lifeline.hpp"
#include "rbee/queen/fleet.hpp"
#include "rbee/queen/hive_client.hpp"
#include "rbee/runtime/task_group.hpp"
#include "rbee/runtime/timers.hpp"
#include "rbee/telemetry/log.hpp"

#include <boost/asio/awaitable.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rbee::queen {

/// Name of the hive on the queen's machine.
inline constexpr const char* local_hive_name = "localhost";

/// The hive on this machine: uses the one that runs already, or starts one and keeps it running.
/// Belongs to the event loop; stop() before the end.
class LocalHive {
public:
    struct Settings {
        std::string binary;
        std::uint16_t port = 9200; ///< 0 = any free one.
        std::string queen_url;     ///< Where the hive reports to.
        std::string models_dir;    ///< Empty: the hive's default.
        std::optional<std::uint32_t> slots;
        std::uint64_t inference_body_mb = 16; ///< As the queen takes them.
        std::string log_path;
        std::vector<std::string> environment; ///< "NAME=value", without secrets.
        /// What the hive accepts from others: the token in this file, which it watches ...
        std::string token_file = {};
        /// ... or, without a file, what this gives at each start; empty: nothing.
        std::function<Secret()> token = nullptr;
        /// Hears the token that is made at each start for queen and hive alone.
        std::function<void(const Secret&)> grant = nullptr;
    };
    /// Descriptors that the hive inherits; -1: none.
    struct Handed {
        int lifeline = -1;
        int token = -1;
        int queen_token = -1;
    };
    struct Parts {
        Fleet& fleet;
        HiveClient& hives;
        runtime::Timers& timers;
        const telemetry::Logger& log;
    };

    LocalHive(Parts parts, Settings settings);
    LocalHive(const LocalHive&) = delete;
    LocalHive& operator=(const LocalHive&) = delete;
    ~LocalHive() = default;

    /// Adopts a healthy hive at the port, or begins to run one.
    [[nodiscard]] boost::asio::awaitable<void> start();
    /// True when the hive has reported by `due`.
    [[nodiscard]] boost::asio::awaitable<bool> wait_ready(TimePoint due);
    /// Stops the hive if it was started here: asks, then SIGTERM, then SIGKILL.
    [[nodiscard]] boost::asio::awaitable<void> stop(Duration grace);

    /// Nothing has gone wrong yet: waiting for the hive makes sense.
    [[nodiscard]] bool hopeful() const { return failures_ == 0; }

    /// What is started.
    [[nodiscard]] process::Command command(const Handed& fds) const;
    /// The token for calls to the hive that was started here; null when one was adopted.
    [[nodiscard]] const std::shared_ptr<const Secret>& link_token() const { return link_token_; }

private:
    [[nodiscard]] boost::asio::awaitable<bool> adopt();
    [[nodiscard]] boost::asio::awaitable<void> keep_running();
    [[nodiscard]] Result<void> launch();

    Fleet& fleet_;
    HiveClient& hives_;
    runtime::Timers& timers_;
    telemetry::Logger log_;
    Settings settings_;
    std::shared_ptr<const Secret> link_token_;
    int failures_ = 0; ///< Starts that failed and hives that ended unasked.
    bool adopted_ = false;
    bool stopping_ = false;
    std::unique_ptr<process::Lifeline> lifeline_;
    std::unique_ptr<process::Child> child_;
    runtime::TaskGroup tasks_;
};

} // namespace rbee::queen
