#include "rbee/http/session.hpp"

#include "rbee/base/ids.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <sys/socket.h>

#include <chrono>
#include <exception>
#include <span>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;

namespace {

/// What is asked for at once of a head.
constexpr std::size_t head_read_bytes = 2048;
/// What is still taken from a client that was answered before it had sent everything.
constexpr Duration linger_max = std::chrono::seconds(2);
constexpr std::size_t linger_bytes_max = 4UL * 1024 * 1024;
constexpr std::size_t linger_read_bytes = 16UL * 1024;

RequestParser make_parser(const ServerOptions& options) {
    return RequestParser(
        {.head_bytes_max = options.head_bytes_max,
         .target_bytes_max = options.target_bytes_max,
         .fields_max = options.fields_max}
    );
}

} // namespace

Session::Session(Server& server, Stream::Socket socket, Origin origin)
    : server_(server), stream_(std::move(socket), server.reaper_), peer_(stream_.peer_address()),
      origin_(std::move(origin)), parser_(make_parser(server.options_)) {
    server_.sessions_.insert(this);
}

Session::~Session() {
    server_.sessions_.erase(this);
    server_.sources_.leave(origin_.source);
}

void Session::close() {
    closing_ = true;
    if (exchange_ != nullptr) {
        exchange_->cancel().cancel(CancelReason::shutdown);
    }
    stream_.close();
}

void Session::close_if_idle() {
    closing_ = true;
    if (!busy_) {
        stream_.close();
    }
}

asio::awaitable<void> Session::run() {
    const auto self = shared_from_this();
    bool go_on = origin_.tls == nullptr || co_await secure();
    while (go_on && !closing_) {
        const auto got = co_await read_head();
        if (!got) {
            co_await refuse(got.error());
            break;
        }
        if (!*got) {
            break; // the peer has nothing more to say
        }
        first_ = false;
        busy_ = true;
        ++server_.active_requests_;
        go_on = co_await handle();
        --server_.active_requests_;
        busy_ = false;
    }
    if (unread_) {
        co_await linger();
    }
    stream_.close();
}

/// The handshake, which counts as part of the first head. False when the connection is over.
asio::awaitable<bool> Session::secure() {
    const TimePoint due = accepted_at_ + server_.options_.head_limit;
    const auto shaken = co_await stream_.accept_tls(
        std::exchange(origin_.tls, nullptr), due - std::chrono::steady_clock::now()
    );
    if (shaken) {
        peer_identity_ = stream_.peer_identity();
        co_return true;
    }
    if (server_.handshake_report_) {
        server_.handshake_report_(peer_, shaken.error());
    }
    if (shaken.error().wire_code == "PLAIN_HTTP") {
        co_await refuse(shaken.error());
    }
    co_return false;
}

asio::awaitable<Result<void>> Session::fill(Duration limit, std::size_t bytes_max) {
    const std::span<char> bytes = std::span(server_.scratch_).first(bytes_max);
    const auto size = co_await stream_.read_some(bytes, limit);
    if (!size) {
        co_return error_of(size);
    }
    input_.append(bytes.data(), *size);
    if (*size == 0) {
        co_return fail(Errc::io, "the client closed the connection");
    }
    co_return Result<void>();
}

/// A connection that is closed with unread input is reset, and the reset can overtake the answer:
/// so the rest of what the client sends is taken, within limits, and forgotten.
asio::awaitable<void> Session::linger() {
    if (!stream_.secure()) {
        // Fails only when the client is gone, and then there is nothing to take either.
        (void)::shutdown(stream_.socket().native_handle(), SHUT_WR);
    }
    const TimePoint due = std::chrono::steady_clock::now() + linger_max;
    std::size_t taken = 0;
    while (stream_.open() && !closing_ && taken < linger_bytes_max) {
        input_.clear();
        const auto filled =
            co_await fill(due - std::chrono::steady_clock::now(), linger_read_bytes);
        if (!filled) {
            break;
        }
        taken += input_.size();
    }
}

asio::awaitable<Result<bool>> Session::read_head() {
    parser_ = make_parser(server_.options_);
    if (input_.empty()) {
        std::string().swap(input_); // an idle connection keeps no buffer of a large body
    }
    const Duration head_limit = server_.options_.head_limit;
    TimePoint head_due = first_ ? accepted_at_ + head_limit : TimePoint::max();
    bool begun = false;
    while (true) {
        if (!input_.empty()) {
            if (!begun) {
                begun = true;
                received_at_ = std::chrono::steady_clock::now();
                head_due = first_ ? head_due : received_at_ + head_limit;
            }
            const auto used = parser_.feed(input_);
            if (!used) {
                co_return error_of(used);
            }
            input_.erase(0, *used);
            if (parser_.head_done()) {
                co_return true;
            }
        }
        const Duration limit = first_ || begun ? head_due - std::chrono::steady_clock::now()
                                               : server_.options_.idle_limit;
        const auto filled = co_await fill(limit, head_read_bytes);
        if (filled) {
            continue;
        }
        Error late{Errc::timeout, "the request head was not complete in time", "HEAD_TIMEOUT"};
        if (filled.error().code != Errc::timeout || !(first_ || begun)) {
            co_return false;
        }
        if (!begun) {
            count(late);
            co_return false; // nothing was asked
        }
        co_return std::unexpected(std::move(late));
    }
}

asio::awaitable<bool> Session::handle() {
    Exchange exchange(*this, std::move(parser_.head()));
    exchange_ = &exchange;
    co_await answer(exchange);
    unwatch_client();
    exchange_ = nullptr;

    const bool complete = exchange.finished_ && stream_.open();
    // A body that nobody read would be taken for the next request.
    const bool clean = exchange.body_read_ || parser_.done();
    unread_ = !clean;
    co_return complete&& clean&& exchange.keep_alive_ && !last_request();
}

/// What browsers may do is decided first: it needs no token, and a preflight carries none.
asio::awaitable<void> Session::answer(Exchange& exchange) {
    const BrowserPolicy& policy = server_.options_.browsers;
    exchange.cors_ = cors_fields(policy, exchange.head());
    if (origin_.loopback) {
        if (const auto allowed = check_browser(policy, exchange.head()); !allowed) {
            count(allowed.error());
            co_await send_error(exchange, allowed.error());
            co_return;
        }
    }
    if (auto preflight = answer_preflight(policy, exchange.head())) {
        const auto sent = co_await exchange.respond(std::move(*preflight));
        (void)sent; // the client may have gone; there is nobody else to tell
        co_return;
    }
    co_await run_handler(exchange);
}

asio::awaitable<void> Session::run_handler(Exchange& exchange) {
    Error error{Errc::internal, "the request could not be handled", {}};
    try {
        co_await server_.handler_(exchange);
    } catch (const std::exception& failure) {
        error.what = "internal error";
        server_.report_(exchange.correlation_id(), failure.what());
    }
    if (exchange.finished_ || !stream_.open()) {
        co_return;
    }
    if (exchange.started_) {
        exchange.abort();
        co_return;
    }
    co_await send_error(exchange, std::move(error));
}

asio::awaitable<void> Session::refuse(Error error) {
    count(error);
    unread_ = true;
    RequestHead nothing;
    nothing.keep_alive = false;
    Exchange exchange(*this, std::move(nothing));
    exchange.body_read_ = true;
    co_await send_error(exchange, std::move(error));
}

asio::awaitable<void> Session::send_error(Exchange& exchange, Error error) {
    const auto sent =
        co_await exchange.respond(server_.error_body_(error, exchange.correlation_id()));
    if (!sent) {
        stream_.close();
    }
}

void Session::count(const Error& error) const {
    if (const auto refusal = refusal_of(error)) {
        server_.count(*refusal);
    }
}

bool Session::last_request() const {
    return closing_ || server_.draining_;
}

const ServerOptions& Session::limits() const {
    return server_.options_;
}

void Session::watch_client(CancelSource& cancel) {
    if (!input_.empty() || watch_) {
        return; // the next request waits already: the client is there
    }
    if (stream_.secure() && stream_.look() == Stream::Peer::ready) {
        return; // the same, decrypted already, which the socket does not show
    }
    watch_ = std::make_shared<asio::cancellation_signal>();
    stream_.socket().async_wait(
        Stream::Socket::wait_read,
        asio::bind_cancellation_slot(
            watch_->slot(),
            [self = shared_from_this(),
             signal = watch_,
             &cancel](const boost::system::error_code& error) {
                // `cancel` is alive exactly as long as the watch has not been taken back.
                if (self->watch_ != signal) {
                    return;
                }
                self->watch_.reset();
                const auto peer = error ? Stream::Peer::gone : self->stream_.look();
                if (peer == Stream::Peer::gone) {
                    cancel.cancel(CancelReason::client_gone);
                } else if (peer == Stream::Peer::quiet) {
                    self->watch_client(cancel); // TLS had something to say, not the client
                }
            }
        )
    );
}

void Session::unwatch_client() {
    if (const auto watch = std::exchange(watch_, nullptr)) {
        watch->emit(asio::cancellation_type::all);
    }
}

} // namespace rbee::http
