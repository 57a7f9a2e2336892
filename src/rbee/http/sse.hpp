#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {

/// One server-sent event (WHATWG HTML §9.2): the `event` field and the joined `data` lines.
struct SseEvent {
    std::string event;
    std::string data;
};

/// How many leading bytes of `text` are whole events, the closing blank line included.
[[nodiscard]] std::size_t complete_events(std::string_view text);

/// Cuts a byte stream into events, whatever pieces it comes in. Comments and fields other than
/// `event` and `data` are dropped. An unfinished event is bounded: see overflowed().
class SseReader {
public:
    static constexpr std::size_t event_bytes_max = 16UL * 1024 * 1024;

    /// Takes the next bytes and returns the events that they complete.
    [[nodiscard]] std::vector<SseEvent> feed(std::string_view bytes);
    /// True once an event was larger than event_bytes_max; nothing is returned from then on.
    [[nodiscard]] bool overflowed() const { return overflowed_; }

private:
    std::string pending_;
    bool overflowed_ = false;
};

/// "data: <line>" for each line of `data`, then a blank line.
[[nodiscard]] std::string format_sse(std::string_view data);
/// The same with an `event` field in front.
[[nodiscard]] std::string format_sse(std::string_view event, std::string_view data);

} // namespace rbee::http
