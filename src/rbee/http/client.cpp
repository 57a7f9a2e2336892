#include "rbee/http/client.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/runtime/quiet.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fmt/format.h>

#include <array>
#include <optional>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t scratch_bytes = 64UL * 1024;

} // namespace

ResponseStream::ResponseStream(
    Client& client, Endpoint endpoint, std::unique_ptr<Stream> stream, CallOptions options
)
    : client_(client), endpoint_(std::move(endpoint)), stream_(std::move(stream)),
      options_(options), parser_({.head_bytes_max = 64 * 1024, .body_bytes_max = UINT64_MAX}) {
    if (options_.cancel != nullptr) {
        on_cancel_ = options_.cancel->on_cancel([this](CancelReason) { stream_->close(); });
    }
}

ResponseStream::~ResponseStream() = default;

Error ResponseStream::explain(Error error) const {
    const auto reason =
        options_.cancel != nullptr ? options_.cancel->reason() : std::optional<CancelReason>();
    if (reason) {
        return {Errc::cancelled, std::string(to_string(*reason)), {}};
    }
    return error;
}

asio::awaitable<Result<void>> ResponseStream::send(const ClientRequest& request) {
    std::string head;
    append(head, {request.method, " ", request.target, " HTTP/1.1\r\n"});
    append_field(head, "Host", endpoint_.authority());
    for (const auto& [name, value] : request.headers) {
        append_field(head, name, value);
    }
    if (!request.body.empty()) {
        append_field(head, "Content-Type", request.content_type);
    }
    if (!request.body.empty() || request.method == "POST" || request.method == "PATCH" ||
        request.method == "PUT") {
        append_field(head, "Content-Length", std::to_string(request.body.size()));
    }
    head += "\r\n";
    if (request.method == "HEAD") {
        parser_.expect_no_body();
    }
    const std::array pieces = {
        asio::const_buffer(head.data(), head.size()),
        asio::const_buffer(request.body.data(), request.body.size()),
    };
    const auto sent = co_await stream_->write(pieces, options_.head_limit);
    if (!sent) {
        co_return std::unexpected(explain(sent.error()));
    }
    co_return Result<void>();
}

asio::awaitable<Result<bool>> ResponseStream::fill(Duration limit) {
    const std::span<char> bytes = client_.scratch_;
    const auto size = co_await stream_->read_some(bytes, limit);
    if (!size) {
        co_return std::unexpected(explain(size.error()));
    }
    if (*size == 0) {
        const auto ended = parser_.feed_eof();
        stream_->close();
        if (!ended) {
            co_return std::unexpected(explain(ended.error()));
        }
        co_return false;
    }
    input_.append(bytes.data(), *size);
    co_return true;
}

asio::awaitable<Result<void>> ResponseStream::read_head() {
    const TimePoint due = std::chrono::steady_clock::now() + options_.head_limit;
    while (true) {
        const auto more = co_await fill(due - std::chrono::steady_clock::now());
        if (!more) {
            co_return error_of(more);
        }
        const auto used = parser_.feed(input_);
        if (!used) {
            stream_->close();
            co_return error_of(used);
        }
        input_.erase(0, *used);
        if (!parser_.head_done()) {
            continue;
        }
        if (const int status = parser_.head().status; status >= 100 && status < 200) {
            parser_ = ResponseParser({.head_bytes_max = 64 * 1024, .body_bytes_max = UINT64_MAX});
            continue;
        }
        co_return Result<void>();
    }
}

bool ResponseStream::ready() const {
    return !input_.empty() || parser_.done();
}

asio::awaitable<Result<void>> ResponseStream::peek() {
    if (!ready()) {
        const auto more = co_await fill(options_.body_limit);
        if (!more) {
            co_return error_of(more);
        }
    }
    co_return Result<void>();
}

asio::awaitable<Result<std::string_view>> ResponseStream::next() {
    output_.clear();
    parser_.on_body([this](std::string_view bytes) { output_.append(bytes); });
    while (true) {
        if (!input_.empty() && !parser_.done()) {
            const auto used = parser_.feed(input_);
            if (!used) {
                stream_->close();
                co_return error_of(used);
            }
            input_.erase(0, *used);
        }
        if (!output_.empty()) {
            co_return std::string_view(output_);
        }
        if (parser_.done()) {
            give_back();
            co_return std::string_view();
        }
        const auto more = co_await fill(options_.body_limit);
        if (!more) {
            co_return error_of(more);
        }
    }
}

void ResponseStream::give_back() {
    on_cancel_.reset();
    if (!stream_ || !stream_->open() || !parser_.head().keep_alive || !input_.empty()) {
        return;
    }
    const TimePoint now = std::chrono::steady_clock::now();
    // Those of endpoints that nobody calls any more, such as workers that have died, would stay.
    for (auto& [endpoint, connections] : client_.idle_) {
        std::erase_if(connections, [&](const auto& one) {
            return now - one.since > client_.options_.idle_limit;
        });
    }
    std::erase_if(client_.idle_, [](const auto& item) { return item.second.empty(); });
    auto& idle = client_.idle_[endpoint_];
    if (idle.size() < client_.options_.idle_per_endpoint_max) {
        idle.push_back({std::move(stream_), now});
    }
}

Client::Client(asio::any_io_executor executor, Reaper& reaper, Options options)
    : executor_(std::move(executor)), reaper_(reaper), options_(options), scratch_(scratch_bytes) {}

std::unique_ptr<Stream> Client::take_idle(const Endpoint& endpoint) {
    const auto found = idle_.find(endpoint);
    if (found == idle_.end()) {
        return nullptr;
    }
    auto& idle = found->second;
    const TimePoint oldest = std::chrono::steady_clock::now() - options_.idle_limit;
    while (!idle.empty()) {
        Idle candidate = std::move(idle.back());
        idle.pop_back();
        // A request on a connection that the server has closed would be lost, and whether it was
        // worked on could not be told: look first, never send twice.
        if (candidate.since >= oldest && !candidate.stream->peer_gone()) {
            return std::move(candidate.stream);
        }
    }
    idle_.erase(found);
    return nullptr;
}

namespace {

/// Closes a socket that is still connecting when its limit or its cancel comes.
asio::awaitable<error_code>
connect_to(Stream::Socket& socket, asio::generic::stream_protocol::endpoint where) {
    error_code error;
    if (!socket.open(where.protocol(), error)) {
        co_await socket.async_connect(where, asio::redirect_error(asio::use_awaitable, error));
    }
    co_return error;
}

} // namespace

asio::awaitable<Result<std::unique_ptr<Stream>>>
Client::connect(Endpoint endpoint, CallOptions options) {
    std::vector<asio::generic::stream_protocol::endpoint> candidates;
    error_code error;
    if (!endpoint.unix_path.empty()) {
        candidates.emplace_back(asio::local::stream_protocol::endpoint(endpoint.unix_path));
    } else if (const auto address = asio::ip::make_address(endpoint.host, error); !error) {
        candidates.emplace_back(asio::ip::tcp::endpoint(address, endpoint.port));
    } else {
        asio::ip::tcp::resolver resolver(executor_);
        error.clear();
        const auto found = co_await resolver.async_resolve(
            endpoint.host,
            std::to_string(endpoint.port),
            asio::redirect_error(asio::use_awaitable, error)
        );
        for (const auto& entry : found) {
            candidates.emplace_back(entry.endpoint());
        }
    }
    for (const auto& candidate : candidates) {
        Stream::Socket socket(executor_);
        Reaper::Entry limit(reaper_, [&] { runtime::close_quietly(socket); });
        limit.arm(options.connect_limit);
        CancelSource::Registration stop;
        if (options.cancel != nullptr) {
            stop = options.cancel->on_cancel([&](CancelReason) { runtime::close_quietly(socket); });
        }
        error = co_await connect_to(socket, candidate);
        if (options.cancel != nullptr && options.cancel->cancelled()) {
            co_return fail(Errc::cancelled, "cancelled while connecting");
        }
        if (!error && !limit.expired()) {
            stop.reset();
            auto begun = co_await begin(std::move(endpoint), options, std::move(socket));
            co_return begun;
        }
        if (limit.expired()) {
            error = asio::error::timed_out;
        }
    }
    co_return fail(
        Errc::unavailable,
        fmt::format("cannot connect to {}: {}", endpoint.to_string(), error.message())
    );
}

void Client::use_tls(std::shared_ptr<TlsContext> context) {
    tls_ = std::move(context);
    close_idle();
}

asio::awaitable<Result<std::unique_ptr<Stream>>>
Client::begin(Endpoint endpoint, CallOptions options, Stream::Socket socket) {
    set_no_delay(socket);
    auto stream = std::make_unique<Stream>(std::move(socket), reaper_);
    if (!endpoint.secure) {
        co_return stream;
    }
    if (!tls_) {
        auto made = TlsContext::client({});
        if (!made) {
            co_return error_of(made);
        }
        tls_ = std::move(*made);
    }
    CancelSource::Registration stop;
    if (options.cancel != nullptr) {
        stop = options.cancel->on_cancel([&](CancelReason) { stream->abort(); });
    }
    const auto secured = co_await stream->connect_tls(tls_, endpoint, options.connect_limit);
    if (options.cancel != nullptr && options.cancel->cancelled()) {
        co_return fail(Errc::cancelled, "cancelled while connecting");
    }
    if (secured) {
        co_return stream;
    }
    Error error = secured.error();
    if (error.code == Errc::io || error.code == Errc::timeout) {
        error = {
            Errc::unavailable,
            fmt::format("cannot connect to {}: {}", endpoint.to_string(), error.what),
            {}
        };
    }
    co_return std::unexpected(std::move(error));
}

asio::awaitable<Result<std::unique_ptr<ResponseStream>>>
Client::open(Endpoint endpoint, ClientRequest request, CallOptions options) {
    auto stream = take_idle(endpoint);
    if (!stream) {
        auto connected = co_await connect(endpoint, options);
        if (!connected) {
            co_return error_of(connected);
        }
        stream = std::move(*connected);
    }
    auto response =
        std::make_unique<ResponseStream>(*this, std::move(endpoint), std::move(stream), options);
    const auto sent = co_await response->send(request);
    if (!sent) {
        co_return error_of(sent);
    }
    const auto head = co_await response->read_head();
    if (!head) {
        co_return error_of(head);
    }
    co_return response;
}

asio::awaitable<Result<Response>>
Client::fetch(Endpoint endpoint, ClientRequest request, CallOptions options) {
    auto opened = co_await open(std::move(endpoint), std::move(request), options);
    if (!opened) {
        co_return error_of(opened);
    }
    ResponseStream& stream = **opened;
    Response response;
    response.status = stream.head().status;
    response.headers = stream.head().headers;
    response.content_type = std::string(stream.head().headers.find("Content-Type").value_or(""));
    while (true) {
        const auto bytes = co_await stream.next();
        if (!bytes) {
            co_return error_of(bytes);
        }
        if (bytes->empty()) {
            co_return response;
        }
        if (response.body.size() + bytes->size() > options.body_bytes_max) {
            co_return fail(Errc::io, "the answer is larger than expected");
        }
        response.body.append(*bytes);
    }
}

} // namespace rbee::http
