#include "rbee/audit/config_events.hpp"

#include "rbee/audit/events.hpp"

#include <string>
#include <utility>
#include <vector>

namespace rbee::audit {
namespace {

/// Reloads come from the machine: a signal, or a file that changed.
constexpr Actor by_signal = {.user_id = "system", .auth_method = "internal"};

void record(Logger& logger, const config::ReloadReport& report) {
    if (report.error) {
        std::vector<std::string> fields;
        for (const FieldError& field : report.error->fields) {
            fields.push_back(field.field);
        }
        logger.record(make_event(ConfigValidationFailed{
            .actor = by_signal,
            .source = report.path,
            .reason = report.error->what,
            .fields = fields,
        }));
        return;
    }
    std::vector<Change> changes;
    for (const auto* part : {&report.applied, &report.restart_needed}) {
        for (const config::Change& change : *part) {
            changes.push_back({change.key, change.before, change.after});
        }
    }
    logger.record(
        make_event(ConfigReloaded{.actor = by_signal, .source = report.path, .changes = changes})
    );
}

} // namespace

config::ReloadObserver config_observer(Logger* logger, config::ReloadObserver next) {
    if (logger == nullptr) {
        return next;
    }
    return [logger, next = std::move(next)](const config::ReloadReport& report) {
        record(*logger, report);
        if (next) {
            next(report);
        }
    };
}

} // namespace rbee::audit
