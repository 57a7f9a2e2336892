#pragma once

#include "rbee/http/parser.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

/// What became of a request.
struct Outcome {
    bool done = false;
    std::string refusal; ///< Wire code.
    std::string body;
    std::size_t consumed = 0;
    rbee::http::RequestHead head;

    [[nodiscard]] bool same(const Outcome& other) const {
        return done == other.done && refusal == other.refusal && body == other.body &&
               consumed == other.consumed && head.method == other.head.method &&
               head.target == other.head.target;
    }
};

/// Parses `text` as a connection would that gives at most `step` bytes at a time.
inline Outcome parse_in_steps(std::string_view text, std::size_t step) {
    rbee::http::RequestParser parser(
        {.head_bytes_max = 4096, .target_bytes_max = 1024, .fields_max = 20}
    );
    Outcome out;
    parser.on_body([&](std::string_view bytes) { out.body.append(bytes); });
    std::string pending;
    while (!parser.done()) {
        const auto used = parser.feed(pending);
        if (!used) {
            Outcome refused;
            refused.refusal = used.error().wire_code;
            return refused; // how much came before the refusal depends on the pieces
        }
        pending.erase(0, *used);
        out.consumed += *used;
        if (*used == 0) {
            if (text.empty()) {
                break;
            }
            pending.append(text.substr(0, step));
            text.remove_prefix(std::min(step, text.size()));
        }
    }
    out.done = parser.done();
    out.head = parser.head();
    return out;
}
