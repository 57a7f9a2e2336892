#pragma once

#include "rbee/audit/verify.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <string>

namespace rbee::audit {

/// Gives the log of `service` in `folder`, made when it is not there, a MAC key: records have a MAC
/// from the next one on. The key that is returned is stored nowhere; the folder only has that of
/// the next record. Errc::conflict when a program writes to the log, it has a key already, or it is
/// not in order.
[[nodiscard]] Result<FirstKey>
init_key(const std::string& folder, const std::string& service, WallTime now);

} // namespace rbee::audit
