#include "rbee/process/listener.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

namespace rbee::process {
namespace {

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

std::uint16_t bound_port(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        return 0;
    }
    if (address.ss_family == AF_INET6) {
        return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
    }
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

Errc kind_of(int error) {
    switch (error) {
    case EADDRINUSE:
        return Errc::conflict;
    case EACCES:
        return Errc::forbidden;
    case EADDRNOTAVAIL:
        return Errc::invalid_argument;
    default:
        return Errc::io;
    }
}

std::string reason_of(int error) {
    return error == EADDRINUSE ? "address in use" : std::generic_category().message(error);
}

std::string place_of(const std::string& host, const std::string& port) {
    return host.contains(':') ? "[" + host + "]:" + port : host + ":" + port;
}

/// A listening socket, or an invalid one and errno.
UniqueFd open_listener(const addrinfo& address) {
    UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) {
        return fd;
    }
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd.get(), address.ai_addr, address.ai_addrlen) != 0 ||
        ::listen(fd.get(), SOMAXCONN) != 0) {
        const int error = errno;
        fd.reset();
        errno = error;
    }
    return fd;
}

} // namespace

Result<Listener> listen_tcp(const std::string& host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* raw = nullptr;
    const std::string service = std::to_string(port);
    const int looked_up = ::getaddrinfo(host.c_str(), service.c_str(), &hints, &raw);
    const Addresses addresses(raw, &::freeaddrinfo);
    if (looked_up != 0 || !addresses) {
        return fail(
            Errc::invalid_argument,
            "cannot listen on " + place_of(host, service) + ": " + ::gai_strerror(looked_up)
        );
    }
    UniqueFd fd = open_listener(*addresses);
    if (!fd.valid()) {
        const int error = errno;
        return fail(
            kind_of(error), "cannot listen on " + place_of(host, service) + ": " + reason_of(error)
        );
    }
    const std::uint16_t bound = bound_port(fd.get());
    return Listener{.fd = std::move(fd), .port = bound};
}

Result<Listener>
listen_first_free(const std::string& host, std::uint16_t first, std::uint16_t last) {
    for (std::uint32_t port = first; port <= last; ++port) {
        Result<Listener> listener = listen_tcp(host, static_cast<std::uint16_t>(port));
        if (listener || listener.error().code != Errc::conflict) {
            return listener;
        }
    }
    return fail(
        Errc::conflict,
        "no port from " + std::to_string(first) + " to " + std::to_string(last) + " is free on " +
            host
    );
}

} // namespace rbee::process
