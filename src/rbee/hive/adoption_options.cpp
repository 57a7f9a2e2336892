#include "rbee/hive/adoption_options.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>

namespace rbee::hive {

namespace {

constexpr std::uint64_t lease_s_max = 86'400;

} // namespace

std::vector<OptionRow> adoption_rows() {
    return {
        {"on-hive-exit",
         "RBEE_ON_HIVE_EXIT",
         "What workers do when this hive dies: adopt (go on until the next one takes them over) or "
         "kill [adopt]"},
        {"worker-lease",
         "RBEE_WORKER_LEASE_S",
         "Seconds for which they go on without a hive [60]",
         OptionRow::Kind::number},
        {"state-dir",
         "RBEE_HIVE_STATE_DIR",
         "Directory for what the next hive has to know [$RBEE_HOME/run/hive-NODE]"},
    };
}

Result<void>
fill_adoption(const OptionValues& values, const Surroundings& around, Settings& settings) {
    AdoptionSettings& adoption = settings.adoption;
    const std::string mode = values.text("on-hive-exit", "adopt");
    if (mode != "adopt" && mode != "kill") {
        return fail(Errc::invalid_argument, "on-hive-exit must be adopt or kill");
    }
    adoption.adopt = mode == "adopt";
    const auto lease = std::chrono::duration_cast<std::chrono::seconds>(adoption.lease).count();
    const auto lease_s =
        values.number("worker-lease", static_cast<std::uint64_t>(lease), {1, lease_s_max});
    if (!lease_s) {
        return error_of(lease_s);
    }
    adoption.lease = std::chrono::seconds(*lease_s);
    adoption.state_dir = config::expand_home(values.text("state-dir"), around.environment);
    if (adoption.state_dir.empty()) {
        const auto paths = config::Paths::from(around.environment);
        if (!paths) {
            return error_of(paths);
        }
        adoption.state_dir = fmt::format("{}/hive-{}", paths->run_dir(), settings.node_name);
    }
    return {};
}

} // namespace rbee::hive
