#include "rbee/http/server.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/http/session.hpp"
#include "rbee/runtime/quiet.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

namespace rbee::http {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

/// Is the socket bound to an address that only this machine reaches from a browser?
bool is_loopback_address(const sockaddr_storage& address) {
    if (address.ss_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, &address, sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24U == 127;
    }
    if (address.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr) && v6.sin6_addr.s6_addr[12] == 127);
    }
    return false; // browsers know no Unix sockets
}

UniqueFd open_spare() {
    return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

} // namespace

/// Accepts on one listening socket until closed. A raw descriptor is used because one acceptor type
/// must serve TCP and Unix sockets.
class Server::Acceptor : public std::enable_shared_from_this<Acceptor> {
public:
    Acceptor(Server& server, UniqueFd listener, const Entrance& entrance)
        : server_(&server), descriptor_(server.executor_, listener.release()), entrance_(entrance),
          retry_(server.executor_), spare_(open_spare()) {}

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
            sockaddr_storage peer{};
            const int fd = accept_one(&peer);
            if (fd < 0) {
                const int cause = errno;
                if (cause != EMFILE && cause != ENFILE && cause != ENOBUFS && cause != ENOMEM) {
                    return true;
                }
                if (!turn_away()) {
                    return false;
                }
                continue;
            }
            Stream::Socket socket(server_->executor_);
            error_code error;
            if (socket.assign(asio::generic::stream_protocol(entrance_.family, 0), fd, error)) {
                ::close(fd);
                continue;
            }
            server_->adopt(std::move(socket), Source(peer), entrance_);
        }
        return true;
    }

    int accept_one(sockaddr_storage* peer) {
        socklen_t size = sizeof *peer;
        return ::accept4(
            descriptor_.native_handle(),
            reinterpret_cast<sockaddr*>(peer),
            &size,
            SOCK_NONBLOCK | SOCK_CLOEXEC
        );
    }

    /// Out of descriptors: the spare one makes room to accept the waiting client and close it, so
    /// that it does not wait for nothing.
    bool turn_away() {
        if (!spare_.valid()) {
            spare_ = open_spare();
            return false;
        }
        spare_.reset();
        sockaddr_storage peer{};
        const UniqueFd client(accept_one(&peer));
        if (client.valid()) {
            server_->count(Refusal::descriptors);
        }
        return client.valid();
    }

    Server* server_;
    asio::posix::stream_descriptor descriptor_;
    Entrance entrance_;
    asio::steady_timer retry_;
    UniqueFd spare_;
};

Server::Server(asio::any_io_executor executor, Reaper& reaper, ServerOptions options)
    : executor_(std::move(executor)), reaper_(reaper), options_(std::move(options)),
      sources_(options_.connections_per_source_max), bodies_(options_.bodies_bytes_max) {}

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

Result<void> Server::serve(UniqueFd listener, Security security) {
    RBEE_ASSERT(security == Security::plain || tls_ != nullptr);
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return fail(Errc::io, "not a listening socket");
    }
    const Entrance entrance{
        .family = address.ss_family,
        .loopback = is_loopback_address(address),
        .security = security,
    };
    const auto acceptor = std::make_shared<Acceptor>(*this, std::move(listener), entrance);
    acceptors_.push_back(acceptor);
    asio::co_spawn(executor_, acceptor->run(), asio::detached);
    return {};
}

void Server::set_options(ServerOptions options) {
    options_ = std::move(options);
    sources_.set_limit(options_.connections_per_source_max);
    bodies_.resize(options_.bodies_bytes_max);
}

void Server::adopt(Stream::Socket socket, const Source& source, const Entrance& entrance) {
    // Closing at once is the only answer that needs no state.
    if (draining_) {
        return;
    }
    if (sessions_.size() >= options_.connections_max) {
        return count(Refusal::connections);
    }
    if (!sources_.enter(source)) {
        return count(Refusal::connections_of_source);
    }
    set_no_delay(socket);
    Session::Origin origin{
        .source = source,
        .loopback = entrance.loopback,
        .tls = entrance.security == Security::tls ? tls_ : nullptr,
    };
    const auto session = std::make_shared<Session>(*this, std::move(socket), std::move(origin));
    asio::co_spawn(executor_, session->run(), asio::detached);
}

void Server::count(Refusal refusal) const {
    if (refused_) {
        refused_(refusal);
    }
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
