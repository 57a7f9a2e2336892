// A request, whole and cut into pieces, must give the same result; and what is accepted must hold
// nothing that another server could read in another way.
#include <cstdint>
#include <cstdlib>

#include "http_split.hpp"

namespace {

void require(bool good) {
    if (!good) {
        std::abort();
    }
}

/// The rules of RFC 9112 that keep two servers from disagreeing, looked at a second time.
void check_accepted(std::string_view text, const Outcome& out) {
    const std::string_view head = text.substr(0, text.find("\r\n\r\n") + 4);
    for (std::size_t i = 0; i < head.size(); ++i) {
        const auto byte = static_cast<unsigned char>(head[i]);
        require(byte >= 0x20 || byte == '\r' || byte == '\n' || byte == '\t');
        require(byte != '\r' || head[i + 1] == '\n');
        require(byte != '\n' || (i > 0 && head[i - 1] == '\r'));
        require(
            byte != '\n' || i + 1 == head.size() || (head[i + 1] != ' ' && head[i + 1] != '\t')
        );
    }
    const auto& fields = out.head.headers;
    require(fields.count("Host") == 1 || (fields.count("Host") == 0 && out.head.http_1_0));
    require(fields.count("Content-Length") + fields.count("Transfer-Encoding") <= 1);
    require(out.head.chunked == (fields.count("Transfer-Encoding") == 1));
    require(out.head.content_length.has_value() == (fields.count("Content-Length") == 1));
    require(out.head.chunked || out.body.size() == out.head.content_length.value_or(0));
    require(out.head.chunked || out.consumed == head.size() + out.body.size());
    require(out.head.target.starts_with('/') || out.head.target == "*");
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const Outcome whole = parse_in_steps(text, text.size() + 1);
    require(whole.same(parse_in_steps(text, 1)));
    require(whole.same(parse_in_steps(text, 7)));
    if (whole.done) {
        check_accepted(text, whole);
    }
    return 0;
}
