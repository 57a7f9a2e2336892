#include "rbee/http/parser.hpp"

#include "rbee/http/framing.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/optional/optional.hpp>
#include <boost/system/error_code.hpp>

#include <optional>
#include <string>
#include <utility>

namespace rbee::http {
namespace {

namespace beast_http = boost::beast::http;
using boost::beast::string_view;
using boost::system::error_code;

std::string to_string(string_view text) {
    return {text.data(), text.size()};
}

Error to_error(const error_code& code) {
    if (code == beast_http::error::header_limit) {
        return {Errc::too_large, "request head is too large", "HEADERS_TOO_LARGE"};
    }
    if (code == beast_http::error::body_limit) {
        return {Errc::too_large, "body is too large", "PAYLOAD_TOO_LARGE"};
    }
    return {Errc::invalid_argument, "malformed HTTP message: " + code.message(), {}};
}

/// Beast's strict state machine with our sinks: heads into plain structs, body bytes to a callback.
template <bool is_request, typename Head>
class Machine : public beast_http::basic_parser<is_request> {
public:
    explicit Machine(ParserLimits limits) {
        this->header_limit(limits.head_bytes_max);
        this->body_limit(limits.body_bytes_max);
        this->eager(false);
    }

    Result<std::size_t> feed(std::string_view data) {
        if (!this->is_header_done() || !this->chunked() || this->is_done()) {
            return put_all(data);
        }
        const auto seen = chunks_.scan(data.substr(seen_));
        if (!seen) {
            return error_of(seen);
        }
        seen_ += *seen;
        // Beast takes framing only whole: its chunk parser loses its way in pieces of a last chunk.
        auto used = put_all(data.substr(0, seen_ - chunks_.held()));
        if (!used) {
            return std::unexpected(Error{used.error().code, used.error().what, chunk_code(used)});
        }
        seen_ -= *used;
        if (chunks_.done() && !this->is_done()) {
            return fail(Errc::invalid_argument, "malformed chunked body", "BAD_CHUNK");
        }
        return used;
    }

    Head head;
    std::function<void(std::string_view)> body;

protected:
    Result<std::size_t> put_all(std::string_view data) {
        std::size_t consumed = 0;
        while (consumed < data.size() && !this->is_done()) {
            const bool had_head = this->is_header_done();
            error_code error;
            const auto used = this->put(
                boost::asio::const_buffer(data.data() + consumed, data.size() - consumed), error
            );
            consumed += used;
            if (error == beast_http::error::need_more) {
                break;
            }
            if (error) {
                return std::unexpected(to_error(error));
            }
            if (!had_head && this->is_header_done()) {
                finish_head();
                break; // the caller decides before body bytes are looked at
            }
            if (used == 0) {
                break;
            }
        }
        return consumed;
    }

private:
    static std::string chunk_code(const Result<std::size_t>& result) {
        const Error& error = result.error();
        return error.code == Errc::invalid_argument ? "BAD_CHUNK" : error.wire_code;
    }

    void finish_head() {
        head.keep_alive = this->keep_alive();
        head.chunked = this->chunked();
        if (const auto length = this->content_length()) {
            head.content_length = *length;
        }
    }

    // NOLINTNEXTLINE(readability-function-size): Beast sets the parameters of what it calls
    void on_request_impl(
        beast_http::verb /*verb*/,
        string_view method,
        string_view target,
        int version,
        error_code& /*error*/
    ) override {
        if constexpr (is_request) {
            head.method = to_string(method);
            head.target = to_string(target);
            const auto mark = head.target.find('?');
            head.path = head.target.substr(0, mark);
            if (mark != std::string::npos) {
                head.query = head.target.substr(mark + 1);
            }
            head.http_1_0 = version < 11;
        }
    }
    void on_response_impl(
        int status, string_view /*reason*/, int /*version*/, error_code& /*error*/
    ) override {
        if constexpr (!is_request) {
            head.status = status;
        }
    }
    void on_field_impl(
        beast_http::field /*field*/, string_view name, string_view value, error_code& /*error*/
    ) override {
        if (!this->is_header_done()) { // trailers are dropped
            head.headers.add(to_string(name), to_string(value));
        }
    }
    void on_header_impl(error_code& /*error*/) override {}
    void on_body_init_impl(
        const boost::optional<std::uint64_t>& /*length*/, error_code& /*error*/
    ) override {}
    std::size_t on_body_impl(string_view bytes, error_code& /*error*/) override {
        return deliver(bytes);
    }
    void on_chunk_header_impl(
        std::uint64_t /*size*/, string_view /*extensions*/, error_code& /*error*/
    ) override {}
    std::size_t on_chunk_body_impl(
        std::uint64_t /*remain*/, string_view bytes, error_code& /*error*/
    ) override {
        return deliver(bytes);
    }
    void on_finish_impl(error_code& /*error*/) override {}

    std::size_t deliver(string_view bytes) {
        if (body) {
            body(std::string_view(bytes.data(), bytes.size()));
        }
        return bytes.size();
    }

    ChunkScanner chunks_;
    std::size_t seen_ = 0; ///< Bytes at the front of the input that chunks_ has looked at.
};

} // namespace

class RequestParser::Impl : public Machine<true, RequestHead> {
public:
    explicit Impl(ParserLimits limits)
        : Machine(limits),
          scanner_({limits.head_bytes_max, limits.target_bytes_max, limits.fields_max}) {}

    Result<std::size_t> feed(std::string_view data) {
        return is_header_done() ? Machine::feed(data) : feed_head(data);
    }

private:
    /// Gives Beast the head when it is complete and good.
    Result<std::size_t> feed_head(std::string_view data) {
        const auto end = scanner_.scan(data.substr(scanned_));
        if (!end) {
            return error_of(end);
        }
        const std::optional<std::size_t> last = *end;
        if (!last) {
            scanned_ = data.size();
            return std::size_t{0};
        }
        const std::string_view whole = data.substr(0, scanned_ + *last);
        if (const auto good = check_head(whole); !good) {
            return error_of(good);
        }
        auto used = put_all(whole);
        if (!used && used.error().code == Errc::too_large) {
            return used;
        }
        if (!used || *used != whole.size() || !is_header_done()) {
            return fail(Errc::invalid_argument, "malformed request head", "BAD_FIELD");
        }
        return used;
    }

    HeadScanner scanner_;
    std::size_t scanned_ = 0; ///< Bytes at the front of the input that scanner_ has looked at.
};

RequestParser::RequestParser(ParserLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::~RequestParser() = default;
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser& RequestParser::operator=(RequestParser&&) noexcept = default;

Result<std::size_t> RequestParser::feed(std::string_view data) {
    return impl_->feed(data);
}
void RequestParser::on_body(BodyFn body) {
    impl_->body = std::move(body);
}
bool RequestParser::head_done() const {
    return impl_->is_header_done();
}
bool RequestParser::done() const {
    return impl_->is_done();
}
RequestHead& RequestParser::head() {
    return impl_->head;
}

class ResponseParser::Impl : public Machine<false, ResponseHead> {
    using Machine::Machine;
};

ResponseParser::ResponseParser(ParserLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
ResponseParser::~ResponseParser() = default;
ResponseParser::ResponseParser(ResponseParser&&) noexcept = default;
ResponseParser& ResponseParser::operator=(ResponseParser&&) noexcept = default;

Result<std::size_t> ResponseParser::feed(std::string_view data) {
    return impl_->feed(data);
}
Result<void> ResponseParser::feed_eof() {
    if (impl_->is_done()) {
        return {};
    }
    error_code error;
    if (impl_->is_header_done()) {
        impl_->put_eof(error);
    }
    if (error || !impl_->is_done()) {
        return fail(Errc::io, "connection closed in the middle of a response");
    }
    return {};
}
void ResponseParser::on_body(BodyFn body) {
    impl_->body = std::move(body);
}
void ResponseParser::expect_no_body() {
    impl_->skip(true);
}
bool ResponseParser::head_done() const {
    return impl_->is_header_done();
}
bool ResponseParser::done() const {
    return impl_->is_done();
}
ResponseHead& ResponseParser::head() {
    return impl_->head;
}

} // namespace rbee::http
