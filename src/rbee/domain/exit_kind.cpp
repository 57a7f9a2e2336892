#include "rbee/domain/exit_kind.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace rbee::domain {
namespace {

constexpr std::array names = {
    std::pair{ExitKind::asked_for, std::string_view("asked_for")},
    std::pair{ExitKind::clean, std::string_view("clean")},
    std::pair{ExitKind::crash, std::string_view("crash")},
    std::pair{ExitKind::configuration, std::string_view("configuration")},
    std::pair{ExitKind::out_of_memory, std::string_view("out_of_memory")},
};

constexpr std::array configuration_codes = {64, 65, 66, 78, 126, 127};
constexpr int system_error_code = 71; ///< EX_OSERR

} // namespace

std::string_view to_string(ExitKind kind) {
    return std::ranges::find(names, kind, &std::pair<ExitKind, std::string_view>::first)->second;
}

std::optional<ExitKind> parse_exit_kind(std::string_view text) {
    const auto found =
        std::ranges::find(names, text, &std::pair<ExitKind, std::string_view>::second);
    return found == names.end() ? std::nullopt : std::optional(found->first);
}

ExitKind classify_exit(const ExitEvidence& evidence) {
    if (evidence.requested) {
        return ExitKind::asked_for;
    }
    const bool short_of_memory = evidence.cannot_load && evidence.code == system_error_code;
    if (evidence.out_of_memory || short_of_memory) {
        return ExitKind::out_of_memory;
    }
    if (evidence.stalled) {
        return ExitKind::crash;
    }
    const bool told = evidence.code && std::ranges::find(configuration_codes, *evidence.code) !=
                                           configuration_codes.end();
    if (evidence.cannot_load || told) {
        return ExitKind::configuration;
    }
    return evidence.code == 0 ? ExitKind::clean : ExitKind::crash;
}

} // namespace rbee::domain
