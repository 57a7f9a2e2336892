#pragma once

#include "rbee/domain/circuit_breaker.hpp"
#include "rbee/domain/restart_policy.hpp"

#include <functional>
#include <map>
#include <string>

namespace rbee::hive {

/// Rules for starting workers again.
struct RestartRuleSet {
    domain::RestartRules restart;
    domain::BreakerRules breaker;
};

/// The table [restart] of the settings: rules for all models and for single ones.
struct RestartSettings {
    RestartRuleSet all;
    std::map<std::string, RestartRuleSet, std::less<>> models; ///< By reference or short name.

    /// The rules for a model, whose reference counts before its short name.
    [[nodiscard]] const RestartRuleSet&
    of(const std::string& model_ref, const std::string& name) const {
        for (const std::string* key : {&model_ref, &name}) {
            if (const auto found = models.find(*key); found != models.end()) {
                return found->second;
            }
        }
        return all;
    }
};

} // namespace rbee::hive
