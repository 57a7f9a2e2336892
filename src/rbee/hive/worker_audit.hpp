#pragma once

#include "rbee/audit/events.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/hive/start_gate.hpp"
#include "rbee/hive/supervisor.hpp"

#include <string>
#include <string_view>

namespace rbee::hive {

/// Puts the lives of workers into the audit log, and the circuit breakers of their models. Belongs
/// to one loop; must outlive what it is attached to.
class WorkerAudit {
public:
    /// `node` is the name of this hive, and outlives it.
    WorkerAudit(audit::Logger& logger, const std::string& node) : logger_(logger), node_(node) {}

    void attach(Supervisor& supervisor);
    void attach(StartGate& gate);

private:
    [[nodiscard]] audit::WorkerFacts
    facts(const api::WorkerInfo& worker, const Supervisor::Order* order) const;
    void started(const api::WorkerInfo& worker, const Supervisor::Order& order);
    void ended(const Supervisor::ExitReport& report, const Supervisor::Order* order);
    void turned(const StartGate::Turn& turn);

    audit::Logger& logger_;
    const std::string& node_;
};

} // namespace rbee::hive
