#include "rbee/http/edge.hpp"

#include "rbee/base/text.hpp"
#include "rbee/http/framing.hpp"
#include "rbee/http/url.hpp"

#include <algorithm>
#include <utility>

namespace rbee::http {
namespace {

struct Row {
    Refusal refusal;
    std::string_view label;
    std::string_view wire_code; ///< Empty: never an answer.
};

constexpr std::array<Row, refusal_count> rows = {{
    {Refusal::request_line, "request_line", "BAD_REQUEST_LINE"},
    {Refusal::target, "target", "BAD_TARGET"},
    {Refusal::field, "field", "BAD_FIELD"},
    {Refusal::line_end, "line_end", "BAD_LINE_END"},
    {Refusal::host, "host", "BAD_HOST"},
    {Refusal::content_length, "content_length", "BAD_CONTENT_LENGTH"},
    {Refusal::transfer_encoding, "transfer_encoding", "BAD_TRANSFER_ENCODING"},
    {Refusal::ambiguous_length, "ambiguous_length", "AMBIGUOUS_LENGTH"},
    {Refusal::chunk, "chunk", "BAD_CHUNK"},
    {Refusal::head_too_large, "head_too_large", "HEADERS_TOO_LARGE"},
    {Refusal::target_too_long, "target_too_long", "TARGET_TOO_LONG"},
    {Refusal::head_timeout, "head_timeout", "HEAD_TIMEOUT"},
    {Refusal::body_too_large, "body_too_large", "PAYLOAD_TOO_LARGE"},
    {Refusal::body_timeout, "body_timeout", "BODY_TIMEOUT"},
    {Refusal::body_budget, "body_budget", "BODY_BUDGET_FULL"},
    {Refusal::connections, "connections", {}},
    {Refusal::connections_of_source, "connections_of_source", {}},
    {Refusal::descriptors, "descriptors", {}},
    {Refusal::stalled_reader, "stalled_reader", {}},
    {Refusal::host_not_allowed, "host_not_allowed", "HOST_NOT_ALLOWED"},
    {Refusal::origin_not_allowed, "origin_not_allowed", "ORIGIN_NOT_ALLOWED"},
}};

bool contains(const std::vector<std::string>& list, std::string_view wanted) {
    return std::ranges::any_of(list, [&](const std::string& one) {
        return one == "*" || iequals(one, wanted);
    });
}

bool is_own_host(const BrowserPolicy& policy, std::string_view host) {
    std::string_view bare = host;
    if (bare.starts_with('[') && bare.ends_with(']')) {
        bare = bare.substr(1, bare.size() - 2);
    }
    return is_loopback({.host = std::string(bare), .port = 0, .unix_path = {}}) ||
           contains(policy.allowed_hosts, host) || contains(policy.allowed_hosts, bare);
}

/// A page's origin is that of the server itself: the same host and port, whatever the scheme.
bool is_same_origin(std::string_view origin, std::string_view host) {
    const auto scheme_end = origin.find("://");
    return scheme_end != std::string_view::npos && iequals(origin.substr(scheme_end + 3), host);
}

bool names(const BrowserPolicy& policy, std::string_view origin) {
    return std::ranges::any_of(policy.cors_origins, [&](const std::string& one) {
        return iequals(one, origin);
    });
}

} // namespace

std::string_view to_string(Refusal refusal) {
    return std::ranges::find(rows, refusal, &Row::refusal)->label;
}

std::optional<Refusal> refusal_of(const Error& error) {
    const auto found = std::ranges::find(rows, error.wire_code, &Row::wire_code);
    if (error.wire_code.empty() || found == rows.end()) {
        return std::nullopt;
    }
    return found->refusal;
}

Result<void> check_browser(const BrowserPolicy& policy, const RequestHead& head) {
    const auto host = head.headers.find("Host");
    if (host) { // HTTP/1.0 may come without; no browser speaks that
        const auto authority = parse_authority(*host);
        if (!authority || !is_own_host(policy, authority->host)) {
            return fail(
                Errc::forbidden,
                "this server does not answer to that Host name on the loopback address; "
                "--allowed-host (http.allowed_hosts) adds a name",
                "HOST_NOT_ALLOWED"
            );
        }
    }
    const auto origin = head.headers.find("Origin");
    const bool foreign =
        origin &&
        (head.headers.count("Origin") > 1 ||
         (!is_same_origin(*origin, host.value_or("")) && !contains(policy.cors_origins, *origin)));
    if (foreign) {
        return fail(
            Errc::forbidden,
            "pages of that Origin may not use this server; "
            "--cors-origin (http.cors_origins) adds one",
            "ORIGIN_NOT_ALLOWED"
        );
    }
    return {};
}

Headers cors_fields(const BrowserPolicy& policy, const RequestHead& head) {
    Headers out;
    if (policy.cors_origins.empty()) {
        return out;
    }
    out.add("Vary", "Origin");
    const auto origin = head.headers.find("Origin");
    if (!origin || head.headers.count("Origin") > 1 || !contains(policy.cors_origins, *origin)) {
        return out;
    }
    const bool named = names(policy, *origin);
    out.add("Access-Control-Allow-Origin", named ? std::string(*origin) : "*");
    if (named) {
        out.add("Access-Control-Allow-Credentials", "true");
    }
    out.add(
        "Access-Control-Expose-Headers",
        "X-Correlation-Id, X-Request-Id, X-Rbee-Worker, X-Rbee-Hive, Retry-After"
    );
    return out;
}

std::optional<Response> answer_preflight(const BrowserPolicy& policy, const RequestHead& head) {
    const auto origin = head.headers.find("Origin");
    if (head.method != "OPTIONS" || !origin || !contains(policy.cors_origins, *origin) ||
        !head.headers.find("Access-Control-Request-Method")) {
        return std::nullopt;
    }
    Response response;
    response.status = 204;
    response.headers.add("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE");
    // Clients send fields of their own (x-stainless-...); what a field may do is decided later.
    if (const auto wanted = head.headers.find("Access-Control-Request-Headers")) {
        response.headers.add("Access-Control-Allow-Headers", std::string(*wanted));
    }
    response.headers.add("Access-Control-Max-Age", "600");
    return response;
}

} // namespace rbee::http
