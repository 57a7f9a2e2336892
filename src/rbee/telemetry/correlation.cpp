#include "rbee/telemetry/correlation.hpp"

#include "rbee/base/ids.hpp"

namespace rbee::telemetry {

std::string accept_or_make_correlation_id(std::optional<std::string_view> from_client) {
    if (from_client && is_uuid(*from_client)) {
        return std::string(*from_client);
    }
    return make_uuid();
}

} // namespace rbee::telemetry
