#include "rbee/queen/option_rows.hpp"

#include "rbee/audit/settings.hpp"
#include "rbee/config/option_value.hpp"
#include "rbee/domain/validate.hpp"
#include "rbee/http/edge_options.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <map>
#include <type_traits>
#include <utility>

namespace rbee::queen {
namespace {

using Kind = config::Setting::Kind;

// `member` is a member of Options, or a function that picks one out of a part of them.

template <typename Number, typename Member>
auto numeric(Member member, config::NumberRange range) {
    return [=](Options& options, std::string_view flag, const std::string& text) -> Result<void> {
        const auto value = config::parse_number(flag, text, range);
        if (!value) {
            return error_of(value);
        }
        auto& into = std::invoke(member, options);
        into = std::remove_reference_t<decltype(into)>(static_cast<Number>(*value));
        return {};
    };
}

auto port(std::uint16_t Options::* member) {
    return [=](Options& options, std::string_view flag, const std::string& text) -> Result<void> {
        constexpr std::uint64_t none = 65536; // refused like any other that is no port
        const auto value = config::parse_number(flag, text, {});
        const auto good = domain::check_port(value ? *value : none);
        if (!good) {
            return std::unexpected(good.error().within(flag));
        }
        options.*member = static_cast<std::uint16_t>(*value);
        return {};
    };
}

template <typename Member>
auto text_of(Member member) {
    return [=](Options& options, std::string_view, const std::string& text) -> Result<void> {
        std::invoke(member, options) = text;
        return {};
    };
}

Result<void> set_local_hive(Options& options, std::string_view flag, const std::string& text) {
    const std::map<std::string, LocalHiveMode> modes = {
        {"auto", LocalHiveMode::automatic},
        {"always", LocalHiveMode::always},
        {"never", LocalHiveMode::never},
    };
    const auto found = modes.find(text);
    if (found == modes.end()) {
        return fail(Errc::invalid_argument, std::string(flag) + " must be auto, always or never");
    }
    options.local_hive = found->second;
    return {};
}

template <typename Member>
auto on_or_off(Member member) {
    return [=](Options& options, std::string_view flag, const std::string& text) -> Result<void> {
        const auto value = config::parse_switch(flag, text);
        if (!value) {
            return error_of(value);
        }
        std::invoke(member, options) = *value;
        return {};
    };
}

auto tls_file(std::string pki::TlsFiles::* member) {
    return text_of([=](Options& options) -> std::string& { return options.tls_files.*member; });
}

auto log_text(std::string LogTexts::* member) {
    return text_of([=](Options& options) -> std::string& { return options.log_texts.*member; });
}

auto deadline_s(domain::milliseconds domain::DeadlinePolicy::* member) {
    const auto pick = [=](Options& options) -> domain::milliseconds& {
        return options.deadline.*member;
    };
    const auto max = std::chrono::duration_cast<std::chrono::seconds>(domain::deadline_cap_max);
    return numeric<std::chrono::seconds>(pick, {1, static_cast<std::uint64_t>(max.count())});
}

/// For requests that bring no deadline of their own, and the bound for those that do.
std::vector<OptionRow> make_deadline_rows() {
    return {
        {{.name = "deadline-s",
          .variable = "RBEE_DEADLINE_S",
          .help = "Time for an answer when the request names none, in seconds [30]",
          .kind = Kind::number,
          .key = "deadline.default_s",
          .live = true},
         deadline_s(&domain::DeadlinePolicy::whole)},
        {{.name = "deadline-first-token-s",
          .variable = "RBEE_DEADLINE_FIRST_TOKEN_S",
          .help = "The same for the first token of a stream, in seconds [30]",
          .kind = Kind::number,
          .key = "deadline.first_token_s",
          .live = true},
         deadline_s(&domain::DeadlinePolicy::first_token)},
        {{.name = "deadline-stream-s",
          .variable = "RBEE_DEADLINE_STREAM_S",
          .help = "The same for a whole stream, in seconds [600]",
          .kind = Kind::number,
          .key = "deadline.stream_s",
          .live = true},
         deadline_s(&domain::DeadlinePolicy::stream_total)},
        {{.name = "deadline-max-s",
          .variable = "RBEE_DEADLINE_MAX_S",
          .help = "No request gets more time than this, in seconds [1800]",
          .kind = Kind::number,
          .key = "deadline.max_s",
          .live = true},
         deadline_s(&domain::DeadlinePolicy::cap)},
        {{.name = "deadline-strict",
          .variable = "RBEE_DEADLINE_STRICT",
          .help = "Whether --deadline-s holds for streams as a whole too: on or off [off]",
          .kind = Kind::toggle,
          .key = "deadline.strict",
          .live = true},
         on_or_off([](Options& options) -> bool& { return options.deadline.strict; })},
    };
}

/// The queen herself.
std::vector<OptionRow> own_rows() {
    return {
        {{.name = "port",
          .variable = "RBEE_QUEEN_PORT",
          .help = "Port to listen on (0: any free one) [8080]",
          .kind = Kind::number,
          .key = "server.port",
          .short_flag = 'p'},
         port(&Options::port)},
        {{.name = "host",
          .variable = "RBEE_QUEEN_HOST",
          .help = "Address to listen on [127.0.0.1]",
          .key = "server.host"},
         text_of(&Options::host)},
        {{.name = "database",
          .variable = "RBEE_DATABASE",
          .help = "Node registry [$RBEE_HOME/beehives.db]",
          .key = "database.path",
          .short_flag = 'd'},
         text_of(&Options::database)},
        {{.name = "token-file",
          .variable = "LLORCH_API_TOKEN_FILE",
          .help = "File with the API token (mode 0600)",
          .key = "auth.api_token_file"},
         text_of(&Options::token_file)},
        {{.name = "tokens-file",
          .variable = "RBEE_TOKENS_FILE",
          .help = "Named tokens, as 'rbee token' writes them [$RBEE_HOME/tokens.toml]",
          .key = "auth.tokens_file"},
         text_of(&Options::tokens_file)},
        {{.name = "hive-token-file",
          .variable = "RBEE_HIVE_TOKEN_FILE",
          .help = "File with the token to send to hives [the API token]",
          .key = "auth.hive_token_file"},
         text_of(&Options::hive_token_file)},
        {{.name = "core-dumps",
          .variable = "RBEE_CORE_DUMPS",
          .help =
              "Whether this program may leave core files, which show its secrets: on or off [off]",
          .kind = Kind::toggle,
          .key = "server.core_dumps"},
         on_or_off(&Options::core_dumps)},
        {{.name = "metrics-auth",
          .variable = "RBEE_METRICS_AUTH",
          .help = "Whether /metrics needs a token with the scope metrics: on or off [off]",
          .kind = Kind::toggle,
          .key = "auth.metrics"},
         on_or_off(&Options::metrics_auth)},
    };
}

/// Certificates.
std::vector<OptionRow> tls_rows() {
    return {
        {{.name = "tls",
          .variable = "RBEE_TLS",
          .help = "Serve HTTPS with the certificate that 'rbee pki init' made",
          .kind = Kind::toggle,
          .key = "tls.on",
          .bare = true},
         on_or_off(&Options::tls)},
        {{.name = "tls-cert",
          .variable = "RBEE_TLS_CERT",
          .help = "Certificate to serve HTTPS with (PEM)",
          .key = "tls.certificate"},
         tls_file(&pki::TlsFiles::certificate)},
        {{.name = "tls-key",
          .variable = "RBEE_TLS_KEY",
          .help = "Its private key (PEM, mode 0600)",
          .key = "tls.key"},
         tls_file(&pki::TlsFiles::key)},
        {{.name = "tls-ca",
          .variable = "RBEE_TLS_CA",
          .help = "CA that signs the certificates of hives, which must then show one",
          .key = "tls.ca"},
         tls_file(&pki::TlsFiles::ca)},
        {{.name = "pki-dir",
          .variable = "RBEE_PKI_DIR",
          .help = "Folder of the private CA [$RBEE_HOME/pki]",
          .key = "tls.pki_dir"},
         text_of(&Options::pki_dir)},
    };
}

/// The line in front of the workers.
std::vector<OptionRow> queue_rows() {
    return {
        {{.name = "queue-capacity",
          .variable = "RBEE_QUEUE_CAPACITY",
          .help = "Requests that may wait for a slot [100]",
          .kind = Kind::number,
          .key = "queue.capacity",
          .live = true},
         numeric<std::size_t>(&Options::queue_capacity, {0, 1'000'000})},
        {{.name = "queue-wait-s",
          .variable = "RBEE_QUEUE_WAIT_S",
          .help = "Longest wait for a slot, in seconds [300]",
          .kind = Kind::number,
          .key = "queue.wait_s",
          .live = true},
         numeric<unsigned>(&Options::queue_wait, {1, 86'400})},
        {{.name = "worker-silence-s",
          .variable = "RBEE_WORKER_SILENCE_S",
          .help = "Silence after which a self-registered worker is removed, in seconds [120]",
          .kind = Kind::number,
          .key = "workers.silence_s",
          .live = true},
         numeric<unsigned>(&Options::worker_silence, {1, 86'400})},
    };
}

/// The hive that she runs on her machine.
std::vector<OptionRow> local_hive_rows() {
    return {
        {{.name = "local-hive",
          .variable = "RBEE_LOCAL_HIVE",
          .help = "Run a hive on this machine: auto (when no other is registered), always or "
                  "never [auto]",
          .key = "local_hive.mode"},
         set_local_hive},
        {{.name = "local-hive-port",
          .variable = "RBEE_LOCAL_HIVE_PORT",
          .help = "Port of that hive (0: any free one) [9200]",
          .kind = Kind::number,
          .key = "local_hive.port"},
         port(&Options::local_hive_port)},
        {{.name = "hive-binary",
          .variable = "RBEE_HIVE_BINARY",
          .help = "Program of that hive [rbee-hive beside queen-rbee]",
          .key = "local_hive.binary"},
         text_of(&Options::hive_binary)},
        {{.name = "models-dir",
          .variable = "RBEE_MODELS_DIR",
          .help = "Models of that hive [its own default]",
          .key = "local_hive.models_dir"},
         text_of(&Options::models_dir)},
        {{.name = "slots",
          .variable = "RBEE_SLOTS",
          .help = "Requests at a time for each worker [hive's default]",
          .kind = Kind::number,
          .key = "local_hive.slots",
          .example = "4"},
         numeric<std::uint32_t>(&Options::slots, {1, 256})},
    };
}

std::vector<OptionRow> log_rows() {
    return {
        {{.name = "log-format",
          .variable = "LLORCH_LOG_FORMAT",
          .help = "How log lines look: json or pretty [pretty on a terminal, else json]",
          .key = "log.format"},
         log_text(&LogTexts::format)},
        {{.name = "log-level",
          .variable = "LLORCH_LOG_LEVEL",
          .help = "Least level that is logged: trace, debug, info, warn, error or off [info]",
          .key = "log.level",
          .live = true},
         log_text(&LogTexts::level)},
    };
}

std::vector<OptionRow> audit_rows() {
    std::vector<OptionRow> out;
    for (const audit::SettingRow& row : audit::setting_rows()) {
        out.push_back(
            {row.setting,
             [&row](Options& options, std::string_view, const std::string& text) {
                 return row.apply(options.audit, text);
             }}
        );
    }
    return out;
}

std::vector<OptionRow> edge_rows() {
    std::vector<OptionRow> out;
    for (const http::EdgeSetting& edge : http::edge_settings()) {
        out.push_back(
            {edge.setting,
             [&edge](Options& options, std::string_view, const std::string& text) {
                 return edge.apply(options.http, text);
             }}
        );
    }
    return out;
}

} // namespace

const std::vector<OptionRow>& deadline_rows() {
    static const std::vector<OptionRow> rows = make_deadline_rows();
    return rows;
}

const std::vector<OptionRow>& option_rows() {
    static const std::vector<OptionRow> rows = [] {
        std::vector<OptionRow> out = own_rows();
        for (std::vector<OptionRow> more :
             {tls_rows(),
              queue_rows(),
              deadline_rows(),
              local_hive_rows(),
              log_rows(),
              audit_rows(),
              edge_rows()}) {
            std::ranges::move(more, std::back_inserter(out));
        }
        return out;
    }();
    return rows;
}

const std::vector<config::Setting>& settings() {
    static const std::vector<config::Setting> all = [] {
        std::vector<config::Setting> out;
        for (const OptionRow& row : option_rows()) {
            out.push_back(row.setting);
        }
        return out;
    }();
    return all;
}

Result<void> apply(const OptionRow& row, Options& options, const std::string& text) {
    return row.apply(options, "--" + std::string(row.setting.name), text);
}

} // namespace rbee::queen
