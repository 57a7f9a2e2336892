// A listener of ours whose handler answers with what it understood: method, target and body.
//   rbee-edge-echo        prints the port it listens on; ends when standard input does
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"
#include "rbee/process/listener.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>

namespace {

namespace asio = boost::asio;
using namespace rbee;

constexpr std::uint64_t body_bytes_max = 1ULL << 20U;

/// No other status than these two matters here.
http::Response refusal(const Error& error) {
    return {.status = error.code == Errc::too_large ? 413 : 400, .body = error.wire_code};
}

std::string hex(const std::string& bytes) {
    std::string out;
    for (const char byte : bytes) {
        fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned char>(byte));
    }
    return out;
}

/// Method and target cannot hold a quote or a backslash: the edge refuses them.
asio::awaitable<void> echo(http::Exchange& exchange) {
    const auto body = co_await exchange.read_body(body_bytes_max);
    http::Response response;
    if (body) {
        response.body = fmt::format(
            R"({{"method":"{}","target":"{}","body_hex":"{}"}})",
            exchange.head().method,
            exchange.head().target,
            hex(*body)
        );
    } else {
        response = refusal(body.error());
    }
    const auto sent = co_await exchange.respond(std::move(response));
    (void)sent; // the client may have gone
}

} // namespace

int main() {
    asio::io_context context(1);
    http::Reaper reaper(context.get_executor());
    http::ServerOptions options;
    options.head_limit = options.body_grace = std::chrono::seconds(1);
    options.browsers.allowed_hosts = {"*"};
    http::Server server(context.get_executor(), reaper, std::move(options));
    server.set_handler(
        echo,
        [](const Error& error, const std::string&) { return refusal(error); },
        [](const std::string&, const std::string& what) {
            std::fprintf(stderr, "echo: %s\n", what.c_str());
        }
    );
    auto listener = process::listen_tcp("127.0.0.1", 0);
    if (!listener || !server.serve(std::move(listener->fd))) {
        std::fprintf(stderr, "echo: cannot listen\n");
        return 1;
    }
    std::printf("%u\n", static_cast<unsigned>(listener->port));
    std::fflush(stdout);
    asio::posix::stream_descriptor input(context.get_executor(), ::dup(STDIN_FILENO));
    input.async_wait(asio::posix::stream_descriptor::wait_read, [&](const auto&) {
        reaper.stop();
        context.stop();
    });
    context.run();
    std::_Exit(0); // connections that are still open need no farewell
}
