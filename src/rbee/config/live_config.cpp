#include "rbee/config/live_config.hpp"

#include "rbee/base/ids.hpp"

#include <fmt/format.h>

#include <set>
#include <string_view>
#include <utility>

namespace rbee::config {
namespace {

double milliseconds_of(std::chrono::microseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

std::string_view path_or_none(const std::string& path) {
    return path.empty() ? "none" : std::string_view(path);
}

std::string names(const std::vector<Change>& changes) {
    std::string out;
    for (const Change& change : changes) {
        out += (out.empty() ? "" : ",") + change.key;
    }
    return out;
}

std::string in_words(const std::vector<Change>& changes) {
    std::string out;
    for (const Change& change : changes) {
        out += fmt::format(
            "{}{}: {} -> {}", out.empty() ? "" : "; ", change.key, change.before, change.after
        );
    }
    return out;
}

using Extras = std::map<std::string, std::string>;

void compare_extras(const Extras& before, const Extras& after, std::vector<Change>& into) {
    std::set<std::string> keys;
    for (const Extras* side : {&before, &after}) {
        for (const auto& [key, text] : *side) {
            keys.insert(key);
        }
    }
    const auto text_of = [](const Extras& side, const std::string& key) {
        const auto found = side.find(key);
        return found == side.end() ? std::string() : found->second;
    };
    for (const std::string& key : keys) {
        Change change{key, text_of(before, key), text_of(after, key), true};
        if (change.before != change.after) {
            into.push_back(std::move(change));
        }
    }
}

} // namespace

LiveConfig::LiveConfig(std::span<const Setting> rows, Loaded first, telemetry::Logger log)
    : rows_(rows), running_(std::move(first)), log_(std::move(log)), id_(make_uuid()) {}

void LiveConfig::tell() const {
    const auto log = log_.with_correlation(id_);
    log.info(
        "config_loaded",
        "configuration read and valid",
        {{"action", "config_load"},
         {"path", path_or_none(running_.path)},
         {"given", running_.values.size()},
         {"duration_ms", milliseconds_of(running_.took)}}
    );
    tell_overrides(log);
}

void LiveConfig::tell_overrides(const telemetry::Logger& log) const {
    for (const Override& one : running_.overrides) {
        log.info(
            "config_override",
            "the environment overrides the file",
            {{"action", "config_load"},
             {"setting", one.key},
             {"variable", one.variable},
             {"file_value", one.from_file},
             {"environment_value", one.from_environment},
             {"path", running_.path}}
        );
    }
}

void LiveConfig::reload(Result<Loaded> fresh, const std::function<void()>& apply) {
    ReloadReport report{
        .path = running_.path,
        .correlation_id = make_uuid(),
        .previous_id = id_,
        .applied = {},
        .restart_needed = {},
    };
    if (!fresh) {
        return refuse(std::move(report), fresh.error());
    }
    if (!running_.path.empty() && fresh->path != running_.path) {
        Error gone{Errc::not_found, running_.path + " has gone"};
        return refuse(std::move(report), std::move(gone));
    }
    report.path = fresh->path;
    for (Change& change : changes(rows_, running_.values, fresh->values)) {
        auto& kind = change.live ? report.applied : report.restart_needed;
        kind.push_back(std::move(change));
    }
    compare_extras(running_.extras, fresh->extras, report.applied);
    apply();
    fresh->values = after_reload(rows_, running_.values, std::move(fresh->values));
    running_ = std::move(*fresh);
    id_ = report.correlation_id;
    const auto log = log_.with_correlation(id_);
    log.info(
        "config_reloaded",
        report.restart_needed.empty() ? "configuration read again"
                                      : "configuration read again; some of it needs a restart",
        {{"action", "config_reload"},
         {"path", path_or_none(report.path)},
         {"changed", names(report.applied)},
         {"changes", in_words(report.applied)},
         {"restart_needed", names(report.restart_needed)},
         {"previous_correlation_id", report.previous_id},
         {"duration_ms", milliseconds_of(running_.took)}}
    );
    tell_overrides(log);
    if (observer_) {
        observer_(report);
    }
}

void LiveConfig::refuse(ReloadReport report, Error error) {
    log_.with_correlation(report.correlation_id)
        .error(
            "config_validation_failed",
            error.what,
            {{"action", "config_reload"},
             {"path", path_or_none(report.path)},
             {"previous_correlation_id", report.previous_id},
             {"consequence", "the old configuration stays in force"}}
        );
    report.error = std::move(error);
    if (observer_) {
        observer_(report);
    }
}

} // namespace rbee::config
