#include "rbee/http/message.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <array>

namespace rbee::http {

void Headers::set(std::string_view name, std::string value) {
    remove(name);
    fields_.emplace_back(std::string(name), std::move(value));
}

void Headers::remove(std::string_view name) {
    std::erase_if(fields_, [&](const Field& field) { return iequals(field.first, name); });
}

std::optional<std::string_view> Headers::find(std::string_view name) const {
    const auto found = std::ranges::find_if(fields_, [&](const Field& field) {
        return iequals(field.first, name);
    });
    return found == fields_.end() ? std::nullopt : std::optional<std::string_view>(found->second);
}

std::size_t Headers::count(std::string_view name) const {
    return static_cast<std::size_t>(std::ranges::count_if(fields_, [&](const Field& field) {
        return iequals(field.first, name);
    }));
}

std::optional<std::string> RequestHead::query_parameter(std::string_view name) const {
    for (const std::string_view pair : split(query, '&')) {
        const auto equals = pair.find('=');
        if (pair.substr(0, equals) == name) {
            return equals == std::string_view::npos ? std::string()
                                                    : percent_decode(pair.substr(equals + 1));
        }
    }
    return std::nullopt;
}

std::string_view reason_phrase(int status) {
    struct Row {
        int status;
        std::string_view phrase;
    };
    static constexpr std::array rows = {
        Row{200, "OK"},
        Row{201, "Created"},
        Row{202, "Accepted"},
        Row{204, "No Content"},
        Row{400, "Bad Request"},
        Row{401, "Unauthorized"},
        Row{403, "Forbidden"},
        Row{404, "Not Found"},
        Row{405, "Method Not Allowed"},
        Row{408, "Request Timeout"},
        Row{409, "Conflict"},
        Row{413, "Content Too Large"},
        Row{414, "URI Too Long"},
        Row{415, "Unsupported Media Type"},
        Row{417, "Expectation Failed"},
        Row{421, "Misdirected Request"},
        Row{422, "Unprocessable Content"},
        Row{429, "Too Many Requests"},
        Row{431, "Request Header Fields Too Large"},
        Row{499, "Client Closed Request"},
        Row{500, "Internal Server Error"},
        Row{501, "Not Implemented"},
        Row{502, "Bad Gateway"},
        Row{503, "Service Unavailable"},
        Row{504, "Gateway Timeout"},
        Row{507, "Insufficient Storage"},
    };
    const auto found = std::ranges::find(rows, status, &Row::status);
    return found == rows.end() ? "Unknown" : found->phrase;
}

void append(std::string& out, std::initializer_list<std::string_view> pieces) {
    std::size_t bytes = out.size();
    for (const std::string_view piece : pieces) {
        bytes += piece.size();
    }
    if (bytes > out.capacity()) {
        out.reserve(std::max(bytes, 2 * out.capacity()));
    }
    for (const std::string_view piece : pieces) {
        out.append(piece);
    }
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
    append(out, {name, ": ", value, "\r\n"});
}

bool is_hop_by_hop(std::string_view name) {
    static constexpr std::array<std::string_view, 9> names = {
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    };
    return std::ranges::any_of(names, [&](std::string_view hop) { return iequals(hop, name); });
}

} // namespace rbee::http
