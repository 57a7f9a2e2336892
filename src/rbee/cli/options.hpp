#pragma once

#include "rbee/base/result.hpp"
#include "rbee/cli/command_tree.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace rbee::cli {

/// Flags of every command.
struct GlobalOptions {
    std::string queen;      ///< Empty: see Settings.
    std::string token_file; ///< Empty: see Settings.
    std::string ca_file;    ///< Empty: see Settings.
    bool json = false;
    bool no_color = false;
    bool quiet = false;
};

struct UpOptions {
    std::optional<std::uint16_t> port;
    std::string host;
    std::string models_dir;
    bool foreground = false;
    std::uint32_t timeout_s = 30;
};

struct DownOptions {
    std::uint32_t timeout_s = 35;
};

struct StatusOptions {};

/// Sampling, shared by `infer` and `chat`. What is absent is left to the server.
struct SamplingOptions {
    std::optional<std::uint32_t> max_tokens;
    std::optional<double> temperature;
    std::optional<std::uint64_t> seed;
    std::optional<double> top_p;
    std::optional<std::uint32_t> top_k;
    std::vector<std::string> stop;
};

struct InferOptions {
    std::string prompt;
    bool prompt_given = false;
    std::string model;
    std::string node;
    std::string backend;
    std::optional<std::uint32_t> device;
    std::string system;
    SamplingOptions sampling;
    std::optional<double> timeout_s;
    std::uint32_t stall_s = 60;
    std::uint32_t load_s = 300;
    bool raw = false;
    bool chat = false; ///< The default, spelled out.
};

struct ChatOptions {
    std::string model;
    std::string system;
    SamplingOptions sampling;
    std::uint32_t stall_s = 60;
    std::uint32_t load_s = 300;
};

struct ModelsListOptions {};

struct WorkersListOptions {
    std::string node;
    bool health = false; ///< `workers health`: only what matters for health.
};

struct WorkersSpawnOptions {
    std::string model;
    std::string backend = "cpu";
    std::optional<std::uint32_t> device;
    std::optional<std::uint32_t> slots;
    std::string node;
    bool no_wait = false;
    std::uint32_t load_s = 300;
    std::vector<std::string> engine_args; ///< Flags of llama-server.
};

struct WorkersStopOptions {
    std::string id;
};

struct WorkersRestartOptions {
    std::string id;
    bool no_wait = false;
    std::uint32_t load_s = 300;
};

struct WorkersLogsOptions {
    std::string id;
    std::uint32_t tail = 100;
    bool follow = false;
};

struct WorkersPostmortemOptions {
    std::string id;
    std::uint32_t log_lines = 20; ///< Of the end of its log.
};

struct HivesListOptions {};

struct HivesAddOptions {
    std::string name;
    std::string url;
};

struct HivesRemoveOptions {
    std::string name;
};

struct HivesInviteOptions {
    std::string name;
    std::chrono::seconds expires{3600};
};

/// `pki init` and `pki renew`.
struct PkiOptions {
    bool renew = false;
    std::string dir;                ///< Empty: $RBEE_HOME/pki.
    std::vector<std::string> names; ///< Hosts of the queen; empty: see the command.
};

/// Named tokens of the queen on this machine.
struct TokenNewOptions {
    std::string name;
    std::string scopes = "infer,models";
    std::optional<std::chrono::seconds> expires; ///< From now on; never when absent.
};

struct TokenListOptions {};

struct TokenRevokeOptions {
    std::string name;
};

/// Which audit log. With neither, that of every service below the base folder.
struct AuditLogOptions {
    std::string dir;     ///< Folder of one service's log.
    std::string service; ///< "queen-rbee", "rbee-hive" or "llm-worker-rbee".
};

struct AuditInitOptions {
    AuditLogOptions log;
};

struct AuditVerifyOptions {
    AuditLogOptions log;
    std::string key_file; ///< What `audit init` printed.
    std::string witness;  ///< "ID:HASH" of a record that somebody remembers.
};

/// `audit show`, and `audit tail`, which begins near the end.
struct AuditShowOptions {
    AuditLogOptions log;
    std::string since; ///< RFC 3339, or a length of time before now such as "2h".
    std::string until;
    std::string type;
    std::string actor;
    std::string correlation_id;
    std::optional<std::uint32_t> last; ///< Only so many, the newest.
    bool follow = false;
};

struct VersionOptions {};

struct CompletionOptions {
    std::string shell;
};

/// One parsed command line.
struct Invocation {
    GlobalOptions global;
    std::variant<
        UpOptions,
        DownOptions,
        StatusOptions,
        InferOptions,
        ChatOptions,
        ModelsListOptions,
        WorkersListOptions,
        WorkersSpawnOptions,
        WorkersStopOptions,
        WorkersRestartOptions,
        WorkersLogsOptions,
        WorkersPostmortemOptions,
        HivesListOptions,
        HivesAddOptions,
        HivesRemoveOptions,
        HivesInviteOptions,
        PkiOptions,
        TokenNewOptions,
        TokenListOptions,
        TokenRevokeOptions,
        AuditInitOptions,
        AuditVerifyOptions,
        AuditShowOptions,
        VersionOptions,
        CompletionOptions>
        command;
};

/// Text that the command line itself asked for: --help, --version.
struct Notice {
    std::string text;
};

/// Reads the arguments behind the program's name. Fails with Errc::invalid_argument and a sentence
/// that names the argument.
[[nodiscard]] Result<std::variant<Invocation, Notice>> parse(std::vector<std::string> arguments);

/// A length of time such as "90s", "15m", "12h", "30d" or "2w", at most 100 years.
[[nodiscard]] Result<std::chrono::seconds> parse_lifetime(std::string_view text);

/// All commands and options as data; what completion scripts are made from.
[[nodiscard]] CommandTree command_tree();

} // namespace rbee::cli
