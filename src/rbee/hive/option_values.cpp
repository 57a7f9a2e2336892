#include "rbee/hive/option_values.hpp"

#include "rbee/audit/settings.hpp"
#include "rbee/hive/adoption_options.hpp"
#include "rbee/hive/restart_options.hpp"
#include "rbee/http/edge_options.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

namespace rbee::hive {
namespace {

using Kind = OptionRow::Kind;

/// hive.<name> with '_' for '-'.
std::string usual_key(std::string_view name) {
    std::string key = "hive." + std::string(name);
    std::ranges::replace(key, '-', '_');
    return key;
}

std::vector<OptionRow> own_rows() { // NOLINT(readability-function-size): a table
    return {
        {"host", "RBEE_HIVE_HOST", "Address to listen on [127.0.0.1]"},
        {"port", "RBEE_HIVE_PORT", "Port to listen on; 0 = any that is free [9200]", Kind::number},
        {"node-name", "RBEE_NODE_NAME", "Name of this node [its host name]"},
        {"public-url", "RBEE_HIVE_URL", "URL at which the queen reaches this hive"},
        {.name = "metrics-auth",
         .variable = "RBEE_METRICS_AUTH",
         .help = "Whether /metrics needs a token with the scope metrics: on or off [off]",
         .kind = Kind::toggle},
        {"join", "RBEE_JOIN", "https:// URL of the queen to join, at the first start"},
        {.name = "join-token",
         .variable = "RBEE_JOIN_TOKEN",
         .help = "What `rbee hives invite` printed, for --join",
         .secret = true},
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
        {.name = "allow-remote-images",
         .variable = "RBEE_ALLOW_REMOTE_IMAGES",
         .help = "Whether workers may fetch images that clients name by URL: on or off [off]",
         .kind = Kind::toggle,
         .live = true},
        {.name = "slots",
         .variable = "RBEE_SLOTS",
         .help = "Requests at the same time for each worker [4]",
         .kind = Kind::number,
         .live = true},
        {.name = "max-workers",
         .variable = "RBEE_MAX_WORKERS",
         .help = "Workers at the same time [64]",
         .kind = Kind::number,
         .live = true},
        {"log-dir", "RBEE_LOG_DIR", "Directory for the logs of workers [$RBEE_HOME/logs]"},
        {.name = "log-mb",
         .variable = "RBEE_WORKER_LOG_MB",
         .help = "Size limit of each of them in MB [10]",
         .kind = Kind::number,
         .live = true},
        {.name = "ram-reserve",
         .variable = "RBEE_RAM_RESERVE_MB",
         .help = "Memory in MB that workers must leave [512]",
         .kind = Kind::number,
         .live = true},
        {.name = "vram-reserve",
         .variable = "RBEE_VRAM_RESERVE_MB",
         .help = "The same on each GPU [1024]",
         .kind = Kind::number,
         .live = true},
        {.name = "disk-reserve",
         .variable = "RBEE_DISK_RESERVE_MB",
         .help = "Space in MB that must stay free where workers write their logs [100]",
         .kind = Kind::number,
         .live = true},
        {"worker-memory",
         "RBEE_WORKER_MEMORY_MB",
         "Most memory in MB for each worker, where control groups can be made; 0: no limit [0]",
         Kind::number},
        {.name = "gpu-temperature-max",
         .variable = "RBEE_GPU_TEMPERATURE_MAX_C",
         .help = "Degrees Celsius above which no worker is started on a GPU [80]",
         .kind = Kind::number,
         .live = true},
        {.name = "cpu-pinning",
         .variable = "RBEE_CPU_PINNING",
         .help = "Whether workers on the cpu are bound to the idle half of the cores: on or off "
                 "[off]",
         .kind = Kind::toggle,
         .live = true},
        {.name = "keep-alive",
         .variable = "RBEE_KEEP_ALIVE",
         .help = "How long a worker without requests is kept: 90s, 5m, 2h, forever [5m]",
         .live = true},
        {.name = "keep-alive-models",
         .variable = "RBEE_KEEP_ALIVE_MODELS",
         .help = "The same for single models, as MODEL=TIME; may be repeated",
         .kind = Kind::list,
         .live = true},
        {.name = "pinned",
         .variable = "RBEE_PINNED_MODELS",
         .help = "Model whose workers are always kept; may be repeated",
         .kind = Kind::list,
         .live = true},
        {.name = "health-interval",
         .variable = "RBEE_HEALTH_INTERVAL_S",
         .help = "Seconds between health checks of a worker [30]",
         .kind = Kind::number,
         .live = true},
        {.name = "stall-timeout",
         .variable = "RBEE_STALL_TIMEOUT_S",
         .help = "Seconds after which a worker that owes answers and does not get on is ended; 0: "
                 "never [10]",
         .kind = Kind::number,
         .live = true},
        {.name = "load-stall-timeout",
         .variable = "RBEE_LOAD_STALL_TIMEOUT_S",
         .help = "The same for a model that is being loaded [30]",
         .kind = Kind::number,
         .live = true},
        {.name = "load-timeout",
         .variable = "RBEE_LOAD_TIMEOUT_S",
         .help = "Seconds that loading a model may take altogether [1800]",
         .kind = Kind::number,
         .live = true},
        {"token-file", "LLORCH_API_TOKEN_FILE", "File with the bearer token, mode 0600"},
        {"tokens-file",
         "RBEE_HIVE_TOKENS_FILE",
         "Named tokens that are accepted too, as 'rbee token' writes them [none]"},
        {"queen-token-file",
         "RBEE_QUEEN_TOKEN_FILE",
         "File with the token to send to the queen [that of this hive]"},
        {.name = "core-dumps",
         .variable = "RBEE_CORE_DUMPS",
         .help =
             "Whether this program may leave core files, which show its secrets: on or off [off]",
         .kind = Kind::toggle},
        {"log-format", "LLORCH_LOG_FORMAT", "json or pretty [pretty on a terminal]"},
        {.name = "log-level",
         .variable = "LLORCH_LOG_LEVEL",
         .help = "trace, debug, info, warn, error or off [info]",
         .live = true},
    };
}

} // namespace

const std::vector<OptionRow>& option_rows() {
    static const std::vector<OptionRow> rows = [] {
        std::vector<OptionRow> out = own_rows();
        std::ranges::copy(restart_rows(), std::back_inserter(out));
        std::ranges::copy(adoption_rows(), std::back_inserter(out));
        for (OptionRow& row : out) {
            if (row.key.empty()) {
                row.key = usual_key(row.name);
            }
        }
        for (const audit::SettingRow& row : audit::setting_rows()) {
            out.push_back(row.setting);
        }
        for (const http::EdgeSetting& edge : http::edge_settings()) {
            out.push_back(edge.setting);
            if (edge.setting.name == "http-connections-per-source") {
                out.back().example = "0"; // all connections come from the queen
            }
        }
        return out;
    }();
    return rows;
}

std::unexpected<Error> wrong(const Error& error, const config::Given& given) {
    const bool flag = given.origin == config::Given::Origin::flag;
    return std::unexpected(flag ? error : error.within(given.where));
}

const config::Given* OptionValues::find(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &found->second;
}

std::string OptionValues::text(std::string_view name, const std::string& fallback) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second.texts.front();
}

std::vector<std::string> OptionValues::list(std::string_view name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::vector<std::string>() : found->second.texts;
}

Result<std::uint64_t> OptionValues::number(
    std::string_view name, std::uint64_t fallback, config::NumberRange range
) const {
    const auto found = values_.find(name);
    if (found == values_.end()) {
        return fallback;
    }
    auto value = config::parse_number(name, found->second.texts.front(), range);
    return value ? value : wrong(value.error(), found->second);
}

Result<bool> OptionValues::on(std::string_view name) const {
    const auto found = values_.find(name);
    if (found == values_.end()) {
        return false;
    }
    auto value = config::parse_switch(name, found->second.texts.front());
    return value ? value : wrong(value.error(), found->second);
}

bool OptionValues::is_flag(std::string_view name) const {
    const auto found = values_.find(name);
    return found != values_.end() && found->second.origin == config::Given::Origin::flag;
}

} // namespace rbee::hive
