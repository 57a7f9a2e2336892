#include "rbee/telemetry/task_failure.hpp"

#include <string>

namespace rbee::telemetry {
namespace {

std::string text_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        return error.what();
    } catch (...) {
        return "not a standard exception";
    }
}

} // namespace

TaskReport log_task_failures(const Logger& log) {
    return [log](std::string_view name, const std::exception_ptr& failure) {
        log.error(
            "task_failed", "a background task failed", {{"task", name}, {"cause", text_of(failure)}}
        );
    };
}

} // namespace rbee::telemetry
