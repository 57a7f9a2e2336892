#pragma once

#include "rbee/telemetry/log.hpp"

#include <exception>
#include <functional>
#include <string_view>

namespace rbee::telemetry {

/// What hears of background tasks that ended with an exception (runtime::TaskGroup::Report).
using TaskReport = std::function<void(std::string_view name, std::exception_ptr failure)>;

/// A report that logs each as an error `task_failed` with the task's name and the exception's text.
/// Keeps a copy of `log`.
[[nodiscard]] TaskReport log_task_failures(const Logger& log);

} // namespace rbee::telemetry
