#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/queen/fleet.hpp"

#include <string>

namespace rbee::queen {

/// Records that a hive is in the registry from now on. Nothing without a logger.
void record_node(
    audit::Logger* logger,
    const http::Exchange& exchange,
    const std::string& name,
    const Fleet& fleet
);

/// Records that a hive was taken out of the registry. Nothing without a logger.
void record_node_gone(
    audit::Logger* logger, const http::Exchange& exchange, const std::string& name
);

} // namespace rbee::queen
