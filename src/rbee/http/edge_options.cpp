#include "rbee/http/edge_options.hpp"

#include "rbee/base/text.hpp"
#include "rbee/config/option_value.hpp"
#include "rbee/http/framing.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>

namespace rbee::http {
namespace {

using Apply = std::function<Result<void>(ServerOptions&, const std::string&)>;

/// What a number may be and how many units of the option one of it is.
struct Number {
    const char* flag;
    std::uint64_t min;
    std::uint64_t max;
    std::uint64_t unit = 1;
};

template <typename Member>
Apply number(Number rule, Member ServerOptions::* member) {
    return [=](ServerOptions& options, const std::string& text) -> Result<void> {
        const auto value = config::parse_number(rule.flag, text, {rule.min, rule.max});
        if (!value) {
            return error_of(value);
        }
        if constexpr (std::is_same_v<Member, Duration>) {
            options.*member = std::chrono::seconds(*value);
        } else {
            options.*member = static_cast<Member>(*value * rule.unit);
        }
        return {};
    };
}

std::vector<std::string> parts(const std::string& text) {
    std::vector<std::string> out;
    for (const std::string_view part : split(text, ',')) {
        if (!trim(part).empty()) {
            out.emplace_back(trim(part));
        }
    }
    return out;
}

Result<void> set_hosts(ServerOptions& options, const std::string& text) {
    std::vector<std::string> hosts = parts(text);
    for (const std::string& host : hosts) {
        const auto authority = parse_authority(host);
        if (host != "*" && (!authority || authority->port)) {
            return fail(
                Errc::invalid_argument, "--allowed-host must be a host name without port, or *"
            );
        }
    }
    options.browsers.allowed_hosts = std::move(hosts);
    return {};
}

bool is_origin(std::string_view text) {
    const auto scheme_end = text.find("://");
    return text == "*" || text == "null" ||
           (scheme_end != std::string_view::npos && scheme_end > 0 &&
            parse_authority(text.substr(scheme_end + 3)));
}

Result<void> set_origins(ServerOptions& options, const std::string& text) {
    std::vector<std::string> origins = parts(text);
    if (!std::ranges::all_of(origins, is_origin)) {
        return fail(
            Errc::invalid_argument, "--cors-origin must be like https://chat.example:8443, or *"
        );
    }
    options.browsers.cors_origins = std::move(origins);
    return {};
}

constexpr std::uint64_t day_s = 86'400;
constexpr std::uint64_t mib = 1024ULL * 1024;

} // namespace

const std::vector<EdgeSetting>& edge_settings() { // NOLINT(readability-function-size): a table
    using Kind = config::Setting::Kind;
    using Options = ServerOptions;
    static const std::vector<EdgeSetting> all = {
        {{.name = "allowed-host",
          .variable = "RBEE_ALLOWED_HOSTS",
          .help = "Host name that a loopback listener answers to besides localhost; may be "
                  "repeated, * = "
                  "any",
          .kind = Kind::list,
          .key = "http.allowed_hosts",
          .live = true},
         set_hosts},
        {{.name = "cors-origin",
          .variable = "RBEE_CORS_ORIGINS",
          .help = "Origin whose web pages may use this server; may be repeated, * = any [none]",
          .kind = Kind::list,
          .key = "http.cors_origins",
          .live = true},
         set_origins},
        {{.name = "http-connections",
          .variable = "RBEE_HTTP_CONNECTIONS",
          .help = "Open connections [4096]",
          .kind = Kind::number,
          .key = "http.connections",
          .live = true},
         number({"--http-connections", 1, 1'000'000}, &Options::connections_max)},
        {{.name = "http-connections-per-source",
          .variable = "RBEE_HTTP_CONNECTIONS_PER_SOURCE",
          .help = "Those from one address or IPv6 /64; 0 = no limit [queen 256, hive 0]",
          .kind = Kind::number,
          .key = "http.connections_per_source",
          .example = "256",
          .live = true},
         number(
             {"--http-connections-per-source", 0, 1'000'000}, &Options::connections_per_source_max
         )},
        {{.name = "http-head-bytes",
          .variable = "RBEE_HTTP_HEAD_BYTES",
          .help = "Size of a request head [16384]",
          .kind = Kind::number,
          .key = "http.head_bytes",
          .live = true},
         number({"--http-head-bytes", 1024, mib}, &Options::head_bytes_max)},
        {{.name = "http-target-bytes",
          .variable = "RBEE_HTTP_TARGET_BYTES",
          .help = "Length of a request target [8192]",
          .kind = Kind::number,
          .key = "http.target_bytes",
          .live = true},
         number({"--http-target-bytes", 256, mib}, &Options::target_bytes_max)},
        {{.name = "http-fields",
          .variable = "RBEE_HTTP_FIELDS",
          .help = "Fields of a request head [100]",
          .kind = Kind::number,
          .key = "http.fields",
          .live = true},
         number({"--http-fields", 8, 10'000}, &Options::fields_max)},
        {{.name = "http-head-s",
          .variable = "RBEE_HTTP_HEAD_S",
          .help = "Seconds for a request head to be complete [10]",
          .kind = Kind::number,
          .key = "http.head_s",
          .live = true},
         number({"--http-head-s", 1, day_s}, &Options::head_limit)},
        {{.name = "http-idle-s",
          .variable = "RBEE_HTTP_IDLE_S",
          .help = "Seconds that a connection may wait for its next request [60]",
          .kind = Kind::number,
          .key = "http.idle_s",
          .live = true},
         number({"--http-idle-s", 1, day_s}, &Options::idle_limit)},
        {{.name = "http-body-s",
          .variable = "RBEE_HTTP_BODY_S",
          .help = "Seconds after which a body must have come at the rate below [10]",
          .kind = Kind::number,
          .key = "http.body_s",
          .live = true},
         number({"--http-body-s", 1, day_s}, &Options::body_grace)},
        {{.name = "http-body-rate",
          .variable = "RBEE_HTTP_BODY_RATE",
          .help = "Least rate of a body in bytes a second [1024]",
          .kind = Kind::number,
          .key = "http.body_rate",
          .live = true},
         number({"--http-body-rate", 1, 1024 * mib}, &Options::body_rate_min)},
        {{.name = "inference-body-mb",
          .variable = "RBEE_INFERENCE_BODY_MB",
          .help = "Largest body in MiB of an inference request [16]",
          .kind = Kind::number,
          .key = "http.inference_body_mb"},
         number({"--inference-body-mb", 1, 1024, mib}, &Options::inference_body_bytes_max)},
        {{.name = "http-bodies-mb",
          .variable = "RBEE_HTTP_BODIES_MB",
          .help = "Memory in MiB for the bodies of all requests together [256]",
          .kind = Kind::number,
          .key = "http.bodies_mb",
          .live = true},
         number({"--http-bodies-mb", 1, mib, mib}, &Options::bodies_bytes_max)},
        {{.name = "http-write-s",
          .variable = "RBEE_HTTP_WRITE_S",
          .help = "Seconds that a client may take nothing of its answer [30]",
          .kind = Kind::number,
          .key = "http.write_s",
          .live = true},
         number({"--http-write-s", 1, day_s}, &Options::write_limit)},
    };
    return all;
}

} // namespace rbee::http
