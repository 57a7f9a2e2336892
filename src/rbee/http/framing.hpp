#pragma once

#include "rbee/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rbee::http {

/// Bounds on the head of a request.
struct HeadLimits {
    std::size_t head_bytes_max = 16UL * 1024;
    std::size_t target_bytes_max = 8UL * 1024;
    std::size_t fields_max = 100;
};

/// Finds the end of a request head and refuses everything that RFC 9112 does not allow, looking at
/// each byte once. It is stricter than the parser behind it, which tolerates what other servers
/// read in another way: what one server takes for a body must not be another one's next request.
/// The result does not depend on how the bytes were cut.
class HeadScanner {
public:
    explicit HeadScanner(HeadLimits limits = {}) : limits_(limits) {}

    /// Looks at the bytes behind those that it has seen. Returns how many of `piece` belong to the
    /// head once it is complete, nothing when more is needed. Fails with Errc::invalid_argument
    /// (BAD_REQUEST_LINE, BAD_TARGET, BAD_FIELD, BAD_LINE_END) or Errc::too_large
    /// (HEADERS_TOO_LARGE, TARGET_TOO_LONG).
    [[nodiscard]] Result<std::optional<std::size_t>> scan(std::string_view piece);

private:
    enum class State {
        method,
        target,
        version,
        line_lf,
        field_begin,
        name,
        value,
        value_lf,
        end_lf
    };
    [[nodiscard]] Result<void> step(char c);
    [[nodiscard]] Result<void> step_request_line(char c);
    [[nodiscard]] Result<void> step_field(char c);

    HeadLimits limits_;
    State state_ = State::method;
    std::size_t bytes_ = 0;      ///< Of the head so far.
    std::size_t part_bytes_ = 0; ///< Of the method, target, version or name so far.
    std::size_t fields_ = 0;
    bool complete_ = false;
};

/// Checks what the fields of a complete head that HeadScanner let pass say about the length of the
/// body and about the host (RFC 9112 §3.2, §6). Fails with Errc::invalid_argument and BAD_TARGET,
/// BAD_HOST, BAD_CONTENT_LENGTH, BAD_TRANSFER_ENCODING or AMBIGUOUS_LENGTH.
[[nodiscard]] Result<void> check_head(std::string_view head);

/// Checks the framing of a chunked body (RFC 9112 §7.1), looking at each byte once. Chunk data is
/// skipped, not looked at.
class ChunkScanner {
public:
    /// Bounds on what is not data.
    static constexpr std::size_t extension_bytes_max = 256;
    static constexpr std::size_t trailer_bytes_max = 8UL * 1024;

    /// Looks at the bytes behind those that it has seen; returns how many of them belong to the
    /// body. Fails with Errc::invalid_argument and BAD_CHUNK.
    [[nodiscard]] Result<std::size_t> scan(std::string_view piece);
    [[nodiscard]] bool done() const { return state_ == State::done; }
    /// How many of the bytes seen last belong to framing that is not complete.
    [[nodiscard]] std::size_t held() const { return held_; }

private:
    enum class State {
        size_begin,
        size,
        extension,
        extension_quoted,
        extension_escaped,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer_begin,
        trailer_name,
        trailer_value,
        trailer_lf,
        end_lf,
        done,
    };
    [[nodiscard]] Result<void> step(char c);
    [[nodiscard]] Result<void> step_size(char c);
    [[nodiscard]] Result<void> step_extension(char c);
    [[nodiscard]] Result<void> step_trailer(char c);

    State state_ = State::size_begin;
    std::uint64_t size_ = 0; ///< Announced, then what is left of the data.
    std::size_t digits_ = 0;
    std::size_t extension_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::size_t held_ = 0;
};

/// The parts of a Host field or of the authority of an origin.
struct Authority {
    std::string_view host; ///< With brackets for an IPv6 address.
    std::optional<std::uint16_t> port;
};

/// Reads `host` or `host:port`; nothing when it is not well-formed. User names are not taken.
[[nodiscard]] std::optional<Authority> parse_authority(std::string_view text);

} // namespace rbee::http
