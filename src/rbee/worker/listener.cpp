#include "rbee/worker/listener.hpp"

#include "rbee/process/listener.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

namespace rbee::worker {
namespace {

constexpr int backlog = 512;

std::string reason_of(int error) {
    return std::generic_category().message(error);
}

/// The address of a socket in the form of the socket calls.
struct Address {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// Where a bound socket really is.
Result<http::Endpoint> endpoint_of(int fd) {
    Address address;
    if (::getsockname(fd, address.get(), &address.size) != 0) {
        return fail(Errc::invalid_argument, "not a socket");
    }
    http::Endpoint out;
    std::array<char, INET6_ADDRSTRLEN> text{};
    if (address.storage.ss_family == AF_UNIX) {
        sockaddr_un name{};
        std::memcpy(&name, &address.storage, sizeof name);
        out.unix_path = name.sun_path;
    } else if (address.storage.ss_family == AF_INET) {
        sockaddr_in name{};
        std::memcpy(&name, &address.storage, sizeof name);
        out.host = ::inet_ntop(AF_INET, &name.sin_addr, text.data(), text.size());
        out.port = ntohs(name.sin_port);
    } else if (address.storage.ss_family == AF_INET6) {
        sockaddr_in6 name{};
        std::memcpy(&name, &address.storage, sizeof name);
        out.host = ::inet_ntop(AF_INET6, &name.sin6_addr, text.data(), text.size());
        out.port = ntohs(name.sin6_port);
    } else {
        return fail(Errc::invalid_argument, "neither a TCP nor a Unix socket");
    }
    return out;
}

/// A socket file that a dead process left would make bind() fail.
void remove_stale(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode)) {
        ::unlink(path.c_str());
    }
}

Result<UniqueFd> listen_unix(const std::string& path) {
    const auto refuse = [&path](const std::string& reason) {
        return rbee::fail(Errc::io, fmt::format("cannot listen on {}: {}", path, reason));
    };
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return refuse("the path is too long for a socket");
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd.valid()) {
        return refuse(reason_of(errno));
    }
    remove_stale(path);
    if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(fd.get(), backlog) != 0) {
        return refuse(reason_of(errno));
    }
    return fd;
}

} // namespace

Result<Listener> adopt_listener(int fd) {
    const auto refuse = [fd](const std::string& why) {
        return rbee::fail(Errc::invalid_argument, fmt::format("descriptor {}: {}", fd, why));
    };
    int listening = 0;
    socklen_t size = sizeof listening;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0) {
        return refuse("not a listening socket");
    }
    auto endpoint = endpoint_of(fd);
    if (!endpoint) {
        return refuse(endpoint.error().what);
    }
    // The server accepts until there is nothing left, so accept() must not wait.
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 ||
        ::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
        return refuse(reason_of(errno));
    }
    return Listener{UniqueFd(fd), std::move(*endpoint)};
}

Result<Listener> open_listener(const http::Endpoint& endpoint) {
    UniqueFd socket;
    if (!endpoint.unix_path.empty()) {
        auto opened = listen_unix(endpoint.unix_path);
        if (!opened) {
            return error_of(opened);
        }
        socket = std::move(*opened);
    } else {
        auto opened = process::listen_tcp(endpoint.host, endpoint.port);
        if (!opened) {
            return error_of(opened);
        }
        socket = std::move(opened->fd);
    }
    auto bound = endpoint_of(socket.get());
    if (!bound) {
        return error_of(bound);
    }
    return Listener{std::move(socket), std::move(*bound)};
}

} // namespace rbee::worker
