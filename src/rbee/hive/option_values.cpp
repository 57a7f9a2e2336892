#include "rbee/hive/option_values.hpp"

#include "rbee/base/text.hpp"
#include "rbee/config/toml_file.hpp"
#include "rbee/hive/adoption_options.hpp"
#include "rbee/hive/restart_options.hpp"
#include "rbee/http/edge_options.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

namespace rbee::hive {
namespace {

using Kind = OptionRow::Kind;

std::string file_key(const OptionRow& row) {
    if (!row.file_key.empty()) {
        return std::string(row.file_key);
    }
    std::string key = "hive." + std::string(row.name);
    std::ranges::replace(key, '-', '_');
    return key;
}

std::vector<std::string> split_list(std::string_view text) {
    std::vector<std::string> out;
    for (const std::string_view part : split(text, ',')) {
        if (!trim(part).empty()) {
            out.emplace_back(trim(part));
        }
    }
    return out;
}

/// The values of one row in the file; empty when it is not there.
Result<std::vector<std::string>> from_file(config::TomlFile& file, const OptionRow& row) {
    const std::string key = file_key(row);
    std::vector<std::string> out;
    if (row.kind == Kind::number) {
        const auto value = file.get<std::uint64_t>(key);
        if (!value) {
            return error_of(value);
        }
        if (const std::optional<std::uint64_t> number = *value) {
            out.push_back(std::to_string(*number));
        }
    } else if (row.kind == Kind::list) {
        auto value = file.get<std::vector<std::string>>(key);
        if (!value) {
            return error_of(value);
        }
        out = std::move(*value).value_or(std::vector<std::string>());
    } else {
        auto value = file.get<std::string>(key);
        if (!value) {
            return error_of(value);
        }
        if (*value) {
            out.push_back(std::move(**value));
        }
    }
    return out;
}

/// A text or a number, as text.
Result<std::string> any_value(config::TomlFile& file, const std::string& key) {
    if (const auto number = file.get<std::uint64_t>(key); number && *number) {
        return std::to_string(**number);
    }
    auto text = file.get<std::string>(key);
    if (!text) {
        return error_of(text);
    }
    return std::move(*text).value_or("");
}

std::vector<OptionRow> own_rows() {
    return {
        {"host", "RBEE_HIVE_HOST", "Address to listen on [127.0.0.1]"},
        {"port", "RBEE_HIVE_PORT", "Port to listen on; 0 = any that is free [9200]", Kind::number},
        {"node-name", "RBEE_NODE_NAME", "Name of this node [its host name]"},
        {"public-url", "RBEE_HIVE_URL", "URL at which the queen reaches this hive"},
        {"metrics-auth",
         "RBEE_METRICS_AUTH",
         "Whether /metrics needs a token with the scope metrics: on or off [off]"},
        {"join", "RBEE_JOIN", "https:// URL of the queen to join, at the first start"},
        {"join-token", "RBEE_JOIN_TOKEN", "What `rbee hives invite` printed, for --join"},
        {"tls-cert", "RBEE_HIVE_TLS_CERT", "Certificate to serve HTTPS with [that of the join]"},
        {"tls-key", "RBEE_HIVE_TLS_KEY", "Its private key, mode 0600"},
        {"tls-ca", "RBEE_HIVE_TLS_CA", "CA of the queen, who must then show her certificate"},
        {"queen-url", "QUEEN_CALLBACK_URL", "Queen to report to; none when not given"},
        {"models-dir",
         "RBEE_MODELS_DIR",
         "Directory with models; may be repeated [$RBEE_HOME/models]",
         Kind::list},
        {"worker-binary", "RBEE_WORKER_BINARY", "Path of llm-worker-rbee [beside this program]"},
        {"worker-host", "RBEE_WORKER_HOST", "Numeric address that workers listen on [127.0.0.1]"},
        {"worker-ports", "RBEE_WORKER_PORTS", "Ports for workers, FIRST-LAST or 0 [8081-9000]"},
        {"worker-backends",
         "RBEE_WORKER_BACKENDS",
         "What the worker program supports [cpu]",
         Kind::list},
        {"allow-remote-images",
         "RBEE_ALLOW_REMOTE_IMAGES",
         "Whether workers may fetch images that clients name by URL: on or off [off]"},
        {"slots", "RBEE_SLOTS", "Requests at the same time for each worker [4]", Kind::number},
        {"max-workers", "RBEE_MAX_WORKERS", "Workers at the same time [64]", Kind::number},
        {"log-dir", "RBEE_LOG_DIR", "Directory for the logs of workers [$RBEE_HOME/logs]"},
        {"log-mb", "RBEE_WORKER_LOG_MB", "Size limit of each of them in MB [10]", Kind::number},
        {"ram-reserve",
         "RBEE_RAM_RESERVE_MB",
         "Memory in MB that workers must leave [512]",
         Kind::number},
        {"vram-reserve", "RBEE_VRAM_RESERVE_MB", "The same on each GPU [1024]", Kind::number},
        {"disk-reserve",
         "RBEE_DISK_RESERVE_MB",
         "Space in MB that must stay free where workers write their logs [100]",
         Kind::number},
        {"worker-memory",
         "RBEE_WORKER_MEMORY_MB",
         "Most memory in MB for each worker, where control groups can be made; 0: no limit [0]",
         Kind::number},
        {"gpu-temperature-max",
         "RBEE_GPU_TEMPERATURE_MAX_C",
         "Degrees Celsius above which no worker is started on a GPU [80]",
         Kind::number},
        {"cpu-pinning",
         "RBEE_CPU_PINNING",
         "Whether workers on the cpu are bound to the idle half of the cores: on or off [off]"},
        {"keep-alive",
         "RBEE_KEEP_ALIVE",
         "How long a worker without requests is kept: 90s, 5m, 2h, forever [5m]"},
        {"keep-alive-models",
         "RBEE_KEEP_ALIVE_MODELS",
         "The same for single models, as MODEL=TIME; may be repeated",
         Kind::list},
        {"pinned",
         "RBEE_PINNED_MODELS",
         "Model whose workers are always kept; may be repeated",
         Kind::list},
        {"health-interval",
         "RBEE_HEALTH_INTERVAL_S",
         "Seconds between health checks of a worker [30]",
         Kind::number},
        {"stall-timeout",
         "RBEE_STALL_TIMEOUT_S",
         "Seconds after which a worker that owes answers and does not get on is ended; 0: never "
         "[10]",
         Kind::number},
        {"load-stall-timeout",
         "RBEE_LOAD_STALL_TIMEOUT_S",
         "The same for a model that is being loaded [30]",
         Kind::number},
        {"load-timeout",
         "RBEE_LOAD_TIMEOUT_S",
         "Seconds that loading a model may take altogether [1800]",
         Kind::number},
        {"token-file", "LLORCH_API_TOKEN_FILE", "File with the bearer token, mode 0600"},
        {"tokens-file",
         "RBEE_HIVE_TOKENS_FILE",
         "Named tokens that are accepted too, as 'rbee token' writes them [none]"},
        {"queen-token-file",
         "RBEE_QUEEN_TOKEN_FILE",
         "File with the token to send to the queen [that of this hive]"},
        {"core-dumps",
         "RBEE_CORE_DUMPS",
         "Whether this program may leave core files, which show its secrets: on or off [off]"},
        {"log-format", "LLORCH_LOG_FORMAT", "json or pretty [pretty on a terminal]"},
        {"log-level", "LLORCH_LOG_LEVEL", "trace, debug, info, warn, error or off [info]"},
    };
}

} // namespace

const std::vector<OptionRow>& option_rows() {
    static const std::vector<OptionRow> rows = [] {
        std::vector<OptionRow> out = own_rows();
        std::ranges::copy(restart_rows(), std::back_inserter(out));
        for (const OptionRow& row : adoption_rows()) {
            out.push_back(row);
        }
        for (const http::EdgeSetting& edge : http::edge_settings()) {
            const std::string_view name = std::string_view(edge.flag).substr(2);
            out.push_back(
                {name,
                 edge.variable,
                 edge.help,
                 edge.list ? Kind::list : Kind::number,
                 edge.file_key}
            );
        }
        return out;
    }();
    return rows;
}

void OptionValues::set(std::string_view name, std::vector<std::string> values) {
    if (!values.empty()) {
        values_.insert_or_assign(std::string(name), std::move(values));
    }
}

void OptionValues::add_environment(const config::Environment& environment) {
    for (const OptionRow& row : option_rows()) {
        if (row.variable.empty() || values_.contains(row.name)) {
            continue;
        }
        if (const auto value = environment(row.variable)) {
            set(row.name, row.kind == Kind::list ? split_list(*value) : std::vector{*value});
        }
    }
}

Result<void> OptionValues::add_file(const std::string& path) {
    auto file = config::TomlFile::load(path);
    if (!file) {
        return error_of(file);
    }
    for (const OptionRow& row : option_rows()) {
        // Read even when a flag wins, so that a mistake in the file does not wait for its day.
        auto values = from_file(*file, row);
        if (!values) {
            return error_of(values);
        }
        if (!values_.contains(row.name)) {
            set(row.name, std::move(*values));
        }
    }
    for (const std::string& name : file->unknown()) {
        if (name.starts_with(restart_models_prefix)) { // models may have any name
            auto value = any_value(*file, name);
            if (!value) {
                return error_of(value);
            }
            set(name, {std::move(*value)});
            continue;
        }
        if (name.starts_with("hive.") || name.starts_with("restart.") ||
            name.starts_with("http.")) { // other tables belong to other programs
            return fail(Errc::invalid_argument, fmt::format("{}: unknown setting {}", path, name));
        }
    }
    return {};
}

std::vector<std::string> OptionValues::names_under(std::string_view prefix) const {
    std::vector<std::string> out;
    for (const auto& [name, values] : values_) {
        if (name.starts_with(prefix)) {
            out.push_back(name);
        }
    }
    return out;
}

std::string OptionValues::text(std::string_view name, const std::string& fallback) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second.front();
}

std::vector<std::string> OptionValues::list(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::vector<std::string>() : found->second;
}

Result<std::uint64_t> OptionValues::number(
    std::string_view name, std::uint64_t fallback, config::NumberRange range
) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback
                                  : config::parse_number(name, found->second.front(), range);
}

Result<bool> OptionValues::on(std::string_view name) const {
    return config::parse_switch(name, text(name, "off"));
}

} // namespace rbee::hive
