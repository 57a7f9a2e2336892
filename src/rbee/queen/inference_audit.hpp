#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/queen/fleet.hpp"

#include <string>
#include <string_view>

namespace rbee::queen {

/// What the audit log says about requests: never their content. All of one request share its
/// correlation id. Without a logger each call costs a branch.
class InferenceAudit {
public:
    explicit InferenceAudit(audit::Logger* logger) : logger_(logger) {}

    /// How a request ended.
    struct End {
        std::string_view worker_id = {}; ///< Empty when there was none.
        std::string_view model = {};
        std::string_view outcome = {}; ///< "ok", or why not.
        Duration took{};
    };

    void started(http::Exchange& exchange, std::string_view model) {
        if (logger_ != nullptr) {
            record_started(exchange, model);
        }
    }
    void assigned(http::Exchange& exchange, const Worker& worker) {
        if (logger_ != nullptr) {
            record_assigned(exchange, worker);
        }
    }
    void ended(const http::Exchange& exchange, const End& end) {
        if (logger_ != nullptr) {
            record_ended(exchange, end);
        }
    }

private:
    void record_started(http::Exchange& exchange, std::string_view model);
    void record_assigned(http::Exchange& exchange, const Worker& worker);
    void record_ended(const http::Exchange& exchange, const End& end);

    audit::Logger* logger_;
};

} // namespace rbee::queen
