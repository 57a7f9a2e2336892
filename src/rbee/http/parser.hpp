#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/message.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace rbee::http {

/// Bounds on one message.
struct ParserLimits {
    std::uint32_t head_bytes_max = 16 * 1024;
    std::uint32_t target_bytes_max = 8 * 1024; ///< Of a request.
    std::uint32_t fields_max = 100;            ///< Of a request.
    std::uint64_t body_bytes_max = 64ULL * 1024 * 1024;
};

/// Incremental HTTP/1.1 parser (RFC 9112) for one request. Bytes that feed() does not consume must
/// be given again, with more after them. The parser never owns body bytes: they go to the callback
/// as they lie in the input, chunk framing removed. Heads and chunks are checked by framing.hpp
/// first; how the bytes are cut makes no difference. Trailers are dropped.
class RequestParser {
public:
    using BodyFn = std::function<void(std::string_view)>;

    explicit RequestParser(ParserLimits limits = {});
    ~RequestParser();
    RequestParser(RequestParser&&) noexcept;
    RequestParser& operator=(RequestParser&&) noexcept;

    /// Consumes from `data` and returns how many bytes. Stops behind the head once, then parses
    /// body. Fails with Errc::invalid_argument on malformed input and Errc::too_large on a limit,
    /// with the wire codes of framing.hpp.
    [[nodiscard]] Result<std::size_t> feed(std::string_view data);
    void on_body(BodyFn body);
    [[nodiscard]] bool head_done() const;
    [[nodiscard]] bool done() const;
    /// Valid once head_done().
    [[nodiscard]] RequestHead& head();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

/// The same for one response.
class ResponseParser {
public:
    using BodyFn = std::function<void(std::string_view)>;

    explicit ResponseParser(ParserLimits limits = {});
    ~ResponseParser();
    ResponseParser(ResponseParser&&) noexcept;
    ResponseParser& operator=(ResponseParser&&) noexcept;

    [[nodiscard]] Result<std::size_t> feed(std::string_view data);
    /// The peer closed its side: fine only for a body that ends with the connection.
    [[nodiscard]] Result<void> feed_eof();
    void on_body(BodyFn body);
    /// The response answers HEAD: it has no body whatever its head says.
    void expect_no_body();
    [[nodiscard]] bool head_done() const;
    [[nodiscard]] bool done() const;
    [[nodiscard]] ResponseHead& head();

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace rbee::http
