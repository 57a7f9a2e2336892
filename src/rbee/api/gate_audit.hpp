#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/http/exchange.hpp"
#include "rbee/http/router.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace rbee::api {

/// What a gate puts into the audit log. Without a logger each call costs a branch.
class GateAudit {
public:
    GateAudit(audit::Logger* logger, std::string service)
        : logger_(logger), service_(std::move(service)) {}

    /// A limit on the requests of one source.
    struct Limit {
        std::uint64_t allowed = 0;
        std::uint64_t window_s = 1;
    };

    /// The caller may do what he asks for; the exchange has his actor.
    void let_in(http::Exchange& exchange, http::Access needed) {
        if (logger_ != nullptr) {
            record_let_in(exchange, needed);
        }
    }
    /// He may not.
    void refused(http::Exchange& exchange, std::string_view reason) {
        if (logger_ != nullptr) {
            record_refused(exchange, reason);
        }
    }
    void limited(http::Exchange& exchange, const Limit& limit) {
        if (logger_ != nullptr) {
            record_limited(exchange, limit);
        }
    }
    /// An answer is about to go out: when it says that the request is invalid in a way that attacks
    /// use, that is recorded.
    void answered(http::Exchange& exchange, const http::Response& response) {
        if (logger_ != nullptr && response.status == 400) {
            record_invalid(exchange, response);
        }
    }
    /// Whether `needed` lets somebody change something: then he waits for the record of his
    /// admission before anything happens.
    [[nodiscard]] bool must_precede(const http::Exchange& exchange, http::Access needed) const {
        return logger_ != nullptr && changes_something(exchange, needed);
    }

private:
    [[nodiscard]] static bool
    changes_something(const http::Exchange& exchange, http::Access needed);
    void record_let_in(http::Exchange& exchange, http::Access needed);
    void record_refused(http::Exchange& exchange, std::string_view reason);
    void record_limited(http::Exchange& exchange, const Limit& limit);
    void record_invalid(http::Exchange& exchange, const http::Response& response);

    audit::Logger* logger_;
    std::string service_;
};

} // namespace rbee::api
