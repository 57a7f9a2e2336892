#include "rbee/runtime/quiet.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <gtest/gtest.h>

#include <array>
#include <chrono>

namespace rbee::runtime {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

class QuietTest : public testing::Test {
protected:
    void SetUp() override {
        asio::local::connect_pair(socket_, peer_);
        socket_.async_read_some(asio::buffer(bytes_), [this](const error_code& error, std::size_t) {
            read_ended_with_ = error;
        });
    }

    /// Never waited for, unless what is pending is not ended.
    static constexpr std::chrono::seconds limit_{1};
    asio::io_context loop_;
    asio::local::stream_protocol::socket socket_{loop_};
    asio::local::stream_protocol::socket peer_{loop_};
    std::array<char, 1> bytes_{};
    error_code read_ended_with_;
};

TEST_F(QuietTest, ClosingEndsWhatIsPendingAndMayComeTwice) {
    close_quietly(socket_);
    loop_.run_for(limit_);
    EXPECT_EQ(read_ended_with_, asio::error::operation_aborted);
    EXPECT_FALSE(socket_.is_open());
    close_quietly(socket_);
}

TEST_F(QuietTest, CancellingEndsWhatIsPendingAndKeepsTheSocket) {
    cancel_quietly(socket_);
    loop_.run_for(limit_);
    EXPECT_EQ(read_ended_with_, asio::error::operation_aborted);
    EXPECT_TRUE(socket_.is_open());
    close_quietly(socket_);
    cancel_quietly(socket_);
}

TEST(QuietTimer, CancellingEndsTheWait) {
    asio::io_context loop;
    asio::steady_timer timer(loop, std::chrono::hours(1));
    error_code ended_with;
    timer.async_wait([&ended_with](const error_code& error) { ended_with = error; });
    cancel_quietly(timer);
    loop.run_for(std::chrono::seconds(1));
    EXPECT_EQ(ended_with, asio::error::operation_aborted);
}

} // namespace
} // namespace rbee::runtime
