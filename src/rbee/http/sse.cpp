#include "rbee/http/sse.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>

namespace rbee::http {
namespace {

std::size_t end_behind(std::string_view text, std::string_view mark) {
    const auto at = text.rfind(mark);
    return at == std::string_view::npos ? 0 : at + mark.size();
}

SseEvent parse_event(std::string_view block) {
    SseEvent out;
    bool has_data = false;
    for (std::string_view line : split(block, '\n')) {
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        const auto colon = line.find(':');
        if (line.empty() || colon == 0) {
            continue;
        }
        const std::string_view name = line.substr(0, colon);
        std::string_view value =
            colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
        if (value.starts_with(' ')) {
            value.remove_prefix(1);
        }
        if (name == "event") {
            out.event = value;
        } else if (name == "data") {
            if (has_data) {
                out.data.push_back('\n');
            }
            out.data.append(value);
            has_data = true;
        }
    }
    return out;
}

/// Index behind the first blank line, or npos.
std::size_t first_event_end(std::string_view text) {
    for (auto at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
        const std::string_view rest = text.substr(at + 1);
        if (rest.starts_with('\n')) {
            return at + 2;
        }
        if (rest.starts_with("\r\n")) {
            return at + 3;
        }
    }
    return std::string_view::npos;
}

} // namespace

std::size_t complete_events(std::string_view text) {
    return std::max(end_behind(text, "\n\n"), end_behind(text, "\n\r\n"));
}

std::vector<SseEvent> SseReader::feed(std::string_view bytes) {
    std::vector<SseEvent> out;
    if (overflowed_) {
        return out;
    }
    pending_.append(bytes);
    std::string_view rest = pending_;
    for (auto end = first_event_end(rest); end != std::string_view::npos;
         end = first_event_end(rest)) {
        SseEvent event = parse_event(rest.substr(0, end));
        if (!event.data.empty() || !event.event.empty()) {
            out.push_back(std::move(event));
        }
        rest.remove_prefix(end);
    }
    pending_.erase(0, pending_.size() - rest.size());
    if (pending_.size() > event_bytes_max) {
        overflowed_ = true;
        pending_.clear();
    }
    return out;
}

std::string format_sse(std::string_view data) {
    std::string out;
    out.reserve(data.size() + 8);
    for (const std::string_view line : split(data, '\n')) {
        out.append("data: ").append(line).push_back('\n');
    }
    out.push_back('\n');
    return out;
}

std::string format_sse(std::string_view event, std::string_view data) {
    return std::string("event: ").append(event).append("\n").append(format_sse(data));
}

} // namespace rbee::http
