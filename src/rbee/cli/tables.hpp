#pragma once

#include "rbee/cli/console.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <string>
#include <vector>

namespace rbee::cli {

/// The queen's lists as tables for people, or one sentence when there is nothing in them.
using Rows = std::vector<boost::json::object>;

[[nodiscard]] std::string models_table(const Rows& models, const Console& console);
[[nodiscard]] std::string workers_table(
    const Rows& workers, std::chrono::system_clock::time_point now, const Console& console
);
/// Only id, node, state, readiness and the reason.
[[nodiscard]] std::string health_table(const Rows& workers, const Console& console);
[[nodiscard]] std::string
hives_table(const Rows& hives, std::chrono::system_clock::time_point now, const Console& console);

/// True when the queen can use that hive.
[[nodiscard]] bool hive_available(const boost::json::object& hive);
/// The name of the node that a worker runs on; the queen and older ones name the field differently.
[[nodiscard]] std::string node_of(const boost::json::object& worker);

} // namespace rbee::cli
