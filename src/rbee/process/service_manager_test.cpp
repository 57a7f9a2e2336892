#include "rbee/process/service_manager.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <chrono>
#include <cstring>
#include <map>
#include <string>

#include "support/fake_timers.hpp"
#include "support/temp_dir.hpp"

namespace rbee::process {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

/// The other end: what systemd would get.
class ServiceManagerTest : public testing::Test {
protected:
    ServiceManagerTest() {
        path_ = dir_ / "notify";
        sockaddr_un name{};
        name.sun_family = AF_UNIX;
        std::memcpy(name.sun_path, path_.data(), path_.size());
        socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    }
    /// The next message; empty when there is none.
    [[nodiscard]] std::string next() const {
        std::array<char, 512> bytes{};
        const auto got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
        return got > 0 ? std::string(bytes.data(), static_cast<std::size_t>(got)) : std::string();
    }

    test::TempDir dir_;
    std::string path_;
    UniqueFd socket_;
};

TEST_F(ServiceManagerTest, Tells_what_happens_in_the_words_of_sd_notify) {
    ServiceManager manager({path_, std::nullopt});
    EXPECT_TRUE(manager.listening());
    manager.ready("serving");
    EXPECT_EQ(next(), "READY=1\nSTATUS=serving");
    manager.reloading(TimePoint(1500ms));
    EXPECT_EQ(next(), "RELOADING=1\nMONOTONIC_USEC=1500000");
    manager.status("1/2 workers stopped\nREADY=1");
    EXPECT_EQ(next(), "STATUS=1/2 workers stopped READY=1");
    manager.stopping("bye");
    EXPECT_EQ(next(), "STOPPING=1\nSTATUS=bye");
    EXPECT_EQ(next(), "");
}

TEST_F(ServiceManagerTest, Feeds_the_watchdog_twice_in_each_interval) {
    asio::io_context loop;
    test::FakeClock clock;
    test::FakeTimers timers(clock, loop);
    ServiceManager manager({path_, 30s});
    asio::co_spawn(loop, manager.feed_watchdog(timers), asio::detached);
    timers.settle();
    EXPECT_EQ(next(), "WATCHDOG=1");
    timers.advance(14s);
    EXPECT_EQ(next(), "");
    timers.advance(1s);
    EXPECT_EQ(next(), "WATCHDOG=1");
    timers.advance(30s);
    EXPECT_EQ(next(), "WATCHDOG=1");
    EXPECT_EQ(next(), "WATCHDOG=1");
    EXPECT_EQ(next(), "");
}

TEST_F(ServiceManagerTest, Is_silent_when_nobody_listens) {
    for (const std::string& nowhere :
         {std::string(), std::string("relative"), path_ + "x", std::string(300, '/')}) {
        ServiceManager manager({nowhere, 1s});
        EXPECT_FALSE(manager.listening()) << nowhere;
        manager.ready("serving");
    }
    EXPECT_EQ(next(), "");
}

TEST(ServiceAddress, Comes_from_the_environment) {
    std::map<std::string, std::string, std::less<>> set{
        {"NOTIFY_SOCKET", "/run/x"}, {"WATCHDOG_USEC", "30000000"}, {"WATCHDOG_PID", "42"}
    };
    const auto read = [&set](std::string_view name) {
        const auto found = set.find(name);
        return found == set.end() ? std::nullopt : std::optional(found->second);
    };
    EXPECT_EQ(service_address(read, 42).socket, "/run/x");
    EXPECT_EQ(service_address(read, 42).watchdog, 30s);
    EXPECT_EQ(service_address(read, 43).watchdog, std::nullopt); // of another process
    set.erase("WATCHDOG_PID");
    EXPECT_EQ(service_address(read, 43).watchdog, 30s);
    for (const char* wrong : {"", "0", "-1", "x", "99999999999999999999"}) {
        set["WATCHDOG_USEC"] = wrong;
        EXPECT_EQ(service_address(read, 43).watchdog, std::nullopt) << wrong;
    }
}

TEST(ServiceAddress, Is_not_for_children) {
    EXPECT_THAT(
        without_service_address(
            {"A=1", "NOTIFY_SOCKET=/run/x", "WATCHDOG_USEC=1", "WATCHDOG_PID=2", "NOTIFY_SOCKETS=3"}
        ),
        testing::ElementsAre("A=1", "NOTIFY_SOCKETS=3")
    );
}

} // namespace
} // namespace rbee::process
