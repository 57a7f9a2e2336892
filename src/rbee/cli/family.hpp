#pragma once

#include "rbee/base/unique_fd.hpp"

#include <boost/json/object.hpp>
#include <sys/types.h>

#include <string>
#include <vector>

namespace rbee::cli {

/// A process that belongs to the service on this machine.
struct Member {
    std::string name; ///< Such as "rbee-hive"; for people.
    pid_t pid = 0;
    UniqueFd process; ///< A pidfd: the number may belong to somebody else later.
};

/// All living descendants of a process. Blocks for as long as reading /proc takes.
[[nodiscard]] std::vector<Member> descendants_of(pid_t pid);

/// The workers that an answer of GET /v1/workers puts on the hive `node` of this machine, as far as
/// their processes are what it says. Those that a hive took over are nobody's descendants.
[[nodiscard]] std::vector<Member>
workers_of(const boost::json::object& answer, const std::string& node);

/// True when the process behind the descriptor has ended.
[[nodiscard]] bool has_ended(const UniqueFd& process);

} // namespace rbee::cli
