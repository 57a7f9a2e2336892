#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/config/live_config.hpp"

namespace rbee::audit {

/// Records reloads of the settings: config.reloaded with the fields that changed, or
/// config.validation_failed. `next` hears of them too; may be empty. Nothing but `next` when
/// `logger` is null; it must outlive the observer.
[[nodiscard]] config::ReloadObserver
config_observer(Logger* logger, config::ReloadObserver next = {});

} // namespace rbee::audit
