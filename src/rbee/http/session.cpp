#include "rbee/http/session.hpp"

#include "rbee/base/ids.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;

Session::Session(Server& server, Stream::Socket socket)
    : server_(server), stream_(std::move(socket), server.reaper_),
      parser_({.head_bytes_max = server.options_.head_bytes_max}) {
    server_.sessions_.insert(this);
    peer_ = stream_.peer_address();
}

Session::~Session() {
    server_.sessions_.erase(this);
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
    bool go_on = true;
    while (go_on && !closing_) {
        const auto got = co_await read_head();
        if (!got) {
            co_await refuse(got.error());
            break;
        }
        if (!*got) {
            break; // the peer has nothing more to say
        }
        busy_ = true;
        ++server_.active_requests_;
        go_on = co_await handle();
        --server_.active_requests_;
        busy_ = false;
    }
    stream_.close();
}

asio::awaitable<Result<void>> Session::fill(Duration limit) {
    std::array<char, 16UL * 1024>
        bytes; // NOLINT(cppcoreguidelines-pro-type-member-init): filled by read
    const auto size = co_await stream_.read_some(bytes, limit);
    if (!size) {
        co_return error_of(size);
    }
    if (*size == 0) {
        co_return fail(Errc::io, "the client closed the connection");
    }
    input_.append(bytes.data(), *size);
    co_return Result<void>();
}

asio::awaitable<Result<bool>> Session::read_head() {
    parser_ = RequestParser({.head_bytes_max = server_.options_.head_bytes_max});
    TimePoint head_due = TimePoint::max();
    while (true) {
        if (!input_.empty()) {
            if (head_due == TimePoint::max()) {
                received_at_ = std::chrono::steady_clock::now();
                head_due = received_at_ + server_.options_.head_limit;
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
        const bool fresh = input_.empty();
        const Duration limit =
            fresh ? server_.options_.idle_limit : head_due - std::chrono::steady_clock::now();
        const auto filled = co_await fill(limit);
        if (!filled) {
            if (fresh || filled.error().code == Errc::io) {
                co_return false;
            }
            co_return fail(
                Errc::timeout, "the request head was not complete in time", "HEAD_TIMEOUT"
            );
        }
    }
}

asio::awaitable<bool> Session::handle() {
    Exchange exchange(*this, std::move(parser_.head()));
    exchange_ = &exchange;
    co_await run_handler(exchange);
    unwatch_client();
    exchange_ = nullptr;

    const bool complete = exchange.finished_ && stream_.open();
    // A body that nobody read would be taken for the next request.
    const bool clean = exchange.body_read_ || parser_.done();
    co_return complete&& clean&& exchange.keep_alive_ && !last_request();
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
    Response response = server_.error_body_(error, exchange.correlation_id());
    const auto sent = co_await exchange.respond(std::move(response));
    if (!sent) {
        stream_.close();
    }
}

asio::awaitable<void> Session::refuse(Error error) {
    RequestHead nothing;
    nothing.keep_alive = false;
    Exchange exchange(*this, std::move(nothing));
    exchange.body_read_ = true;
    Response response = server_.error_body_(error, exchange.correlation_id());
    const auto sent = co_await exchange.respond(std::move(response));
    if (!sent) {
        stream_.close();
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
                if (error || self->stream_.peer_gone()) {
                    cancel.cancel(CancelReason::client_gone);
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
