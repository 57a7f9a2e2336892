// What a deadline costs a request at one hop: read the fields, arm the timer, forward the fields,
// disarm. Time and CPU time of the thread, system calls included.
//   deadline_cost [SAMPLES]
// Exit code 1 when one hop costs more than 10 µs, in the median or in CPU time on average.
#include "rbee/api/deadlines.hpp"
#include "rbee/base/unique_fd.hpp"
#include "rbee/http/client.hpp"
#include "rbee/http/reaper.hpp"
#include "rbee/http/server.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
using Steady = std::chrono::steady_clock;

constexpr std::int64_t target_ns = 10'000;
constexpr std::size_t others = 1000;
constexpr std::int64_t longest_ms = 590'000;
constexpr std::size_t samples_max = 500'000; ///< Each may want 1 ms less than the one before.

/// Everything a program has for the deadlines of its requests.
struct Hop {
    explicit Hop(asio::io_context& loop) : timers(loop.get_executor()) {}

    rbee::runtime::DeadlineTimers timers;
    rbee::telemetry::Logger log = rbee::telemetry::Logger::silent();
    rbee::telemetry::Metrics metrics;
    rbee::api::Deadlines deadlines{
        {.timers = timers, .log = log, .metrics = metrics, .prefix = "bench"}, {.general = {}}
    };
};

std::int64_t cpu_ns() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

/// Prints one row; true when it is within the target.
template <typename Call>
bool measure(const char* what, std::size_t samples, const Call& call) {
    std::vector<std::int64_t> times;
    times.reserve(samples);
    const std::int64_t cpu_begin = cpu_ns();
    for (std::size_t i = 0; i < samples; ++i) {
        const auto begin = Steady::now();
        call();
        times.push_back((Steady::now() - begin) / std::chrono::nanoseconds(1));
    }
    const std::int64_t cpu = (cpu_ns() - cpu_begin) / static_cast<std::int64_t>(samples);
    std::ranges::sort(times);
    const auto at = [&](double part) {
        return times[static_cast<std::size_t>(part * static_cast<double>(samples - 1))];
    };
    fmt::print("{:<44}{:>10}{:>10}{:>10}{:>10}\n", what, at(0.5), at(0.99), at(0.999), cpu);
    return at(0.5) <= target_ns && cpu <= target_ns;
}

void one_hop(Hop& hop, rbee::http::Exchange& exchange, std::int64_t body_ms) {
    auto deadline = hop.deadlines.begin(exchange, {.model = "a-model", .deadline_ms = body_ms});
    if (!deadline) {
        fmt::print(stderr, "{}\n", deadline.error().what);
        std::abort();
    }
    (*deadline)->assigned();
    (*deadline)->enter(rbee::api::Stage::decode);
    rbee::http::Headers next;
    (*deadline)->forward(next);
}

/// The samples, all with the one request that is there.
bool measure_all(Hop& hop, rbee::http::Exchange& exchange, std::size_t samples) {
    fmt::print("{} samples, nanoseconds\n", samples);
    fmt::print("{:<44}{:>10}{:>10}{:>10}{:>10}\n", "", "p50", "p99", "p99.9", "CPU mean");
    measure("clock alone", samples, [] {});
    bool good =
        measure("a hop, timer set already", samples, [&] { one_hop(hop, exchange, longest_ms); });
    std::int64_t sooner_ms = longest_ms;
    good =
        measure(
            "a hop that has to set the timer", samples, [&] { one_hop(hop, exchange, --sooner_ms); }
        ) &&
        good;
    std::vector<rbee::runtime::DeadlineTimers::Entry> earlier;
    for (std::size_t i = 0; i < others; ++i) {
        earlier.push_back(hop.timers.at(rbee::BootClock::now() + std::chrono::minutes(1), [] {}));
    }
    good =
        measure(
            "a hop, 1000 others due earlier", samples, [&] { one_hop(hop, exchange, longest_ms); }
        ) &&
        good;
    return good;
}

rbee::UniqueFd listen_on_loopback(std::uint16_t& port) {
    rbee::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* raw = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd.get(), raw, size) != 0 || ::listen(fd.get(), 1) != 0 ||
        ::getsockname(fd.get(), raw, &size) != 0) {
        std::abort();
    }
    port = ntohs(address.sin_port);
    return fd;
}

/// As an API client sends it through a queen: both forms, and fields that have nothing to do with
/// it.
rbee::http::ClientRequest request() {
    rbee::http::ClientRequest out{.method = "POST", .target = "/v1/chat/completions"};
    out.headers.add("User-Agent", "OpenAI/Python 1.0");
    out.headers.add("Accept", "application/json");
    out.headers.add("Authorization", "Bearer some-token-of-some-length");
    out.headers.add("X-Stainless-Timeout", "600");
    out.headers.add("X-Request-Deadline", "2200-01-01T00:00:00.000Z");
    out.headers.add("X-Request-Timeout-Ms", "900000");
    return out;
}

asio::awaitable<void>
send(rbee::http::Client& client, rbee::http::Endpoint endpoint, rbee::http::Server& server) {
    const auto answer =
        co_await client.fetch(endpoint, request(), {.head_limit = std::chrono::minutes(30)});
    (void)answer; // the handler has measured and printed
    client.close_idle();
    co_await server.stop();
}

} // namespace

int main(int argc, char** argv) {
    const std::size_t samples = std::min<std::size_t>(
        argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200'000, samples_max
    );
    asio::io_context loop{1};
    rbee::http::Reaper reaper(loop.get_executor());
    rbee::http::Server server(loop.get_executor(), reaper, {});
    rbee::http::Client client(loop.get_executor(), reaper);
    Hop hop(loop);
    bool good = false;
    server.set_handler(
        [&](rbee::http::Exchange& exchange) -> asio::awaitable<void> {
            good = measure_all(hop, exchange, samples);
            exchange.abort();
            co_return;
        },
        [](const rbee::Error&, const std::string&) { return rbee::http::Response{}; },
        [](const std::string&, const std::string& what) { fmt::print(stderr, "{}\n", what); }
    );
    rbee::http::Endpoint endpoint{.host = "127.0.0.1", .port = 0, .unix_path = {}};
    if (!server.serve(listen_on_loopback(endpoint.port))) {
        return EXIT_FAILURE;
    }
    asio::co_spawn(loop, send(client, endpoint, server), [&](const std::exception_ptr&) {
        hop.timers.stop();
        reaper.stop();
    });
    loop.run();
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
