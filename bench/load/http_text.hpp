#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

/// The little of HTTP/1.1 that load generator and backend need. Both ends are ours, so that neither
/// parser is what gets measured; neither is fit for anything else.
namespace rbee::bench {

/// The value of a head field, which must be written as `name` is; nothing when it is not there.
[[nodiscard]] inline std::optional<std::string_view>
field_of(std::string_view head, std::string_view name) {
    for (std::size_t at = head.find("\r\n"); at != std::string_view::npos;) {
        const std::size_t begin = at + 2;
        at = head.find("\r\n", begin);
        const std::string_view line = head.substr(begin, at - begin);
        if (line.size() <= name.size() || line[name.size()] != ':') {
            continue;
        }
        bool same = true;
        for (std::size_t i = 0; same && i < name.size(); ++i) {
            same = (line[i] | 0x20) == (name[i] | 0x20);
        }
        if (same) {
            std::string_view value = line.substr(name.size() + 1);
            value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
            return value;
        }
    }
    return std::nullopt;
}

/// The number at the start of `text`; 0 when there is none.
[[nodiscard]] inline std::uint64_t number_at(std::string_view text) {
    std::uint64_t value = 0;
    std::from_chars(text.data(), text.data() + text.size(), value);
    return value;
}

/// The number after `"name":` in a flat JSON object without spaces; 0 when there is none.
[[nodiscard]] inline std::uint64_t json_number(std::string_view body, std::string_view name) {
    const std::size_t at = body.find(name);
    const std::size_t begin = at == std::string_view::npos ? at : at + name.size() + 2;
    return begin < body.size() ? number_at(body.substr(begin)) : 0;
}

} // namespace rbee::bench
