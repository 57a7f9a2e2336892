// What the relays are measured in front of: answers at once, with a small JSON object or with
// server-sent events at a steady beat. Stands alone behind nginx and HAProxy, or in the place of
// llm-worker-rbee behind rbee-hive, whose arguments it understands as far as it needs them.
//   rbee-bench-backend --port 9301
// A request may say in its JSON body: "stream":true, "events":N, "interval_us":N (0: all at once).
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "http_text.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;
using rbee::bench::field_of;
using rbee::bench::json_number;
using rbee::bench::number_at;

namespace {

constexpr std::size_t head_bytes_max = 64 * 1024;
constexpr std::chrono::seconds heartbeat_interval{15};

const std::string unary_body =
    R"({"id":"chatcmpl-bench","object":"chat.completion","created":1700000000,"model":"bench",)"
    R"("choices":[{"index":0,"message":{"role":"assistant","content":")" +
    std::string(180, 'x') +
    R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":12}})";

const std::string event =
    R"(data: {"id":"chatcmpl-bench","object":"chat.completion.chunk","created":1700000000,)"
    R"("model":"bench","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]})"
    "\n\n";

std::string chunk(std::string_view bytes) {
    return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

std::string unary_answer() {
    return fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
        unary_body.size(),
        unary_body
    );
}

asio::awaitable<void> stream(tcp::socket& socket, std::uint64_t events, std::uint64_t interval_us) {
    static const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                    "Cache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const std::string one = chunk(event);
    static const std::string last = chunk("data: [DONE]\n\n") + "0\r\n\r\n";
    asio::steady_timer timer(socket.get_executor());
    auto due = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < events; ++i) {
        const std::string first = i == 0 ? head + one : std::string();
        co_await asio::async_write(
            socket, asio::buffer(first.empty() ? one : first), asio::use_awaitable
        );
        if (interval_us > 0 && i + 1 < events) {
            due += std::chrono::microseconds(interval_us);
            timer.expires_at(due);
            co_await timer.async_wait(asio::use_awaitable);
        }
    }
    co_await asio::async_write(socket, asio::buffer(last), asio::use_awaitable);
}

asio::awaitable<void> serve(tcp::socket socket) {
    static const std::string answer = unary_answer();
    socket.set_option(tcp::no_delay(true));
    std::string data;
    try {
        while (true) {
            const std::size_t head_size = co_await asio::async_read_until(
                socket, asio::dynamic_buffer(data, head_bytes_max), "\r\n\r\n", asio::use_awaitable
            );
            const std::string_view head(data.data(), head_size);
            const std::size_t length = number_at(field_of(head, "Content-Length").value_or("0"));
            while (data.size() < head_size + length) {
                std::array<char, 16384> more{};
                const std::size_t got =
                    co_await socket.async_read_some(asio::buffer(more), asio::use_awaitable);
                data.append(more.data(), got);
            }
            const std::string_view body = std::string_view(data).substr(head_size, length);
            if (body.contains("\"stream\":true")) {
                const std::uint64_t events =
                    std::max<std::uint64_t>(json_number(body, "events"), 1);
                co_await stream(socket, events, json_number(body, "interval_us"));
            } else {
                co_await asio::async_write(socket, asio::buffer(answer), asio::use_awaitable);
            }
            if (head.starts_with("POST /v1/admin/shutdown")) {
                std::raise(SIGTERM); // a hive stops its workers so
            }
            data.erase(0, head_size + length);
        }
    } catch (const std::exception&) {
        // The peer has closed its connection, which is how all of them end.
    }
}

asio::awaitable<void> accept(tcp::acceptor acceptor) {
    while (true) {
        tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
        asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), asio::detached);
    }
}

/// What rbee-hive starts a worker with, or what stands on the command line.
class Arguments {
public:
    Arguments(int count, char** values) {
        for (int i = 1; i + 1 < count && std::string_view(values[i]) != "--"; ++i) {
            named_[values[i]] = values[i + 1];
        }
    }
    [[nodiscard]] std::string text(const std::string& name, const std::string& fallback) const {
        const auto found = named_.find(name);
        return found == named_.end() ? fallback : found->second;
    }
    [[nodiscard]] int number(const std::string& name, int fallback) const {
        return std::atoi(text(name, std::to_string(fallback)).c_str());
    }

private:
    std::map<std::string, std::string> named_;
};

std::string read_token(int fd) {
    std::array<char, 512> bytes{};
    const ssize_t got = fd < 0 ? 0 : ::read(fd, bytes.data(), bytes.size());
    std::string token(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    token.erase(token.find_last_not_of("\r\n") + 1);
    return token;
}

/// Tells the hive: ready, and from then on that it is there.
asio::awaitable<void> report(Arguments arguments, std::uint16_t port) {
    const std::string hive = arguments.text("--hive-url", "");
    const std::size_t colon = hive.rfind(':');
    const std::string address = hive.substr(7, colon - 7); // after "http://"
    const std::string token = read_token(arguments.number("--token-fd", -1));
    const std::string id = arguments.text("--worker-id", "bench");
    std::string path = "/v1/workers/ready";
    std::string body = fmt::format(
        R"({{"worker_id":"{}","url":"http://127.0.0.1:{}","model_ref":"{}","backend":"cpu",)"
        R"("device":0,"state":"idle","slots_total":{}}})",
        id,
        port,
        arguments.text("--model-ref", "bench"),
        arguments.text("--slots", "1")
    );
    const auto executor = co_await asio::this_coro::executor;
    while (true) {
        tcp::socket socket(executor);
        co_await socket.async_connect(
            {asio::ip::make_address(address),
             static_cast<std::uint16_t>(number_at(hive.substr(colon + 1)))},
            asio::use_awaitable
        );
        const std::string request = fmt::format(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n"
            "Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}",
            path,
            hive.substr(7),
            token,
            body.size(),
            body
        );
        co_await asio::async_write(socket, asio::buffer(request), asio::use_awaitable);
        std::string answer;
        co_await asio::async_read_until(
            socket, asio::dynamic_buffer(answer, head_bytes_max), "\r\n\r\n", asio::use_awaitable
        );
        if (!answer.starts_with("HTTP/1.1 2")) {
            fmt::print(stderr, "rbee-bench-backend: {}\n", answer.substr(0, answer.find('\r')));
        }
        path = "/v1/heartbeat";
        const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
        body = fmt::format(
            R"({{"worker_id":"{}","timestamp":"{:%Y-%m-%dT%H:%M:%SZ}","health_status":"healthy"}})",
            id,
            now
        );
        asio::steady_timer timer(executor, heartbeat_interval);
        co_await timer.async_wait(asio::use_awaitable);
    }
}

} // namespace

int main(int argc, char** argv) {
    const Arguments arguments(argc, argv);
    asio::io_context loop(1);
    try {
        tcp::acceptor acceptor(loop);
        if (const int fd = arguments.number("--listen-fd", -1); fd >= 0) {
            acceptor.assign(tcp::v4(), fd);
        } else {
            const auto port = static_cast<std::uint16_t>(arguments.number("--port", 0));
            acceptor = tcp::acceptor(loop, {asio::ip::make_address("127.0.0.1"), port});
        }
        const std::uint16_t port = acceptor.local_endpoint().port();
        asio::co_spawn(loop, accept(std::move(acceptor)), asio::detached);
        if (!arguments.text("--hive-url", "").empty()) {
            asio::co_spawn(loop, report(arguments, port), asio::detached);
        }
        fmt::print("rbee-bench-backend ready http://127.0.0.1:{}\n", port);
        std::fflush(stdout);
        asio::signal_set signals(loop, SIGTERM, SIGINT);
        signals.async_wait([&loop](const boost::system::error_code&, int) { loop.stop(); });
        loop.run();
    } catch (const std::exception& error) {
        fmt::print(stderr, "rbee-bench-backend: {}\n", error.what());
        return 1;
    }
    return 0;
}
