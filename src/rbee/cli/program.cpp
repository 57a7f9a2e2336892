#include "rbee/cli/program.hpp"

#include "rbee/api/error_body.hpp"
#include "rbee/base/ids.hpp"
#include "rbee/cli/advice.hpp"
#include "rbee/cli/chat.hpp"
#include "rbee/cli/commands.hpp"
#include "rbee/cli/completion.hpp"
#include "rbee/cli/context.hpp"
#include "rbee/cli/daemon.hpp"
#include "rbee/cli/line_editor.hpp"
#include "rbee/cli/options.hpp"

#include <boost/json/serialize.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace rbee::cli {
namespace {

void show_error(Console& console, Error error, bool json, const Settings* settings) {
    if (!json) {
        console.err(error_line(error, settings));
        return;
    }
    boost::json::object details;
    if (const std::string advice = advice_for(error, settings); !advice.empty()) {
        details["advice"] = advice;
    }
    if (error.code == Errc::unavailable && error.wire_code.empty()) {
        error.wire_code = "CONNECTION_TIMEOUT"; // nobody was reached, for whatever reason
    }
    console.err(boost::json::serialize(api::error_object(error, make_uuid(), details)) + "\n");
}

/// Makes the command object of an invocation; overloads are found by the option type.
class Maker {
public:
    Maker(Context& context, std::istream& input) : context_(context), input_(input) {}

    using Made = std::unique_ptr<Command>;
    Made operator()(UpOptions& options) const { return make_up(context_, std::move(options)); }
    Made operator()(DownOptions& options) const { return make_down(context_, options); }
    Made operator()(StatusOptions&) const { return make_status(context_); }
    Made operator()(InferOptions& options) const {
        return make_infer(context_, std::move(options), input_);
    }
    Made operator()(ModelsListOptions&) const { return make_models_list(context_); }
    Made operator()(WorkersListOptions& options) const {
        return make_workers_list(context_, std::move(options));
    }
    Made operator()(WorkersSpawnOptions& options) const {
        return make_workers_spawn(context_, std::move(options));
    }
    Made operator()(const WorkersStopOptions& options) const {
        return make_workers_stop(context_, options);
    }
    Made operator()(WorkersRestartOptions& options) const {
        return make_workers_restart(context_, std::move(options));
    }
    Made operator()(WorkersLogsOptions& options) const {
        return make_workers_logs(context_, std::move(options));
    }
    Made operator()(WorkersPostmortemOptions& options) const {
        return make_workers_postmortem(context_, std::move(options));
    }
    Made operator()(HivesListOptions&) const { return make_hives_list(context_); }
    Made operator()(HivesAddOptions& options) const {
        return make_hives_add(context_, std::move(options));
    }
    Made operator()(const HivesRemoveOptions& options) const {
        return make_hives_remove(context_, options);
    }
    Made operator()(HivesInviteOptions& options) const {
        return make_hives_invite(context_, std::move(options));
    }
    Made operator()(PkiOptions& options) const { return make_pki(context_, std::move(options)); }
    Made operator()(TokenNewOptions& options) const {
        return make_token_new(context_, std::move(options));
    }
    Made operator()(TokenListOptions&) const { return make_token_list(context_); }
    Made operator()(TokenRevokeOptions& options) const {
        return make_token_revoke(context_, std::move(options));
    }
    Made operator()(AuditInitOptions& options) const {
        return make_audit_init(context_, std::move(options));
    }
    Made operator()(AuditVerifyOptions& options) const {
        return make_audit_verify(context_, std::move(options));
    }
    Made operator()(AuditShowOptions& options) const {
        return make_audit_show(context_, std::move(options));
    }
    Made operator()(VersionOptions&) const { return make_version(context_); }
    /// These two do not run on the loop as a whole.
    Made operator()(ChatOptions&) const { return nullptr; }
    Made operator()(CompletionOptions&) const { return nullptr; }

private:
    Context& context_;
    std::istream& input_;
};

Result<int> run_chat(Context& context, ChatOptions options, std::istream& input) {
    std::unique_ptr<LineEditor> editor;
    if (context.console().options().in_tty) {
        if (const auto made = make_private_folder(context.settings().home); !made) {
            return error_of(made);
        }
        editor = make_terminal_editor("> ", context.settings().home / "chat_history");
    } else {
        editor = make_plain_editor(input);
    }
    return Chat(context, std::move(options), *editor).run();
}

Result<int> run_command(Context& context, Invocation invocation, std::istream& input) {
    if (auto* chat = std::get_if<ChatOptions>(&invocation.command)) {
        return run_chat(context, std::move(*chat), input);
    }
    const auto* up = std::get_if<UpOptions>(&invocation.command);
    const bool foreground = up != nullptr && up->foreground;
    const auto command = std::visit(Maker(context, input), invocation.command);
    auto code = context.run(*command);
    if (foreground && code && context.interrupted()) {
        const auto down = make_down(context, DownOptions{});
        const auto stopped = context.run(*down);
        return stopped ? code : stopped;
    }
    return code;
}

Result<int> print_completion(const CompletionOptions& options, Console& console) {
    const auto script = completion_script(command_tree(), options.shell);
    if (!script) {
        return error_of(script);
    }
    console.out(*script);
    return 0;
}

} // namespace

int run_program(
    std::vector<std::string> arguments,
    Environment environment,
    Console& console,
    std::istream& input
) {
    const bool json = std::ranges::find(arguments, "--json") != arguments.end();
    auto parsed = parse(std::move(arguments));
    if (!parsed) {
        show_error(console, parsed.error(), json, nullptr);
        return 1;
    }
    if (const auto* notice = std::get_if<Notice>(&*parsed)) {
        console.out(notice->text);
        return 0;
    }
    auto& invocation = std::get<Invocation>(*parsed);
    console.restrict(invocation.global.no_color, invocation.global.quiet);
    if (const auto* completion = std::get_if<CompletionOptions>(&invocation.command)) {
        const auto printed = print_completion(*completion, console);
        return printed.value_or(1);
    }
    auto settings = load_settings(invocation.global, environment);
    if (!settings) {
        show_error(console, settings.error(), json, nullptr);
        return 1;
    }
    Context context(invocation.global, std::move(*settings), std::move(environment), console);
    const auto code = run_command(context, std::move(invocation), input);
    console.clear_progress();
    if (code) {
        return *code;
    }
    if (context.interrupted()) {
        return context.interrupt_code();
    }
    show_error(console, code.error(), json, &context.settings());
    return 1;
}

} // namespace rbee::cli
