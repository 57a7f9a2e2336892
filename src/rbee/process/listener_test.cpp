#include "rbee/process/listener.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

namespace rbee::process {
namespace {

TEST(Listener, TellsTheRealPortAndAcceptsConnections) {
    const auto listener = listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(listener.has_value()) << listener.error().what;
    EXPECT_GT(listener->port, 0);
    EXPECT_NE(::fcntl(listener->fd.get(), F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_NE(::fcntl(listener->fd.get(), F_GETFL) & O_NONBLOCK, 0);
    const UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(listener->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(
        ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0
    );
}

TEST(Listener, ATakenPortIsAConflict) {
    const auto first = listen_tcp("127.0.0.1", 0);
    ASSERT_TRUE(first.has_value());
    const auto second = listen_tcp("127.0.0.1", first->port);
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_EQ(
        second.error().what,
        "cannot listen on 127.0.0.1:" + std::to_string(first->port) + ": address in use"
    );
    const auto none = listen_first_free("127.0.0.1", first->port, first->port);
    ASSERT_FALSE(none.has_value());
    EXPECT_EQ(none.error().code, Errc::conflict);
    if (first->port < 65000) {
        const auto next = listen_first_free("127.0.0.1", first->port, 65535);
        ASSERT_TRUE(next.has_value());
        EXPECT_GT(next->port, first->port);
    }
}

TEST(Listener, BadHostsAreRefused) {
    EXPECT_EQ(listen_tcp("not an address", 0).error().code, Errc::invalid_argument);
    EXPECT_EQ(listen_tcp("192.0.2.1", 0).error().code, Errc::invalid_argument);
}

} // namespace
} // namespace rbee::process
