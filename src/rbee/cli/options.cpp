#include "rbee/cli/options.hpp"

#include "rbee/cli/audit_options.hpp"
#include "rbee/cli/option_checks.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace rbee::cli {
namespace {

constexpr auto root_footer = R"(Examples:
  rbee up                                   start the service on this machine
  rbee infer "What is a hive?"              ask, and watch the answer come
  git diff | rbee infer --system "Review" - read the prompt from a pipe
  rbee chat                                 talk
  rbee workers list --json                  for scripts
  rbee down                                 stop the service

Environment: RBEE_QUEEN_URL, RBEE_CA_FILE, LLORCH_API_TOKEN_FILE, LLORCH_API_TOKEN, RBEE_HOME,
RBEE_CONFIG, NO_COLOR. Exit codes: 0 success, 1 error, 130 after Ctrl+C.)";

/// "rbee workers" for the app of that name.
std::string command_path(const CLI::App& app) {
    const CLI::App* parent = app.get_parent();
    return parent == nullptr ? app.get_name() : command_path(*parent) + " " + app.get_name();
}

/// Builds the tree of commands over one Invocation. CLI11 keeps pointers into it, so both live and
/// die together.
class Parser {
public:
    Parser() : app_("rbee: dependable LLM service on machines you own", "rbee") {
        app_.fallthrough();
        app_.require_subcommand(1);
        app_.footer(root_footer);
        app_.set_version_flag("--version", "rbee " RBEE_VERSION, "Print the version and exit");
        app_.set_help_flag("-h,--help", "Print this help and exit");
        add_global_options();
        add_service_commands();
        add_infer();
        add_chat();
        add_models();
        add_workers();
        add_hives();
        add_pki();
        add_tokens();
        add_audit(app_, [this](auto options) { invocation_.command = std::move(options); });
        add_other();
    }

    Result<std::variant<Invocation, Notice>> parse(std::vector<std::string> arguments);
    [[nodiscard]] CommandTree tree() const { return describe(app_); }

private:
    template <typename Options>
    std::shared_ptr<Options> on(CLI::App* command, const std::string& footer) {
        const auto options = std::make_shared<Options>();
        command->callback([this, options] { invocation_.command = *options; });
        if (!footer.empty()) {
            command->footer("Examples:\n" + footer);
        }
        return options;
    }

    void add_global_options();
    void add_service_commands();
    void add_infer();
    void add_chat();
    void add_models();
    void add_workers();
    void add_worker_spawn(CLI::App* workers);
    void add_hives();
    void add_invite(CLI::App* hives);
    void add_pki();
    void add_tokens();
    void add_other();
    static void add_sampling(CLI::App* command, SamplingOptions& sampling);
    static void add_load_limit(CLI::App* command, std::uint32_t& seconds);
    static CommandTree describe(const CLI::App& app);
    static OptionInfo describe(const CLI::Option& option);

    Invocation invocation_;
    CLI::App app_;
};

void Parser::add_global_options() {
    GlobalOptions& global = invocation_.global;
    app_.add_option("--queen", global.queen, "URL of the queen, such as http://127.0.0.1:8080")
        ->type_name("URL");
    app_.add_option("--token-file", global.token_file, "File that holds the API token")
        ->type_name("FILE");
    app_.add_option("--ca-file", global.ca_file, "CA of an https queen (PEM)")->type_name("FILE");
    app_.add_flag("--json", global.json, "Print JSON instead of text");
    app_.add_flag("--no-color", global.no_color, "No colours, also on a terminal");
    app_.add_flag("-q,--quiet", global.quiet, "No status lines and progress bars");
}

void Parser::add_service_commands() {
    CLI::App* up = app_.add_subcommand("up", "Start the service on this machine");
    const auto options =
        on<UpOptions>(up, "  rbee up\n  rbee up --port 9000 --models-dir ~/models");
    up->add_option("--port", options->port, "Port of the queen (8080)")->check(port());
    up->add_option("--host", options->host, "Address to listen on (127.0.0.1)");
    up->add_option("--models-dir", options->models_dir, "Folder with model files (.gguf)")
        ->type_name("DIR");
    up->add_flag("--foreground", options->foreground, "Stay; stop the service with Ctrl+C");
    up->add_option("--timeout", options->timeout_s, "Seconds to wait until it serves")
        ->capture_default_str();

    CLI::App* down = app_.add_subcommand("down", "Stop the service on this machine");
    const auto stop = on<DownOptions>(down, "  rbee down");
    down->add_option("--timeout", stop->timeout_s, "Seconds until it is stopped by force")
        ->capture_default_str();

    CLI::App* status = app_.add_subcommand("status", "Show queen, hives, workers and models");
    on<StatusOptions>(status, "  rbee status\n  rbee status --json");
}

void Parser::add_sampling(CLI::App* command, SamplingOptions& sampling) {
    command->add_option("--max-tokens", sampling.max_tokens, "Longest answer, in tokens")
        ->check(CLI::Range(1U, 1048576U));
    command->add_option("--temperature", sampling.temperature, "Randomness, 0 to 2 (0.7)")
        ->check(CLI::Range(0.0, 2.0));
    command->add_option("--seed", sampling.seed, "Seed of the randomness, for repeatable answers");
    command->add_option("--top-p", sampling.top_p, "Keep the most likely tokens up to this sum")
        ->check(CLI::Range(0.0, 1.0));
    command->add_option("--top-k", sampling.top_k, "Keep this many of the most likely tokens");
    command->add_option("--stop", sampling.stop, "Text that ends the answer; may be repeated")
        ->type_name("TEXT")
        ->allow_extra_args(false);
}

void Parser::add_load_limit(CLI::App* command, std::uint32_t& seconds) {
    command->add_option("--load-timeout", seconds, "Seconds a model may load without any progress")
        ->check(CLI::Range(1U, 86400U))
        ->capture_default_str();
}

void Parser::add_infer() {
    CLI::App* infer = app_.add_subcommand("infer", "Answer one prompt and stream the answer");
    const auto options = on<InferOptions>(
        infer,
        "  rbee infer \"What is a hive?\"\n"
        "  rbee infer --model tiny --max-tokens 50 --seed 1 --json \"Hello\"\n"
        "  echo \"Once upon a time\" | rbee infer --raw -"
    );
    infer->add_option("prompt", options->prompt, "The prompt; '-' or nothing reads a pipe");
    infer->add_option("--prompt", options->prompt, "The same as a flag")->type_name("TEXT");
    infer->add_option("-m,--model", options->model, "Model name or reference")->check(model_ref());
    infer->add_option("--node", options->node, "Run on this node (implies --raw)")
        ->check(node_name());
    infer->add_option("--backend", options->backend, "cpu, cuda or metal (implies --raw)")
        ->check(CLI::IsMember({"cpu", "cuda", "metal"}));
    infer->add_option("--device", options->device, "Device number (implies --raw)");
    infer->add_option("-s,--system", options->system, "Instruction for the whole conversation")
        ->type_name("TEXT");
    add_sampling(infer, options->sampling);
    infer->add_option("--timeout", options->timeout_s, "Seconds the whole request may take")
        ->check(CLI::Range(0.001, 86400.0));
    infer
        ->add_option("--stall-timeout", options->stall_s, "Seconds without a token until giving up")
        ->check(CLI::Range(1U, 86400U))
        ->capture_default_str();
    add_load_limit(infer, options->load_s);
    CLI::Option* raw =
        infer->add_flag("--raw", options->raw, "Continue the prompt as it is, no chat template");
    CLI::Option* chat =
        infer->add_flag("--chat", options->chat, "Use the model's chat template (default)");
    chat->excludes(raw)->excludes("--node")->excludes("--backend")->excludes("--device");
    infer->callback([this, options, infer] {
        options->prompt_given = infer->count("prompt") + infer->count("--prompt") > 0;
        options->raw = options->raw || !options->node.empty() || !options->backend.empty() ||
                       options->device.has_value();
        invocation_.command = *options;
    });
}

void Parser::add_chat() {
    CLI::App* chat = app_.add_subcommand("chat", "Talk with a model; /help shows the commands");
    const auto options = on<ChatOptions>(chat, "  rbee chat\n  rbee chat --system \"Be brief\"");
    chat->add_option("-m,--model", options->model, "Model name or reference")->check(model_ref());
    chat->add_option("-s,--system", options->system, "Instruction for the whole conversation")
        ->type_name("TEXT");
    add_sampling(chat, options->sampling);
    chat->add_option("--stall-timeout", options->stall_s, "Seconds without a token until giving up")
        ->check(CLI::Range(1U, 86400U))
        ->capture_default_str();
    add_load_limit(chat, options->load_s);
}

void Parser::add_models() {
    CLI::App* models = app_.add_subcommand("models", "Models that can be served");
    models->require_subcommand(1);
    on<ModelsListOptions>(
        models->add_subcommand("list", "List all models with their state"), "  rbee models list"
    );
}

void Parser::add_workers() {
    CLI::App* workers = app_.add_subcommand("workers", "Worker processes, one loaded model each");
    workers->require_subcommand(1);

    CLI::App* list = workers->add_subcommand("list", "List all workers with their state");
    const auto listing = on<WorkersListOptions>(list, "  rbee workers list");
    list->add_option("--node", listing->node, "Only workers of this node")->check(node_name());

    CLI::App* health = workers->add_subcommand("health", "Show which workers are ready");
    const auto healthy = on<WorkersListOptions>(health, "  rbee workers health --node local");
    healthy->health = true;
    health->add_option("--node", healthy->node, "Only workers of this node")->check(node_name());

    add_worker_spawn(workers);

    for (const auto* name : {"stop", "shutdown"}) {
        CLI::App* stop = workers->add_subcommand(name, "Stop a worker");
        const auto stopping =
            on<WorkersStopOptions>(stop, fmt::format("  rbee workers {} ID", name));
        CLI::Option* id = stop->add_option("worker", stopping->id, "Worker id")->check(worker_id());
        CLI::Option* flag =
            stop->add_option("--id", stopping->id, "The same as a flag")->check(worker_id());
        id->excludes(flag);
        stop->callback([this, stopping] {
            if (stopping->id.empty()) {
                throw CLI::RequiredError("worker");
            }
            invocation_.command = *stopping;
        });
    }

    CLI::App* restart = workers->add_subcommand(
        "restart", "Replace a worker by a new one, or bring one back at once that has died"
    );
    const auto again = on<WorkersRestartOptions>(restart, "  rbee workers restart ID");
    restart->add_option("worker", again->id, "Worker id")->required()->check(worker_id());
    restart->add_flag("--no-wait", again->no_wait, "Do not wait until it is ready");
    add_load_limit(restart, again->load_s);

    CLI::App* logs = workers->add_subcommand("logs", "Print the log of a worker");
    const auto reading = on<WorkersLogsOptions>(logs, "  rbee workers logs ID --tail 50 --follow");
    logs->add_option("worker", reading->id, "Worker id")->required()->check(worker_id());
    logs->add_option("--tail", reading->tail, "Lines to begin with")
        ->check(CLI::Range(0U, 10'000U))
        ->capture_default_str();
    logs->add_flag("-f,--follow", reading->follow, "Go on until Ctrl+C");

    CLI::App* death = workers->add_subcommand("postmortem", "Tell how a worker died last");
    const auto dead = on<WorkersPostmortemOptions>(death, "  rbee workers postmortem ID --log 100");
    death->add_option("worker", dead->id, "Worker id")->required()->check(worker_id());
    death->add_option("--log", dead->log_lines, "Lines of the end of its log to show")
        ->check(CLI::Range(0U, 100'000U))
        ->capture_default_str();
}

void Parser::add_worker_spawn(CLI::App* workers) {
    CLI::App* spawn = workers->add_subcommand("spawn", "Start a worker and wait until it is ready");
    const auto options = on<WorkersSpawnOptions>(
        spawn,
        "  rbee workers spawn tiny\n"
        "  rbee workers spawn file:/models/a.gguf --slots 8 -- --ctx-size 16384"
    );
    spawn->add_option("model", options->model, "Model name or reference")
        ->required()
        ->check(spawn_ref());
    spawn->add_option("engine-flags", options->engine_args, "Flags of llama-server, behind --");
    spawn->add_option("--backend", options->backend, "cpu, cuda or metal")
        ->check(CLI::IsMember({"cpu", "cuda", "metal"}))
        ->capture_default_str();
    spawn->add_option("--device", options->device, "Device number");
    spawn->add_option("--slots", options->slots, "Requests at the same time")
        ->check(CLI::Range(1U, 256U));
    spawn->add_option("--node", options->node, "Run on this node")->check(node_name());
    spawn->add_flag("--no-wait", options->no_wait, "Return while the model still loads");
    add_load_limit(spawn, options->load_s);
}

void Parser::add_hives() {
    CLI::App* hives = app_.add_subcommand("hives", "Machines that run workers");
    hives->require_subcommand(1);
    on<HivesListOptions>(hives->add_subcommand("list", "List all hives"), "  rbee hives list");

    CLI::App* add = hives->add_subcommand("add", "Make a hive known to the queen");
    const auto adding = on<HivesAddOptions>(add, "  rbee hives add attic http://10.0.0.7:9200");
    add->add_option("name", adding->name, "Name of the node")->required()->check(node_name());
    add->add_option("url", adding->url, "Base URL of its hive")->required()->check(base_url());

    CLI::App* remove = hives->add_subcommand("remove", "Forget a hive");
    const auto removing = on<HivesRemoveOptions>(remove, "  rbee hives remove attic");
    remove->add_option("name", removing->name, "Name of the node")->required()->check(node_name());

    add_invite(hives);
}

void Parser::add_invite(CLI::App* hives) {
    CLI::App* invite = hives->add_subcommand("invite", "Let a machine join as a hive, over TLS");
    const auto options = on<HivesInviteOptions>(
        invite,
        "  rbee hives invite attic\n  rbee hives invite attic "
        "--expires 15m"
    );
    invite->add_option("name", options->name, "Name of the node")->required()->check(node_name());
    invite
        ->add_option_function<std::string>(
            "--expires",
            [options](const std::string& text) { options->expires = *parse_lifetime(text); },
            "Time until the join token is no longer valid, at most 7d (1h)"
        )
        ->type_name("TIME")
        ->check(lifetime());
}

void Parser::add_pki() {
    CLI::App* pki = app_.add_subcommand("pki", "Certificates for a queen that serves HTTPS");
    pki->require_subcommand(1);
    const auto add = [&](const char* name, const char* help, const char* footer, bool renew) {
        CLI::App* command = pki->add_subcommand(name, help);
        const auto options = on<PkiOptions>(command, footer);
        options->renew = renew;
        command->add_option("--dir", options->dir, "Folder ($RBEE_HOME/pki)")->type_name("DIR");
        command
            ->add_option("--name", options->names, "Host name or address of the queen; repeatable")
            ->type_name("HOST")
            ->allow_extra_args(false);
    };
    add("init",
        "Make a private CA and the queen's certificate",
        "  rbee pki init --name queen.lan --name 10.0.0.5",
        false);
    add("renew", "Make the queen's certificate anew", "  rbee pki renew", true);
}

void Parser::add_tokens() {
    CLI::App* token = app_.add_subcommand("token", "Named tokens of the queen on this machine");
    token->require_subcommand(1);

    CLI::App* create = token->add_subcommand("new", "Make a token and print it, once");
    const auto options = on<TokenNewOptions>(
        create,
        "  rbee token new laptop\n"
        "  rbee token new dashboard --scopes metrics,models --expires 30d"
    );
    create->add_option("name", options->name, "Name for logs and lists")
        ->required()
        ->check(token_name());
    create->add_option("--scopes", options->scopes, "infer, models, metrics, admin, hive, worker")
        ->type_name("LIST")
        ->check(scopes())
        ->capture_default_str();
    create
        ->add_option_function<std::string>(
            "--expires",
            [options](const std::string& text) { options->expires = *parse_lifetime(text); },
            "Time until it is no longer valid, such as 12h or 30d (never)"
        )
        ->type_name("TIME")
        ->check(lifetime());

    on<TokenListOptions>(
        token->add_subcommand("list", "List the named tokens"), "  rbee token list --json"
    );

    CLI::App* revoke = token->add_subcommand("revoke", "Make a token invalid");
    const auto revoking = on<TokenRevokeOptions>(revoke, "  rbee token revoke laptop");
    revoke->add_option("name", revoking->name, "Name of the token")
        ->required()
        ->check(token_name());
}

void Parser::add_other() {
    CLI::App* version = app_.add_subcommand("version", "Print the versions of client and queen");
    on<VersionOptions>(version, "  rbee version --json");

    CLI::App* completion = app_.add_subcommand("completion", "Print a completion script");
    const auto options = on<CompletionOptions>(
        completion,
        "  source <(rbee completion bash)\n"
        "  rbee completion zsh > ~/.zfunc/_rbee\n"
        "  rbee completion fish > ~/.config/fish/completions/rbee.fish"
    );
    completion->add_option("shell", options->shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

Result<std::variant<Invocation, Notice>> Parser::parse(std::vector<std::string> arguments) {
    std::ranges::reverse(arguments); // CLI11 takes them from the back
    try {
        app_.parse(std::move(arguments));
        return invocation_;
    } catch (const CLI::CallForHelp&) {
        const CLI::App* command = &app_;
        while (!command->get_subcommands().empty()) {
            command = command->get_subcommands().front();
        }
        const CLI::App* parent = command->get_parent();
        return Notice{command->help(parent == nullptr ? "" : command_path(*parent))};
    } catch (const CLI::CallForVersion& version) {
        return Notice{std::string(version.what()) + "\n"};
    } catch (const CLI::ParseError& error) {
        const auto surplus = app_.remaining();
        if (app_.get_subcommands().empty() && !surplus.empty() &&
            !surplus.front().starts_with('-')) {
            return fail(Errc::invalid_argument, "there is no command " + surplus.front());
        }
        return fail(Errc::invalid_argument, error.what());
    }
}

OptionInfo Parser::describe(const CLI::Option& option) {
    OptionInfo info;
    for (const auto& name : option.get_snames()) {
        info.names.push_back("-" + name);
    }
    for (const auto& name : option.get_lnames()) {
        info.names.push_back("--" + name);
    }
    info.description = option.get_description();
    info.takes_value = option.get_items_expected_max() > 0;
    const std::string type = option.get_type_name();
    info.takes_file = type.contains("FILE") || type.contains("DIR");
    if (const auto open = type.find('{'); open != std::string::npos) {
        const std::string list = type.substr(open + 1, type.find('}') - open - 1);
        info.choices = CLI::detail::split(list, ',');
    }
    return info;
}

CommandTree Parser::describe(const CLI::App& app) {
    CommandTree tree{app.get_name(), app.get_description(), {}, {}, {}};
    for (const CLI::Option* option : app.get_options()) {
        OptionInfo info = describe(*option);
        if (option->get_positional()) {
            if (tree.positional_choices.empty()) {
                tree.positional_choices = std::move(info.choices);
            }
        } else {
            tree.options.push_back(std::move(info));
        }
    }
    for (const CLI::App* command : app.get_subcommands({})) {
        tree.commands.push_back(describe(*command));
    }
    return tree;
}

} // namespace

Result<std::variant<Invocation, Notice>> parse(std::vector<std::string> arguments) {
    return Parser().parse(std::move(arguments));
}

CommandTree command_tree() {
    return Parser().tree();
}

} // namespace rbee::cli
