// Sends chat completions to one URL and tells how long the answers took, as one line of JSON.
//   rbee-bench-loadgen --url http://127.0.0.1:8080 --mode closed|open|sse|hold [options]
// closed: every connection sends its next request when it has an answer. open: requests begin at
// fixed moments, --rate a second, and the time counts from the intended moment, so that a server
// that stalls does not slow its own measurement down. sse: like closed, with streams; also the time
// to the first event and how far the distance of two events is off --interval-us. hold: opens all
// streams, prints "holding", and reads them until it gets SIGTERM.
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http_text.hpp"

namespace asio = boost::asio;
using asio::ip::tcp;
using rbee::bench::field_of;
using rbee::bench::number_at;
using Steady = std::chrono::steady_clock;
using Micros = std::chrono::duration<double, std::micro>;

namespace {

struct Options {
    std::string url;
    std::string mode = "closed";
    std::string token;
    std::string model = "bench";
    std::string source = "127.0.0.1";
    unsigned connections = 1;
    double rate = 1000;
    double seconds = 3;
    double warm_up_s = 0.3; ///< Not counted.
    unsigned body_bytes = 400;
    std::uint64_t events = 0;
    std::uint64_t interval_us = 0;
};

/// What all connections have seen.
struct Seen {
    std::uint64_t ok = 0;
    std::uint64_t failed = 0;
    std::uint64_t events = 0;
    std::uint64_t holding = 0;
    std::vector<double> latency_us;
    std::vector<double> first_event_us;
    std::vector<double> jitter_us;
};

/// Reads one answer from a stream of bytes, in any pieces: finds its end and counts its events.
class AnswerReader {
public:
    /// Takes bytes; true when the answer is complete. `on_event` is called for each "data:" event.
    template <typename OnEvent>
    bool feed(std::string_view bytes, const OnEvent& on_event) {
        if (!in_body_) {
            head_.append(bytes);
            const std::size_t end = head_.find("\r\n\r\n");
            if (end == std::string::npos) {
                return false;
            }
            read_head(std::string_view(head_).substr(0, end + 2));
            const std::string rest = head_.substr(end + 4);
            return feed_body(rest, on_event);
        }
        return feed_body(bytes, on_event);
    }
    [[nodiscard]] unsigned status() const { return status_; }

private:
    void read_head(std::string_view head) {
        in_body_ = true;
        status_ =
            static_cast<unsigned>(number_at(head.substr(std::min<std::size_t>(9, head.size()))));
        chunked_ = field_of(head, "Transfer-Encoding").has_value();
        left_ = chunked_ ? 0 : number_at(field_of(head, "Content-Length").value_or("0"));
    }

    template <typename OnEvent>
    bool feed_body(std::string_view bytes, const OnEvent& on_event) {
        if (!chunked_) {
            left_ -= std::min<std::uint64_t>(left_, bytes.size());
            return left_ == 0;
        }
        while (!bytes.empty()) {
            if (left_ > 0) {
                const auto part = std::min<std::uint64_t>(left_, bytes.size());
                count_events(bytes.substr(0, part), on_event);
                bytes.remove_prefix(part);
                left_ -= part;
                line_end_ = left_ == 0;
                continue;
            }
            const std::size_t end = bytes.find('\n');
            line_.append(bytes.substr(0, end));
            if (end == std::string_view::npos) {
                return false;
            }
            bytes.remove_prefix(end + 1);
            if (last_) {
                return true; // the empty line after the last chunk
            }
            if (std::exchange(line_end_, false)) {
                line_.clear();
                continue; // what follows the bytes of a chunk
            }
            std::uint64_t size = 0;
            std::from_chars(line_.data(), line_.data() + line_.size(), size, 16);
            line_.clear();
            last_ = size == 0;
            left_ = size;
        }
        return false;
    }

    template <typename OnEvent>
    void count_events(std::string_view part, const OnEvent& on_event) {
        for (const char byte : part) {
            if (byte == '\n' && before_ == '\n') {
                on_event();
            }
            before_ = byte;
        }
    }

    std::string head_;
    std::string line_;
    bool in_body_ = false;
    bool chunked_ = false;
    bool last_ = false;
    bool line_end_ = false;
    unsigned status_ = 0;
    std::uint64_t left_ = 0;
    char before_ = 0;
};

class Generator {
public:
    Generator(asio::io_context& loop, Options options)
        : loop_(loop), options_(std::move(options)), target_(endpoint()), message_(make_message()) {
    }

    void start() {
        begin_ = Steady::now() + std::chrono::milliseconds(20);
        count_from_ = begin_ + std::chrono::duration_cast<Steady::duration>(
                                   std::chrono::duration<double>(options_.warm_up_s)
                               );
        end_ = count_from_ + std::chrono::duration_cast<Steady::duration>(
                                 std::chrono::duration<double>(options_.seconds)
                             );
        running_ = options_.connections;
        for (unsigned i = 0; i < options_.connections; ++i) {
            asio::co_spawn(loop_, run(i), [this](const std::exception_ptr&) {
                if (--running_ == 0) {
                    loop_.stop();
                }
            });
        }
    }

    [[nodiscard]] std::string report() {
        const double seconds = options_.seconds;
        std::string out = fmt::format(
            R"({{"mode":"{}","connections":{},"seconds":{},"ok":{},"failed":{},"per_second":{:.1f})",
            options_.mode,
            options_.connections,
            seconds,
            seen_.ok,
            seen_.failed,
            static_cast<double>(seen_.ok) / seconds
        );
        out += fmt::format(
            R"(,"events":{},"events_per_second":{:.1f})",
            seen_.events,
            static_cast<double>(seen_.events) / seconds
        );
        out += percentiles("latency_us", seen_.latency_us);
        out += percentiles("first_event_us", seen_.first_event_us);
        out += percentiles("jitter_us", seen_.jitter_us);
        return out + "}";
    }

private:
    static std::string percentiles(const char* name, std::vector<double>& values) {
        if (values.empty()) {
            return {};
        }
        std::ranges::sort(values);
        const auto at = [&](double part) {
            return values[static_cast<std::size_t>(part * static_cast<double>(values.size() - 1))];
        };
        return fmt::format(
            R"(,"{}":{{"p50":{:.1f},"p90":{:.1f},"p99":{:.1f},"max":{:.1f}}})",
            name,
            at(0.5),
            at(0.9),
            at(0.99),
            values.back()
        );
    }

    [[nodiscard]] tcp::endpoint endpoint() const {
        const std::string_view url = options_.url;
        const std::size_t host = url.find("//") + 2;
        const std::size_t colon = url.rfind(':');
        return {
            asio::ip::make_address(std::string(url.substr(host, colon - host))),
            static_cast<std::uint16_t>(number_at(url.substr(colon + 1)))
        };
    }

    [[nodiscard]] std::string make_message() const {
        const bool stream = options_.mode == "sse" || options_.mode == "hold";
        std::string body = fmt::format(R"({{"model":"{}",)", options_.model);
        if (stream) {
            body += fmt::format(
                R"("stream":true,"events":{},"interval_us":{},)",
                options_.events,
                options_.interval_us
            );
        }
        body += R"("messages":[{"role":"user","content":")";
        constexpr std::size_t closing = 4;
        const std::size_t used = std::min<std::size_t>(body.size() + closing, options_.body_bytes);
        body += std::string(options_.body_bytes - used, 'p') + R"("}]})";
        const std::string auth = options_.token.empty()
                                     ? ""
                                     : fmt::format("Authorization: Bearer {}\r\n", options_.token);
        return fmt::format(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nUser-Agent: OpenAI/Python 1.0\r\n"
            "Accept: application/json\r\nContent-Type: application/json\r\n{}"
            "X-Request-Timeout-Ms: 600000\r\nContent-Length: {}\r\n\r\n{}",
            options_.url.substr(options_.url.find("//") + 2),
            auth,
            body.size(),
            body
        );
    }

    [[nodiscard]] bool counted(Steady::time_point moment) const {
        return moment >= count_from_ && moment < end_;
    }

    asio::awaitable<void> run(unsigned number) {
        std::optional<tcp::socket> socket;
        asio::steady_timer timer(loop_);
        timer.expires_at(begin_);
        co_await timer.async_wait(asio::use_awaitable);
        const auto period = std::chrono::duration_cast<Steady::duration>(
            std::chrono::duration<double>(1.0 / options_.rate)
        );
        for (std::uint64_t turn = number; Steady::now() < end_; turn += options_.connections) {
            auto intended = Steady::now();
            if (options_.mode == "open") {
                intended = begin_ + period * static_cast<std::int64_t>(turn);
                if (intended >= end_) {
                    co_return;
                }
                timer.expires_at(intended);
                co_await timer.async_wait(asio::use_awaitable);
            }
            bool good = false;
            try {
                if (!socket) {
                    socket = co_await connect();
                }
                good = co_await exchange(*socket, intended);
            } catch (const std::exception&) {
                good = false;
            }
            if (!good) {
                socket.reset();
            }
            if (counted(intended)) {
                (good ? seen_.ok : seen_.failed) += 1;
                if (good) {
                    seen_.latency_us.push_back(Micros(Steady::now() - intended).count());
                }
            }
        }
    }

    asio::awaitable<tcp::socket> connect() {
        tcp::socket socket(loop_, tcp::v4());
        socket.bind({asio::ip::make_address(options_.source), 0});
        co_await socket.async_connect(target_, asio::use_awaitable);
        socket.set_option(tcp::no_delay(true));
        co_return socket;
    }

    asio::awaitable<bool> exchange(tcp::socket& socket, Steady::time_point intended) {
        co_await asio::async_write(socket, asio::buffer(message_), asio::use_awaitable);
        AnswerReader reader;
        std::array<char, 32768> bytes{};
        std::optional<Steady::time_point> last;
        while (true) {
            const std::size_t got =
                co_await socket.async_read_some(asio::buffer(bytes), asio::use_awaitable);
            const auto now = Steady::now();
            const bool done =
                reader.feed({bytes.data(), got}, [&] { note_event(last, now, intended); });
            if (done) {
                co_return reader.status() == 200;
            }
        }
    }

    void note_event(
        std::optional<Steady::time_point>& last, Steady::time_point now, Steady::time_point intended
    ) {
        if (!last) {
            ++seen_.holding;
            if (options_.mode == "hold" && seen_.holding == options_.connections) {
                fmt::print("holding\n");
                std::fflush(stdout);
            }
        }
        if (counted(now)) {
            ++seen_.events;
            if (!last) {
                seen_.first_event_us.push_back(Micros(now - intended).count());
            } else if (options_.interval_us > 0) {
                const double distance = Micros(now - *last).count();
                seen_.jitter_us.push_back(
                    std::abs(distance - static_cast<double>(options_.interval_us))
                );
            }
        }
        last = now;
    }

    asio::io_context& loop_;
    Options options_;
    tcp::endpoint target_;
    std::string message_;
    Steady::time_point begin_;
    Steady::time_point count_from_;
    Steady::time_point end_;
    unsigned running_ = 0;
    Seen seen_;
};

} // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app("Measures an OpenAI-compatible server.", "rbee-bench-loadgen");
    app.add_option("--url", options.url, "Where to")->required();
    app.add_option("--mode", options.mode, "closed, open, sse or hold");
    app.add_option("--token", options.token, "Bearer token");
    app.add_option("--model", options.model, "Model to ask for");
    app.add_option("--source", options.source, "Address to connect from");
    app.add_option("--connections", options.connections, "At the same time");
    app.add_option("--rate", options.rate, "Requests a second, for open");
    app.add_option("--seconds", options.seconds, "How long to count");
    app.add_option("--warm-up", options.warm_up_s, "Seconds before that");
    app.add_option("--body-bytes", options.body_bytes, "Size of a request's body");
    app.add_option("--events", options.events, "Events of a stream");
    app.add_option("--interval-us", options.interval_us, "Between two events; 0: none");
    CLI11_PARSE(app, argc, argv);
    try {
        asio::io_context loop(1);
        Generator generator(loop, options);
        asio::signal_set signals(loop, SIGTERM, SIGINT);
        signals.async_wait([&loop](const boost::system::error_code&, int) { loop.stop(); });
        asio::steady_timer limit(loop);
        if (options.mode != "hold") {
            const auto slack = std::chrono::seconds(2);
            limit.expires_after(
                std::chrono::duration_cast<Steady::duration>(
                    std::chrono::duration<double>(options.seconds + options.warm_up_s)
                ) +
                slack
            );
            limit.async_wait([&loop](const boost::system::error_code&) { loop.stop(); });
        }
        generator.start();
        loop.run();
        fmt::print("{}\n", generator.report());
    } catch (const std::exception& error) {
        fmt::print(stderr, "rbee-bench-loadgen: {}\n", error.what());
        return 1;
    }
    return 0;
}
