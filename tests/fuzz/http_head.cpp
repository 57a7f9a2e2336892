// A request, whole and cut into pieces of one byte, must give the same result.
#include "rbee/http/parser.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

struct Outcome {
    bool refused = false;
    bool done = false;
    std::string body;

    bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view text, std::size_t step) {
    rbee::http::RequestParser parser({.head_bytes_max = 4096, .body_bytes_max = 1 << 20});
    Outcome out;
    parser.on_body([&](std::string_view bytes) { out.body.append(bytes); });
    std::string pending;
    while (!parser.done()) {
        const auto used = parser.feed(pending);
        if (!used) {
            out.refused = true;
            out.body.clear(); // how much came before the refusal depends on the pieces
            return out;
        }
        pending.erase(0, *used);
        if (*used == 0) {
            if (text.empty()) {
                break;
            }
            pending.append(text.substr(0, step));
            text.remove_prefix(std::min(step, text.size()));
        }
    }
    out.done = parser.done();
    return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Outcome whole = parse(text, text.size() + 1);
    const Outcome pieces = parse(text, 1);
    if (whole.done && pieces.done && whole != pieces) {
        std::abort();
    }
    return 0;
}
