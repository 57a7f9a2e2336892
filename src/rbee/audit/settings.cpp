#include "rbee/audit/settings.hpp"

#include "rbee/audit/writer.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/config/option_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace rbee::audit {
namespace {

using Kind = config::Setting::Kind;

constexpr std::uint64_t mb = 1'000'000;
constexpr std::uint64_t retention_days_max = 36'500;

Result<void> set_mode(Settings& settings, const std::string& text) {
    const auto mode = parse_mode(text);
    if (!mode) {
        return fail(
            Errc::invalid_argument, "--audit-mode must be off, local, async, group or strict"
        );
    }
    settings.mode = *mode;
    return {};
}

Result<void> set_inference(Settings& settings, const std::string& text) {
    if (text != "open" && text != "closed") {
        return fail(Errc::invalid_argument, "--audit-inference must be open or closed");
    }
    settings.inference_fails_closed = text == "closed";
    return {};
}

Result<void> set_rotation(Settings& settings, const std::string& text) {
    const auto value = config::parse_number("--audit-rotate-mb", text, {1, 10'000});
    if (!value) {
        return error_of(value);
    }
    settings.segment_bytes_max = *value * mb;
    return {};
}

Result<void> set_retention(Settings& settings, const std::string& text) {
    const auto value =
        config::parse_number("--audit-retention-days", text, {0, retention_days_max});
    if (!value) {
        return error_of(value);
    }
    settings.retention_days = static_cast<std::uint32_t>(*value);
    return {};
}

std::string text_of(const Settings& settings, std::string_view name) {
    if (name == "audit-mode") {
        return std::string(to_string(settings.mode));
    }
    if (name == "audit-dir") {
        return settings.dir;
    }
    if (name == "audit-inference") {
        return settings.inference_fails_closed ? "closed" : "open";
    }
    return name == "audit-rotate-mb" ? fmt::format("{}", settings.segment_bytes_max / mb)
                                     : fmt::format("{}", settings.retention_days);
}

void tell(const telemetry::Logger& log, const Notice& notice) {
    using telemetry::Level;
    const Level level = notice.level == Notice::Level::info      ? Level::info
                        : notice.level == Notice::Level::warning ? Level::warn
                                                                 : Level::error;
    log.write(level, notice.event, notice.text);
}

} // namespace

const std::vector<SettingRow>& setting_rows() {
    static const std::vector<SettingRow> rows = {
        {{.name = "audit-mode",
          .variable = "LLORCH_AUDIT_MODE",
          .help = "Audit log: off, local (same as group), async, group or strict [off]",
          .key = "audit.mode"},
         set_mode},
        {{.name = "audit-dir",
          .variable = "LLORCH_AUDIT_DIR",
          .help = "Base folder of audit logs, one folder for each service "
                  "[/var/log/llama-orch/audit]",
          .key = "audit.dir"},
         [](Settings& settings, const std::string& text) -> Result<void> {
             settings.dir = text;
             return {};
         }},
        {{.name = "audit-inference",
          .variable = "LLORCH_AUDIT_INFERENCE",
          .help = "Requests that cannot be recorded: open (they go on) or closed (503) [open]",
          .key = "audit.inference"},
         set_inference},
        {{.name = "audit-rotate-mb",
          .variable = "LLORCH_AUDIT_ROTATE_MB",
          .help = "Size at which a new segment begins, in MB [10]",
          .kind = Kind::number,
          .key = "audit.rotate_mb"},
         set_rotation},
        {{.name = "audit-retention-days",
          .variable = "LLORCH_AUDIT_RETENTION_DAYS",
          .help = "Days after which sealed segments are deleted (0: never) [2555]",
          .kind = Kind::number,
          .key = "audit.retention_days"},
         set_retention},
    };
    return rows;
}

Result<Settings> settings_from(const config::Environment& environment) {
    Settings settings;
    for (const SettingRow& row : setting_rows()) {
        const auto text = environment(row.setting.variable);
        if (!text || text->empty()) {
            continue;
        }
        if (const auto applied = row.apply(settings, *text); !applied) {
            return std::unexpected(applied.error().within(row.setting.variable));
        }
    }
    return settings;
}

std::vector<std::string> with_settings(std::vector<std::string> list, const Settings& settings) {
    for (const SettingRow& row : setting_rows()) {
        const std::string begin = std::string(row.setting.variable) + "=";
        std::erase_if(list, [&](const std::string& entry) { return entry.starts_with(begin); });
        if (settings.on()) {
            list.push_back(begin + text_of(settings, row.setting.name));
        }
    }
    return list;
}

Result<std::unique_ptr<Logger>>
open_service_log(const Settings& settings, std::string service, const telemetry::Logger& log) {
    if (!settings.on()) {
        return std::unique_ptr<Logger>();
    }
    WriterOptions options;
    options.mode = settings.mode;
    options.inference_fails_closed = settings.inference_fails_closed;
    options.journal.service = std::move(service);
    options.journal.mode = to_string(settings.mode);
    options.journal.segment_bytes_max = settings.segment_bytes_max;
    options.journal.retention_days = settings.retention_days;
    const std::string folder = settings.dir + "/" + options.journal.service;
    auto opened = open_log(
        settings.dir,
        std::move(options),
        std::make_shared<SystemClock>(),
        [log](const Notice& notice) { tell(log, notice); }
    );
    return opened ? std::move(opened)
                  : Result<std::unique_ptr<Logger>>(
                        std::unexpected(opened.error().within("cannot audit in " + folder))
                    );
}

} // namespace rbee::audit
