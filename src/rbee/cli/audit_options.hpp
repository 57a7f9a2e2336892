#pragma once

#include "rbee/cli/option_checks.hpp"
#include "rbee/cli/options.hpp"

#include <CLI/CLI.hpp>

#include <cstdint>
#include <memory>
#include <string>

namespace rbee::cli {

/// The options that say which audit log is meant.
void add_audit_log(CLI::App& command, AuditLogOptions& log);
/// The filters of `audit show` and `audit tail`.
void add_audit_filters(CLI::App& command, AuditShowOptions& options);

/// Adds `rbee audit …` to `app`; `chosen` gets the options of the command that was given.
template <typename Chosen>
void add_audit(CLI::App& app, Chosen chosen) {
    CLI::App* audit = app.add_subcommand("audit", "The record of who did what on this machine");
    audit->require_subcommand(1);
    const auto add = [&](const char* name, const char* help, auto options, const char* footer) {
        CLI::App* command = audit->add_subcommand(name, help);
        command->callback([options, chosen] { chosen(*options); });
        command->footer(std::string("Examples:\n") + footer);
        add_audit_log(*command, options->log);
        return command;
    };
    add("init",
        "Give a log a key and print it, once: then nobody can rewrite the past",
        std::make_shared<AuditInitOptions>(),
        "  rbee audit init --service queen-rbee > key; keep it on another machine");

    const auto checking = std::make_shared<AuditVerifyOptions>();
    CLI::App* verify =
        add("verify",
            "Check that nothing was changed, removed or added",
            checking,
            "  rbee audit verify\n"
            "  rbee audit verify --service queen-rbee --key-file key --json\n"
            "Exit codes: 0 in order, 2 tampered with, 3 unfinished end, 4 events are missing and "
            "the log says so.");
    verify->add_option("--key-file", checking->key_file, "File with what `audit init` printed")
        ->type_name("FILE");
    verify->add_option("--witness", checking->witness, "A record that must be there: ID:HASH")
        ->type_name("ID:HASH");

    const auto tailing = std::make_shared<AuditShowOptions>();
    tailing->last = 20;
    CLI::App* tail = add("tail", "Print the newest records", tailing, "  rbee audit tail --follow");
    tail->add_option("-n,--lines", tailing->last, "Records to begin with")
        ->check(CLI::Range(0U, 1'000'000U))
        ->capture_default_str();
    tail->add_flag("-f,--follow", tailing->follow, "Go on until Ctrl+C");
    add_audit_filters(*tail, *tailing);

    const auto showing = std::make_shared<AuditShowOptions>();
    CLI::App* show =
        add("show",
            "Print records",
            showing,
            "  rbee audit show --type 'auth.*' --since 24h\n"
            "  rbee audit show --correlation-id 0b0b0b0b-1111-4222-8333-444444444444 --json");
    show->add_option("--last", showing->last, "Only so many, the newest")
        ->check(CLI::Range(0U, 1'000'000U));
    add_audit_filters(*show, *showing);
}

} // namespace rbee::cli
