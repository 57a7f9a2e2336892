// Events must not depend on how the bytes are cut.
#include "rbee/http/sse.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (rbee::http::complete_events(text) > text.size()) {
        std::abort();
    }
    rbee::http::SseReader whole;
    const auto expected = whole.feed(text);
    rbee::http::SseReader pieces;
    std::size_t at = 0;
    for (const char& byte : text) {
        for (const auto& event : pieces.feed(std::string_view(&byte, 1))) {
            if (at >= expected.size() || event.data != expected[at].data ||
                event.event != expected[at].event) {
                std::abort();
            }
            ++at;
        }
    }
    if (at != expected.size()) {
        std::abort();
    }
    return 0;
}
