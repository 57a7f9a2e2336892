#include "rbee/hive/restart_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rbee::hive {
namespace {

using Kind = OptionRow::Kind;

constexpr std::uint64_t day_s = 86'400;
constexpr std::uint64_t day_ms = day_s * 1000;

/// In the names of settings: the table for all models, and those for single ones.
constexpr std::string_view table = "restart.";
constexpr std::string_view tables = "restart.models.";
constexpr std::string_view enabled_key = "enabled";

/// Gives a setting by its key in [restart]; null when it was not given.
using Lookup = std::function<const config::Given*(std::string_view key)>;

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
    if (const config::Given* value = given(enabled_key)) {
        const auto on =
            config::parse_switch(fmt::format("{}{}", where, enabled_key), value->text());
        if (!on) {
            return wrong(on.error(), *value);
        }
        rules.restart.enabled = *on;
    }
    for (const Setting& setting : numbers) {
        if (const config::Given* value = given(setting.key)) {
            const auto number = config::parse_number(
                fmt::format("{}{}", where, setting.key), value->text(), setting.range
            );
            if (!number) {
                return wrong(number.error(), *value);
            }
            setting.put(rules, *number);
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

/// The row for a key of [restart]; null for a name that is none.
const OptionRow* row_of(std::string_view key) {
    static const std::vector<OptionRow> rows = restart_rows();
    const auto found = std::ranges::find_if(rows, [key](const OptionRow& row) {
        return std::string_view(row.key).substr(table.size()) == key;
    });
    return found == rows.end() ? nullptr : &*found;
}

} // namespace

std::vector<OptionRow> restart_rows() {
    std::vector<OptionRow> rows = {
        {.name = "restart",
         .variable = "RBEE_RESTART",
         .help = "Whether workers that ended unasked are started again: on or off [on]",
         .kind = Kind::toggle,
         .key = fmt::format("{}{}", table, enabled_key),
         .live = true},
    };
    for (const Setting& one : numbers) {
        rows.push_back(
            {.name = one.flag,
             .variable = one.variable,
             .help = one.help,
             .kind = Kind::number,
             .key = fmt::format("{}{}", table, one.key),
             .live = true}
        );
    }
    return rows;
}

Result<RestartTables> read_restart_tables(config::TomlFile& file) {
    RestartTables out;
    for (const std::string& name : file.names_under(tables)) {
        // A model may have dots in its name, a key has none.
        const std::size_t dot = name.rfind('.');
        const std::string model = name.substr(0, dot).substr(std::min(tables.size(), dot));
        const OptionRow* row = row_of(std::string_view(name).substr(dot + 1));
        if (model.empty() || row == nullptr) {
            continue; // unknown, as whoever reads the file will say
        }
        auto value = config::read_from_file(file, *row, name);
        if (!value) {
            return error_of(value);
        }
        if (std::optional<config::Given>& given = *value) {
            out[model].insert_or_assign(name.substr(dot + 1), std::move(*given));
        }
    }
    return out;
}

std::map<std::string, std::string> flattened(const RestartTables& models) {
    std::map<std::string, std::string> out;
    for (const auto& [model, values] : models) {
        for (const auto& [key, given] : values) {
            out[fmt::format("{}\"{}\".{}", tables, model, key)] = given.text();
        }
    }
    return out;
}

Result<void>
fill_restart(const OptionValues& values, const RestartTables& models, RestartSettings& settings) {
    const Lookup of_all = [&values](std::string_view key) {
        const OptionRow* row = row_of(key);
        return row == nullptr ? nullptr : values.find(row->name);
    };
    if (auto applied = apply(of_all, table, settings.all); !applied) {
        return applied;
    }
    // What single models change is on top of what is true for all.
    for (const auto& [model, given] : models) {
        const Lookup of_model = [&given](std::string_view key) {
            const auto found = given.find(key);
            return found == given.end() ? nullptr : &found->second;
        };
        RestartRuleSet& rules = settings.models.try_emplace(model, settings.all).first->second;
        const std::string where = fmt::format("{}\"{}\".", tables, model);
        if (auto applied = apply(of_model, where, rules); !applied) {
            return applied;
        }
    }
    return {};
}

} // namespace rbee::hive
