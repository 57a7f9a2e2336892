// A chunked body, whole and cut into pieces, must give the same result, and that of a second,
// plain reading of RFC 9112 §7.1.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http_split.hpp"

namespace {

constexpr std::string_view head =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The data of a body that was accepted.
std::string decode(std::string_view body) {
    std::string out;
    while (true) {
        const auto line_end = body.find("\r\n");
        const auto size = std::stoull(std::string(body.substr(0, line_end)), nullptr, 16);
        body.remove_prefix(line_end + 2);
        if (size == 0) {
            return out;
        }
        out.append(body.substr(0, size));
        if (body.substr(size, 2) != "\r\n") {
            std::abort();
        }
        body.remove_prefix(size + 2);
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text =
        std::string(head) + std::string(reinterpret_cast<const char*>(data), size);
    const Outcome whole = parse_in_steps(text, text.size());
    const bool same = whole.same(parse_in_steps(text, 1)) && whole.same(parse_in_steps(text, 7));
    if (!same || (whole.done && whole.body != decode(std::string_view(text).substr(head.size())))) {
        std::abort();
    }
    return 0;
}
