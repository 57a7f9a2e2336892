#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/base/result.hpp"
#include "rbee/config/paths.hpp"
#include "rbee/config/settings_table.hpp"
#include "rbee/telemetry/log.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::audit {

/// Base folder of all logs when nothing else is said.
inline constexpr std::string_view usual_dir = "/var/log/llama-orch/audit";

/// Whether and how a program keeps an audit log.
struct Settings {
    Mode mode = Mode::off;
    std::string dir{usual_dir};          ///< The log of a service is in a folder of its name.
    bool inference_fails_closed = false; ///< Requests are refused when they cannot be recorded.
    std::uint64_t segment_bytes_max = 10'000'000;
    std::uint32_t retention_days = 2555; ///< 0: sealed segments are never deleted.

    [[nodiscard]] bool on() const { return mode != Mode::off; }
};

/// One setting of the audit log, the same in every program.
struct SettingRow {
    config::Setting setting;
    /// Takes the text. Fails with Errc::invalid_argument, naming the setting.
    std::function<Result<void>(Settings&, const std::string& text)> apply;
};

/// All of them, in the order of --help.
[[nodiscard]] const std::vector<SettingRow>& setting_rows();

/// What variables say, for a program without a table of settings. Fails with
/// Errc::invalid_argument, naming the variable.
[[nodiscard]] Result<Settings> settings_from(const config::Environment& environment);

/// `list`, "NAME=value" each, with variables that make a child keep its log as `settings` say.
[[nodiscard]] std::vector<std::string>
with_settings(std::vector<std::string> list, const Settings& settings);

/// Opens the log of `service`; null when it is off. Notices of the writer go to `log`. Errors of
/// open_log(), in one line that says which folder.
[[nodiscard]] Result<std::unique_ptr<Logger>>
open_service_log(const Settings& settings, std::string service, const telemetry::Logger& log);

} // namespace rbee::audit
