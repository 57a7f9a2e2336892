#pragma once

#include "rbee/base/result.hpp"
#include "rbee/cli/context.hpp"
#include "rbee/cli/options.hpp"

#include <string>
#include <vector>

namespace rbee::cli {

/// LLORCH_AUDIT_DIR, else /var/log/llama-orch/audit.
[[nodiscard]] std::string audit_base(const Context& context);

/// The logs that the options mean. Errc::not_found when there is none below the base folder.
[[nodiscard]] Result<std::vector<std::string>>
audit_folders(const Context& context, const AuditLogOptions& log);

} // namespace rbee::cli
