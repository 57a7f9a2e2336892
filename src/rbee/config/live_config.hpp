#pragma once

#include "rbee/base/result.hpp"
#include "rbee/config/settings_table.hpp"
#include "rbee/telemetry/log.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace rbee::config {

/// What one reading of flags, environment and file gave, valid as a whole.
struct Loaded {
    std::string path; ///< Of the file; empty when there is none.
    SettingValues values;
    std::vector<Override> overrides;
    /// What the file says beyond the table, such as settings of single models, as texts by key. All
    /// of it can change without a restart.
    std::map<std::string, std::string> extras;
    std::chrono::microseconds took{}; ///< To read and validate it.
};

/// How a reload went; for the log and for whoever keeps a record of it.
struct ReloadReport {
    std::string path; ///< Of the file; empty when there is none.
    std::string correlation_id;
    std::string previous_id;            ///< Of the load whose settings were in force before.
    std::vector<Change> applied;        ///< In force now.
    std::vector<Change> restart_needed; ///< Different from what runs, and so until a restart.
    std::optional<Error> error = {};    ///< Nothing has changed, because of this.
};

/// Hears of every reload, after it was applied or refused.
using ReloadObserver = std::function<void(const ReloadReport&)>;

/// The settings in force, and how others take their place (behaviour.md 14). Tells the log what it
/// does, without values of secrets; lines of one load share a correlation id. Belongs to one event
/// loop.
class LiveConfig {
public:
    /// `rows` must outlive it.
    LiveConfig(std::span<const Setting> rows, Loaded first, telemetry::Logger log);

    void observe(ReloadObserver observer) { observer_ = std::move(observer); }
    /// Tells the log what the program was started with: `config_loaded`, and `config_override` for
    /// each setting of the file that a variable overrides.
    void tell() const;

    /// Takes `fresh` in place of the settings in force: calls `apply`, then logs `config_reloaded`.
    /// When it is an error, or the file has gone, everything stays as it was and the log says
    /// `config_validation_failed`.
    void reload(Result<Loaded> fresh, const std::function<void()>& apply);

    /// What is in force.
    [[nodiscard]] const Loaded& running() const { return running_; }

private:
    void refuse(ReloadReport report, Error error);
    void tell_overrides(const telemetry::Logger& log) const;

    std::span<const Setting> rows_;
    Loaded running_;
    telemetry::Logger log_;
    std::string id_; ///< Of the last load that counts.
    ReloadObserver observer_;
};

} // namespace rbee::config
