#pragma once

#include "rbee/audit/logger.hpp"
#include "rbee/base/result.hpp"

#include <string>
#include <utility>
#include <vector>

namespace rbee::test {

/// Keeps events in memory and answers when it is told to. For tests of what is recorded; used from
/// one thread.
class MemoryAudit final : public audit::Logger {
public:
    explicit MemoryAudit(audit::Mode mode, bool inference_fails_closed = false)
        : Logger(mode, inference_fails_closed) {}

    void submit(audit::Event event, Done done) override {
        events.push_back(std::move(event));
        if (!done) {
            return;
        }
        if (held) {
            waiting.push_back(std::move(done));
        } else {
            done(outcome());
        }
    }
    [[nodiscard]] audit::Stats stats() const override { return {}; }
    void stop(std::string_view /*reason*/) override {}

    /// Gives all that wait their outcome.
    void answer() {
        for (Done& done : std::exchange(waiting, {})) {
            done(outcome());
        }
    }
    [[nodiscard]] Result<void> outcome() const {
        return broken ? fail(Errc::unavailable, "the audit log is full", "AUDIT_UNAVAILABLE")
                      : Result<void>();
    }

    std::vector<audit::Event> events;
    std::vector<Done> waiting;
    bool held = false;   ///< Outcomes wait for answer().
    bool broken = false; ///< Nothing is recorded.
};

} // namespace rbee::test
