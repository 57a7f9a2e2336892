#pragma once

#include "rbee/cli/context.hpp"
#include "rbee/cli/options.hpp"

#include <functional>
#include <iosfwd>
#include <memory>

namespace rbee::cli {

/// Each makes one command; the context must outlive it.
[[nodiscard]] std::unique_ptr<Command> make_up(Context& context, UpOptions options);
[[nodiscard]] std::unique_ptr<Command> make_down(Context& context, DownOptions options);
[[nodiscard]] std::unique_ptr<Command> make_status(Context& context);
[[nodiscard]] std::unique_ptr<Command>
make_infer(Context& context, InferOptions options, std::istream& input);
[[nodiscard]] std::unique_ptr<Command> make_models_list(Context& context);
[[nodiscard]] std::unique_ptr<Command>
make_workers_list(Context& context, WorkersListOptions options);
[[nodiscard]] std::unique_ptr<Command>
make_workers_spawn(Context& context, WorkersSpawnOptions options);
[[nodiscard]] std::unique_ptr<Command>
make_workers_stop(Context& context, const WorkersStopOptions& options);
[[nodiscard]] std::unique_ptr<Command>
make_workers_restart(Context& context, WorkersRestartOptions options);
[[nodiscard]] std::unique_ptr<Command>
make_workers_logs(Context& context, WorkersLogsOptions options);
[[nodiscard]] std::unique_ptr<Command>
make_workers_postmortem(Context& context, WorkersPostmortemOptions options);
[[nodiscard]] std::unique_ptr<Command> make_hives_list(Context& context);
[[nodiscard]] std::unique_ptr<Command> make_hives_add(Context& context, HivesAddOptions options);
[[nodiscard]] std::unique_ptr<Command>
make_hives_remove(Context& context, const HivesRemoveOptions& options);
[[nodiscard]] std::unique_ptr<Command>
make_hives_invite(Context& context, HivesInviteOptions options);
[[nodiscard]] std::unique_ptr<Command> make_pki(Context& context, PkiOptions options);
[[nodiscard]] std::unique_ptr<Command> make_token_new(Context& context, TokenNewOptions options);
[[nodiscard]] std::unique_ptr<Command> make_token_list(Context& context);
[[nodiscard]] std::unique_ptr<Command>
make_token_revoke(Context& context, TokenRevokeOptions options);
[[nodiscard]] std::unique_ptr<Command> make_audit_init(Context& context, AuditInitOptions options);
[[nodiscard]] std::unique_ptr<Command>
make_audit_verify(Context& context, AuditVerifyOptions options);
[[nodiscard]] std::unique_ptr<Command> make_audit_show(Context& context, AuditShowOptions options);
[[nodiscard]] std::unique_ptr<Command> make_version(Context& context);

} // namespace rbee::cli
