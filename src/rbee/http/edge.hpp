#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/message.hpp"

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {

/// Why the edge turned a connection or a request away; each is counted.
enum class Refusal {
    request_line,
    target,
    field,
    line_end,
    host,
    content_length,
    transfer_encoding,
    ambiguous_length,
    chunk,
    head_too_large,
    target_too_long,
    head_timeout,
    body_too_large,
    body_timeout,
    body_budget,
    connections,
    connections_of_source,
    descriptors,
    stalled_reader,
    host_not_allowed,
    origin_not_allowed,
};

inline constexpr std::size_t refusal_count = 21;

/// The label of a refusal in metrics, such as "head_timeout".
[[nodiscard]] std::string_view to_string(Refusal refusal);
/// The refusal that an error of the edge stands for, by its wire code.
[[nodiscard]] std::optional<Refusal> refusal_of(const Error& error);

/// Which browsers may talk to a server.
struct BrowserPolicy {
    /// Host names that a loopback listener answers to, besides localhost and loopback addresses;
    /// "*" is any.
    std::vector<std::string> allowed_hosts = {};
    /// Origins ("https://chat.example") whose pages may call the server; "*" is any. Empty: none,
    /// and no CORS field is ever sent.
    std::vector<std::string> cors_origins = {};
};

/// For listeners that only this machine reaches. A web page can make its name resolve to 127.0.0.1
/// (DNS rebinding) or just post to it, and no token may be needed there; but the browser then names
/// the page's host in Host and its origin in Origin. Passes when both are of this machine or
/// allowed. Fails with Errc::forbidden, HOST_NOT_ALLOWED or ORIGIN_NOT_ALLOWED, naming the setting.
[[nodiscard]] Result<void> check_browser(const BrowserPolicy& policy, const RequestHead& head);

/// The fields that let the page read the answer (Fetch standard §3.2); none unless its origin is
/// allowed by name or by "*". Credentials are never allowed together with "*".
[[nodiscard]] Headers cors_fields(const BrowserPolicy& policy, const RequestHead& head);

/// The answer to a CORS preflight from an allowed origin; nothing for every other request.
[[nodiscard]] std::optional<Response>
answer_preflight(const BrowserPolicy& policy, const RequestHead& head);

} // namespace rbee::http
