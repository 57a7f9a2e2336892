#pragma once

#include "rbee/queen/fleet.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace rbee::queen {

/// How the queen shows what she knows. The members of a worker are those of the hive's WorkerInfo
/// and of behaviour.md 3.4 together.
[[nodiscard]] boost::json::object view_of(const Worker& worker);
[[nodiscard]] boost::json::object view_of(const Fleet& fleet, const Hive& hive);
/// An element of OpenAI's model list, with members of ours behind those of OpenAI.
[[nodiscard]] boost::json::object view_of(const std::string& name, const KnownModel& model);

} // namespace rbee::queen
