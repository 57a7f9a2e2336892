#include "rbee/http/server.hpp"

#include "rbee/http/session.hpp"
#include "rbee/runtime/quiet.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <sys/socket.h>

#include <exception>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;
using boost::system::error_code;

/// Accepts on one listening socket until closed. A raw descriptor is used because one acceptor type
/// must serve TCP and Unix sockets.
class Server::Acceptor : public std::enable_shared_from_this<Acceptor> {
public:
    Acceptor(Server& server, UniqueFd listener, int family)
        : server_(&server), descriptor_(server.executor_, listener.release()), family_(family),
          retry_(server.executor_) {}

    asio::awaitable<void> run() {
        const auto self = shared_from_this();
        while (server_ != nullptr) {
            error_code error;
            co_await descriptor_.async_wait(
                asio::posix::stream_descriptor::wait_read,
                asio::redirect_error(asio::use_awaitable, error)
            );
            if (error || server_ == nullptr) {
                break;
            }
            const bool again_at_once = accept_all();
            if (!again_at_once && server_ != nullptr) {
                // Out of descriptors: the listener stays readable, so wait instead of spinning.
                retry_.expires_after(std::chrono::milliseconds(50));
                co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, error));
            }
        }
    }

    void close() noexcept {
        server_ = nullptr;
        runtime::close_quietly(descriptor_);
        runtime::cancel_quietly(retry_);
    }

private:
    bool accept_all() {
        while (server_ != nullptr) {
            const int fd = ::accept4(
                descriptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC
            );
            if (fd < 0) {
                return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
            }
            Stream::Socket socket(server_->executor_);
            error_code error;
            if (socket.assign(asio::generic::stream_protocol(family_, 0), fd, error)) {
                ::close(fd);
                continue;
            }
            server_->adopt(std::move(socket));
        }
        return true;
    }

    Server* server_;
    asio::posix::stream_descriptor descriptor_;
    int family_;
    asio::steady_timer retry_;
};

Server::Server(asio::any_io_executor executor, Reaper& reaper, ServerOptions options)
    : executor_(std::move(executor)), reaper_(reaper), options_(options) {}

Server::~Server() {
    for (const auto& acceptor : acceptors_) {
        acceptor->close();
    }
}

void Server::set_handler(Handler handler, ErrorBody error_body, Report report) {
    handler_ = std::move(handler);
    error_body_ = std::move(error_body);
    report_ = std::move(report);
}

Result<void> Server::serve(UniqueFd listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return fail(Errc::io, "not a listening socket");
    }
    const auto acceptor =
        std::make_shared<Acceptor>(*this, std::move(listener), static_cast<int>(address.ss_family));
    acceptors_.push_back(acceptor);
    asio::co_spawn(executor_, acceptor->run(), asio::detached);
    return {};
}

void Server::adopt(Stream::Socket socket) {
    if (draining_ || sessions_.size() >= options_.connections_max) {
        return; // closing at once is the only answer that needs no state
    }
    set_no_delay(socket);
    const auto session = std::make_shared<Session>(*this, std::move(socket));
    asio::co_spawn(executor_, session->run(), asio::detached);
}

void Server::drain() {
    draining_ = true;
    for (const auto& acceptor : acceptors_) {
        acceptor->close();
    }
    acceptors_.clear();
    for (Session* session : std::unordered_set<Session*>(sessions_)) {
        session->close_if_idle();
    }
}

asio::awaitable<void> Server::stop() {
    drain();
    for (Session* session : std::unordered_set<Session*>(sessions_)) {
        session->close();
    }
    asio::steady_timer poll(executor_);
    while (!sessions_.empty()) {
        poll.expires_after(std::chrono::milliseconds(5));
        error_code ignored;
        co_await poll.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
}

} // namespace rbee::http
