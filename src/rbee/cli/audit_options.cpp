#include "rbee/cli/audit_options.hpp"

#include "rbee/domain/validate.hpp"

#include <string>

namespace rbee::cli {

void add_audit_log(CLI::App& command, AuditLogOptions& log) {
    command.add_option("--dir", log.dir, "Folder of one service's log")->type_name("DIR");
    command
        .add_option(
            "--service",
            log.service,
            "Whose log below LLORCH_AUDIT_DIR: queen-rbee, rbee-hive or the id of a worker; all "
            "when not said"
        )
        ->check([](const std::string& name) -> std::string {
            const auto good = domain::check_worker_id(name);
            return good ? "" : "must be queen-rbee, rbee-hive or the id of a worker";
        });
}

void add_audit_filters(CLI::App& command, AuditShowOptions& options) {
    command.add_option("--since", options.since, "From this time on: RFC 3339, or 2h for ago")
        ->type_name("TIME");
    command.add_option("--until", options.until, "Before this time")->type_name("TIME");
    command.add_option("--type", options.type, "Such as auth.failure, or auth.* for all of them")
        ->type_name("TYPE");
    command.add_option("--actor", options.actor, "Such as token:a1b2c3")->type_name("ACTOR");
    command.add_option("--correlation-id", options.correlation_id, "Of one request")
        ->type_name("ID");
}

} // namespace rbee::cli
