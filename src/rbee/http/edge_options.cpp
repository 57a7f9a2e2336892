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
    using Options = ServerOptions;
    static const std::vector<EdgeSetting> all = {
        {"--allowed-host",
         "RBEE_ALLOWED_HOSTS",
         "http.allowed_hosts",
         "Host name that a loopback listener answers to besides localhost; may be repeated, * = "
         "any",
         true,
         set_hosts},
        {"--cors-origin",
         "RBEE_CORS_ORIGINS",
         "http.cors_origins",
         "Origin whose web pages may use this server; may be repeated, * = any [none]",
         true,
         set_origins},
        {"--http-connections",
         "RBEE_HTTP_CONNECTIONS",
         "http.connections",
         "Open connections [4096]",
         false,
         number({"--http-connections", 1, 1'000'000}, &Options::connections_max)},
        {"--http-connections-per-source",
         "RBEE_HTTP_CONNECTIONS_PER_SOURCE",
         "http.connections_per_source",
         "Those from one address or IPv6 /64; 0 = no limit [queen 256, hive 0]",
         false,
         number(
             {"--http-connections-per-source", 0, 1'000'000}, &Options::connections_per_source_max
         )},
        {"--http-head-bytes",
         "RBEE_HTTP_HEAD_BYTES",
         "http.head_bytes",
         "Size of a request head [16384]",
         false,
         number({"--http-head-bytes", 1024, mib}, &Options::head_bytes_max)},
        {"--http-target-bytes",
         "RBEE_HTTP_TARGET_BYTES",
         "http.target_bytes",
         "Length of a request target [8192]",
         false,
         number({"--http-target-bytes", 256, mib}, &Options::target_bytes_max)},
        {"--http-fields",
         "RBEE_HTTP_FIELDS",
         "http.fields",
         "Fields of a request head [100]",
         false,
         number({"--http-fields", 8, 10'000}, &Options::fields_max)},
        {"--http-head-s",
         "RBEE_HTTP_HEAD_S",
         "http.head_s",
         "Seconds for a request head to be complete [10]",
         false,
         number({"--http-head-s", 1, day_s}, &Options::head_limit)},
        {"--http-idle-s",
         "RBEE_HTTP_IDLE_S",
         "http.idle_s",
         "Seconds that a connection may wait for its next request [60]",
         false,
         number({"--http-idle-s", 1, day_s}, &Options::idle_limit)},
        {"--http-body-s",
         "RBEE_HTTP_BODY_S",
         "http.body_s",
         "Seconds after which a body must have come at the rate below [10]",
         false,
         number({"--http-body-s", 1, day_s}, &Options::body_grace)},
        {"--http-body-rate",
         "RBEE_HTTP_BODY_RATE",
         "http.body_rate",
         "Least rate of a body in bytes a second [1024]",
         false,
         number({"--http-body-rate", 1, 1024 * mib}, &Options::body_rate_min)},
        {"--inference-body-mb",
         "RBEE_INFERENCE_BODY_MB",
         "http.inference_body_mb",
         "Largest body in MiB of an inference request [16]",
         false,
         number({"--inference-body-mb", 1, 1024, mib}, &Options::inference_body_bytes_max)},
        {"--http-bodies-mb",
         "RBEE_HTTP_BODIES_MB",
         "http.bodies_mb",
         "Memory in MiB for the bodies of all requests together [256]",
         false,
         number({"--http-bodies-mb", 1, mib, mib}, &Options::bodies_bytes_max)},
        {"--http-write-s",
         "RBEE_HTTP_WRITE_S",
         "http.write_s",
         "Seconds that a client may take nothing of its answer [30]",
         false,
         number({"--http-write-s", 1, day_s}, &Options::write_limit)},
    };
    return all;
}

} // namespace rbee::http
