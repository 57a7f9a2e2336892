#include "rbee/hive/restart_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rbee::hive {
namespace {

using Kind = OptionRow::Kind;

constexpr std::uint64_t day_s = 86'400;
constexpr std::uint64_t day_ms = day_s * 1000;

/// Gives the text of a setting by its key in [restart]; nothing when it was not given.
using Lookup = std::function<std::optional<std::string>(std::string_view key)>;

struct Setting {
    std::string_view key; ///< In the table [restart].
    std::string_view flag;
    std::string_view variable;
    std::string_view help;
    config::NumberRange range;
    void (*put)(RestartRuleSet&, std::uint64_t);
};

constexpr std::array numbers = {
    Setting{
        "max_attempts",
        "restart-max-attempts",
        "RBEE_RESTART_MAX_ATTEMPTS",
        "Restarts of a worker in a row [3]",
        {0, 1000},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.restart.attempts_max = static_cast<std::uint32_t>(value);
        }
    },
    Setting{
        "base_ms",
        "restart-base-ms",
        "RBEE_RESTART_BASE_MS",
        "Milliseconds before the first of them; doubled each time [1000]",
        {1, day_ms},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.restart.base = std::chrono::milliseconds(value);
        }
    },
    Setting{
        "max_ms",
        "restart-max-ms",
        "RBEE_RESTART_MAX_MS",
        "The most that this wait becomes [60000]",
        {1, day_ms},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.restart.max = std::chrono::milliseconds(value);
        }
    },
    Setting{
        "jitter",
        "restart-jitter",
        "RBEE_RESTART_JITTER",
        "Percent by which waits and cooldowns vary to either side; 0: not at all [20]",
        {0, 50},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.restart.jitter_percent = static_cast<std::uint32_t>(value);
            to.breaker.jitter_percent = to.restart.jitter_percent;
        }
    },
    Setting{
        "stable_s",
        "restart-stable-s",
        "RBEE_RESTART_STABLE_S",
        "Seconds in service after which a worker's restarts are forgotten [300]",
        {1, day_s},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.restart.stable = std::chrono::seconds(value);
        }
    },
    Setting{
        "breaker_failures",
        "breaker-failures",
        "RBEE_BREAKER_FAILURES",
        "Failures of a model on a device that stop its starts; 0: only used-up attempts do [5]",
        {0, 1000},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.breaker.failures = static_cast<std::uint32_t>(value);
        }
    },
    Setting{
        "breaker_window_s",
        "breaker-window-s",
        "RBEE_BREAKER_WINDOW_S",
        "Seconds within which they are counted [300]",
        {1, day_s},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.breaker.window = std::chrono::seconds(value);
        }
    },
    Setting{
        "breaker_cooldown_s",
        "breaker-cooldown-s",
        "RBEE_BREAKER_COOLDOWN_S",
        "Seconds until one start is tried again; doubled when it fails [300]",
        {1, day_s},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.breaker.cooldown = std::chrono::seconds(value);
        }
    },
    Setting{
        "breaker_cooldown_max_s",
        "breaker-cooldown-max-s",
        "RBEE_BREAKER_COOLDOWN_MAX_S",
        "The most that this becomes [1800]",
        {1, day_s},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.breaker.cooldown_max = std::chrono::seconds(value);
        }
    },
    Setting{
        "breaker_proof_s",
        "breaker-proof-s",
        "RBEE_BREAKER_PROOF_S",
        "Seconds in service after which that start counts as good; one good answer does too [60]",
        {1, day_s},
        [](RestartRuleSet& to, std::uint64_t value) {
            to.breaker.proof = std::chrono::seconds(value);
        }
    },
};

/// Changes what was given; `where` stands before the names in errors.
Result<void> apply(const Lookup& given, std::string_view where, RestartRuleSet& rules) {
    if (const auto text = given("enabled")) {
        const auto on = config::parse_switch(fmt::format("{}enabled", where), *text);
        if (!on) {
            return error_of(on);
        }
        rules.restart.enabled = *on;
    }
    for (const Setting& setting : numbers) {
        if (const auto text = given(setting.key)) {
            const auto value =
                config::parse_number(fmt::format("{}{}", where, setting.key), *text, setting.range);
            if (!value) {
                return error_of(value);
            }
            setting.put(rules, *value);
        }
    }
    if (rules.restart.base > rules.restart.max) {
        return fail(
            Errc::invalid_argument, fmt::format("{}base_ms must not be above max_ms", where)
        );
    }
    if (rules.breaker.cooldown > rules.breaker.cooldown_max) {
        return fail(
            Errc::invalid_argument,
            fmt::format("{}breaker_cooldown_s must not be above breaker_cooldown_max_s", where)
        );
    }
    return {};
}

bool known_key(std::string_view key) {
    return key == "enabled" || std::ranges::find(numbers, key, &Setting::key) != numbers.end();
}

} // namespace

std::vector<OptionRow> restart_rows() {
    std::vector<OptionRow> rows = {
        {"restart",
         "RBEE_RESTART",
         "Whether workers that ended unasked are started again: on or off [on]",
         Kind::text,
         "restart.enabled"},
    };
    static const std::vector<std::string> keys = [] {
        std::vector<std::string> out;
        out.reserve(numbers.size());
        for (const Setting& setting : numbers) {
            out.push_back(fmt::format("restart.{}", setting.key));
        }
        return out;
    }();
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        const Setting& one = numbers.at(i);
        rows.push_back({one.flag, one.variable, one.help, Kind::number, keys.at(i)});
    }
    return rows;
}

Result<void> fill_restart(const OptionValues& values, RestartSettings& settings) {
    const auto given = [&values](std::string_view name) {
        const std::string text = values.text(name);
        return text.empty() ? std::nullopt : std::optional(text);
    };
    const Lookup of_all = [&given](std::string_view key) {
        const auto setting = std::ranges::find(numbers, key, &Setting::key);
        return given(setting == numbers.end() ? std::string_view("restart") : setting->flag);
    };
    if (auto applied = apply(of_all, "restart.", settings.all); !applied) {
        return applied;
    }
    // What single models change is on top of what is true for all.
    for (const std::string& name : values.names_under(restart_models_prefix)) {
        const auto dot = name.rfind('.');
        const std::string model =
            name.substr(0, dot).substr(std::min(restart_models_prefix.size(), dot));
        if (model.empty() || !known_key(std::string_view(name).substr(dot + 1))) {
            return fail(Errc::invalid_argument, fmt::format("unknown setting {}", name));
        }
        const std::string where = fmt::format("{}{}.", restart_models_prefix, model);
        const Lookup of_model = [&](std::string_view key) {
            return given(fmt::format("{}{}", where, key));
        };
        RestartRuleSet& rules = settings.models.try_emplace(model, settings.all).first->second;
        if (auto applied = apply(of_model, where, rules); !applied) {
            return applied;
        }
    }
    return {};
}

} // namespace rbee::hive
