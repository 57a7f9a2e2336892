#include "rbee/http/framing.hpp"

#include "rbee/base/text.hpp"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace rbee::http {
namespace {

constexpr std::size_t method_bytes_max = 32;
constexpr std::size_t chunk_digits_max = 16; // what fits 64 bits
constexpr std::string_view version_prefix = "HTTP/1.";

std::unexpected<Error> refuse(const char* wire_code, std::string what) {
    return fail(Errc::invalid_argument, std::move(what), wire_code);
}

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

constexpr bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/// A set of bytes that answers in one load.
using ByteSet = std::array<bool, 256>;

constexpr ByteSet alphanumeric_and(std::string_view others) {
    ByteSet set{};
    for (std::size_t i = 0; i < set.size(); ++i) {
        const char c = static_cast<char>(i);
        set.at(i) = is_digit(c) || is_letter(c) || others.contains(c);
    }
    return set;
}

constexpr ByteSet token_bytes = alphanumeric_and("!#$%&'*+-.^_`|~");       // RFC 9110 §5.6.2
constexpr ByteSet target_bytes = alphanumeric_and("-._~!$&'()*+,;=:@%/?"); // RFC 3986 §3.3, §3.4
constexpr ByteSet host_bytes = alphanumeric_and("-._~");                   // no list, no escapes
constexpr ByteSet v6_bytes = alphanumeric_and(":.");

constexpr bool in(const ByteSet& set, char c) {
    return set.at(static_cast<unsigned char>(c));
}

/// What a field value may hold (RFC 9110 §5.5): everything but controls.
constexpr bool is_value_byte(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte >= 0x20 && byte != 0x7F) || c == '\t';
}

/// Takes the first line off `text`; the end of the line has been checked.
std::string_view take_line(std::string_view& text) {
    const auto end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 2);
    return line;
}

Result<void> check_target(std::string_view method, std::string_view target) {
    if (target == "*" && method == "OPTIONS") {
        return {};
    }
    if (!target.starts_with('/')) {
        // Servers disagree on whether the authority of a URL or the Host field counts.
        return refuse("BAD_TARGET", "the request target must be a path that begins with '/'");
    }
    for (std::size_t at = target.find('%'); at != std::string_view::npos;
         at = target.find('%', at + 1)) {
        if (at + 2 >= target.size() || !is_hex(target[at + 1]) || !is_hex(target[at + 2])) {
            return refuse("BAD_TARGET", "the request target has a malformed percent escape");
        }
    }
    return {};
}

/// What the fields that decide on framing say.
struct FramingFields {
    std::size_t hosts = 0;
    std::size_t lengths = 0;
    std::size_t encodings = 0;
    std::string_view host;
    std::string_view length;
    std::string_view encoding;
};

FramingFields collect(std::string_view fields) {
    FramingFields out;
    while (!fields.empty()) {
        const std::string_view line = take_line(fields);
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) {
            continue; // the empty line at the end
        }
        const std::string_view name = line.substr(0, colon);
        const std::string_view value = trim(line.substr(colon + 1));
        if (iequals(name, "Host")) {
            ++out.hosts;
            out.host = value;
        } else if (iequals(name, "Content-Length")) {
            ++out.lengths;
            out.length = value;
        } else if (iequals(name, "Transfer-Encoding")) {
            ++out.encodings;
            out.encoding = value;
        }
    }
    return out;
}

Result<void> check_host(const FramingFields& fields, bool http_1_0) {
    if (fields.hosts == 0 && http_1_0) {
        return {};
    }
    if (fields.hosts != 1) {
        return refuse("BAD_HOST", "a request must have exactly one Host field");
    }
    if (!parse_authority(fields.host)) {
        return refuse("BAD_HOST", "the Host field must be a host name or address and a port");
    }
    return {};
}

Result<void> check_length(const FramingFields& fields, bool http_1_0) {
    if (fields.lengths != 0 && fields.encodings != 0) {
        return refuse(
            "AMBIGUOUS_LENGTH", "Content-Length and Transfer-Encoding exclude each other"
        );
    }
    if (fields.lengths > 1) {
        return refuse("AMBIGUOUS_LENGTH", "Content-Length must not be repeated");
    }
    if (fields.lengths == 1 && !parse_u64(fields.length)) {
        return refuse("BAD_CONTENT_LENGTH", "Content-Length must be one decimal number");
    }
    if (fields.encodings == 0) {
        return {};
    }
    if (http_1_0) {
        return refuse("BAD_TRANSFER_ENCODING", "HTTP/1.0 has no Transfer-Encoding");
    }
    if (fields.encodings > 1 || !iequals(fields.encoding, "chunked")) {
        return refuse("BAD_TRANSFER_ENCODING", "Transfer-Encoding must be exactly: chunked");
    }
    return {};
}

} // namespace

// Head
// -------------------------------------------------------------------------------------------

Result<std::optional<std::size_t>> HeadScanner::scan(std::string_view piece) {
    for (std::size_t at = 0; at < piece.size(); ++at) {
        if (++bytes_ > limits_.head_bytes_max) {
            return fail(Errc::too_large, "the request head is too large", "HEADERS_TOO_LARGE");
        }
        if (const auto good = step(piece[at]); !good) {
            return error_of(good);
        }
        if (complete_) {
            return std::optional(at + 1);
        }
    }
    return std::optional<std::size_t>();
}

Result<void> HeadScanner::step(char c) {
    return state_ < State::field_begin ? step_request_line(c) : step_field(c);
}

Result<void> HeadScanner::step_request_line(char c) {
    const auto go_to = [this](State next) {
        state_ = next;
        part_bytes_ = 0;
        return Result<void>();
    };
    const std::size_t before = part_bytes_++;
    if (state_ == State::method) {
        if (c == ' ' && before > 0) {
            return go_to(State::target);
        }
        if (!in(token_bytes, c) || part_bytes_ > method_bytes_max) {
            return refuse("BAD_REQUEST_LINE", "the request does not begin with an HTTP method");
        }
    } else if (state_ == State::target) {
        if (c == ' ' && before > 0) {
            return go_to(State::version);
        }
        if (c == ' ' || c == '\r' || c == '\n') {
            return refuse("BAD_REQUEST_LINE", "a request line is: method, target, version");
        }
        if (!in(target_bytes, c)) {
            return refuse("BAD_TARGET", "the request target has a byte that must be escaped");
        }
        if (part_bytes_ > limits_.target_bytes_max) {
            return fail(Errc::too_large, "the request target is too long", "TARGET_TOO_LONG");
        }
    } else if (state_ == State::version) {
        if (c == '\r' && before == version_prefix.size() + 1) {
            return go_to(State::line_lf);
        }
        const bool good = before < version_prefix.size()
                              ? c == version_prefix[before]
                              : before == version_prefix.size() && (c == '0' || c == '1');
        if (!good) {
            return refuse("BAD_REQUEST_LINE", "the version must be HTTP/1.1 or HTTP/1.0");
        }
    } else {
        if (c != '\n') {
            return refuse("BAD_LINE_END", "lines must end with CR LF");
        }
        return go_to(State::field_begin);
    }
    return {};
}

Result<void> HeadScanner::step_field(char c) {
    switch (state_) {
    case State::field_begin:
        if (c == '\r') {
            state_ = State::end_lf;
            return {};
        }
        if (c == '\n') {
            return refuse("BAD_LINE_END", "lines must end with CR LF");
        }
        if (++fields_ > limits_.fields_max) {
            return fail(Errc::too_large, "the request has too many fields", "HEADERS_TOO_LARGE");
        }
        state_ = State::name;
        part_bytes_ = 0;
        [[fallthrough]];
    case State::name:
        if (c == ':' && part_bytes_ > 0) {
            state_ = State::value;
            return {};
        }
        ++part_bytes_;
        if (!in(token_bytes, c)) {
            return refuse("BAD_FIELD", "a field must be: name, colon, value, on one line");
        }
        return {};
    case State::value:
        if (c == '\r') {
            state_ = State::value_lf;
            return {};
        }
        if (c == '\n') {
            return refuse("BAD_LINE_END", "lines must end with CR LF");
        }
        if (!is_value_byte(c)) {
            return refuse("BAD_FIELD", "a field value must not hold control characters");
        }
        return {};
    default:
        if (c != '\n') {
            return refuse("BAD_LINE_END", "lines must end with CR LF");
        }
        complete_ = state_ == State::end_lf;
        state_ = State::field_begin;
        return {};
    }
}

Result<void> check_head(std::string_view head) {
    const std::string_view line = take_line(head);
    const auto target_at = line.find(' ') + 1;
    const auto version_at = line.rfind(' ') + 1;
    const std::string_view target = line.substr(target_at, version_at - target_at - 1);
    const bool http_1_0 = line.ends_with('0');
    if (const auto good = check_target(line.substr(0, target_at - 1), target); !good) {
        return good;
    }
    const FramingFields fields = collect(head);
    if (const auto good = check_length(fields, http_1_0); !good) {
        return good;
    }
    return check_host(fields, http_1_0);
}

// Chunks
// -----------------------------------------------------------------------------------------

Result<std::size_t> ChunkScanner::scan(std::string_view piece) {
    std::size_t at = 0;
    while (at < piece.size() && !done()) {
        if (state_ == State::data) {
            const auto skipped = std::min<std::uint64_t>(size_, piece.size() - at);
            at += static_cast<std::size_t>(skipped);
            size_ -= skipped;
            held_ = 0;
            state_ = size_ == 0 ? State::data_cr : State::data;
            continue;
        }
        ++held_;
        if (const auto good = step(piece[at]); !good) {
            return error_of(good);
        }
        ++at;
    }
    if (done()) {
        held_ = 0;
    }
    return at;
}

Result<void> ChunkScanner::step(char c) {
    if (state_ <= State::size) {
        return step_size(c);
    }
    if (state_ < State::size_lf) {
        return step_extension(c);
    }
    if (state_ >= State::trailer_begin) {
        return step_trailer(c);
    }
    const bool wants_cr = state_ == State::data_cr;
    if (c != (wants_cr ? '\r' : '\n')) {
        return refuse("BAD_CHUNK", "chunk sizes and chunk data must end with CR LF");
    }
    if (wants_cr) {
        state_ = State::data_lf;
    } else if (state_ == State::data_lf) {
        state_ = State::size_begin;
        digits_ = 0;
        extension_bytes_ = 0;
    } else {
        state_ = size_ == 0 ? State::trailer_begin : State::data;
    }
    return {};
}

Result<void> ChunkScanner::step_size(char c) {
    if (is_hex(c)) {
        if (++digits_ > chunk_digits_max) {
            return refuse("BAD_CHUNK", "a chunk size is too long");
        }
        const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
        size_ = (state_ == State::size_begin ? 0 : size_ * 16) + static_cast<unsigned>(digit);
        state_ = State::size;
        return {};
    }
    if (state_ == State::size_begin || (c != '\r' && c != ';')) {
        return refuse("BAD_CHUNK", "a chunk size must be a hexadecimal number and nothing else");
    }
    state_ = c == '\r' ? State::size_lf : State::extension;
    return {};
}

Result<void> ChunkScanner::step_extension(char c) {
    if (++extension_bytes_ > extension_bytes_max) {
        return refuse("BAD_CHUNK", "a chunk extension is too long");
    }
    if (c == '\r' && state_ == State::extension) {
        state_ = State::size_lf;
        return {};
    }
    if (!is_value_byte(c)) {
        return refuse("BAD_CHUNK", "a chunk extension holds a control character");
    }
    if (state_ == State::extension_escaped) {
        state_ = State::extension_quoted;
    } else if (c == '\\' && state_ == State::extension_quoted) {
        state_ = State::extension_escaped;
    } else if (c == '"') {
        state_ = state_ == State::extension ? State::extension_quoted : State::extension;
    }
    return {};
}

Result<void> ChunkScanner::step_trailer(char c) {
    if (++trailer_bytes_ > trailer_bytes_max) {
        return refuse("BAD_CHUNK", "the trailers are too long");
    }
    const auto bad = [] { return refuse("BAD_CHUNK", "a trailer is malformed"); };
    switch (state_) {
    case State::trailer_begin:
        if (c == '\r') {
            state_ = State::end_lf;
            return {};
        }
        if (!in(token_bytes, c)) {
            return bad();
        }
        state_ = State::trailer_name;
        return {};
    case State::trailer_name:
        if (c == ':') {
            state_ = State::trailer_value;
            return {};
        }
        return in(token_bytes, c) ? Result<void>() : bad();
    case State::trailer_value:
        if (c == '\r') {
            state_ = State::trailer_lf;
            return {};
        }
        return is_value_byte(c) ? Result<void>() : bad();
    default:
        if (c != '\n') {
            return bad();
        }
        state_ = state_ == State::end_lf ? State::done : State::trailer_begin;
        return {};
    }
}

// Authority
// --------------------------------------------------------------------------------------

std::optional<Authority> parse_authority(std::string_view text) {
    Authority out;
    std::string_view rest;
    if (text.starts_with('[')) {
        const auto close = text.find(']');
        if (close == std::string_view::npos || close < 3) {
            return std::nullopt;
        }
        const std::string_view inside = text.substr(1, close - 1);
        if (!std::ranges::all_of(inside, [](char c) { return in(v6_bytes, c); })) {
            return std::nullopt;
        }
        out.host = text.substr(0, close + 1);
        rest = text.substr(close + 1);
    } else {
        const auto colon = std::min(text.find(':'), text.size());
        out.host = text.substr(0, colon);
        rest = text.substr(colon);
        constexpr std::size_t name_bytes_max = 255;
        if (out.host.empty() || out.host.size() > name_bytes_max ||
            !std::ranges::all_of(out.host, [](char c) { return in(host_bytes, c); })) {
            return std::nullopt;
        }
    }
    if (rest.empty()) {
        return out;
    }
    const auto port = rest.starts_with(':') ? parse_u64(rest.substr(1)) : std::nullopt;
    if (!port || *port > 65535) {
        return std::nullopt;
    }
    out.port = static_cast<std::uint16_t>(*port);
    return out;
}

} // namespace rbee::http
