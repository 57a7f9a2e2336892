// What the check of a bearer token costs a request: p50 and p99 with 16 stored tokens.
//   auth_cost [SAMPLES]
// Exit code 1 when the right token costs more than 5 µs in the median.
#include "rbee/auth/bearer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

namespace {

using Steady = std::chrono::steady_clock;

constexpr std::size_t tokens_stored = 16;
constexpr std::int64_t target_ns = 5000;

rbee::http::RequestHead head_with(const std::string& authorization) {
    rbee::http::RequestHead head{
        .method = "POST",
        .target = "/v1/chat/completions",
        .path = "/v1/chat/completions",
        .query = {},
        .headers = {},
        .content_length = 200,
    };
    head.headers.add("Host", "127.0.0.1:8080");
    head.headers.add("User-Agent", "OpenAI/Python 1.0");
    head.headers.add("Accept", "application/json");
    head.headers.add("Content-Type", "application/json");
    if (!authorization.empty()) {
        head.headers.add("Authorization", authorization);
    }
    return head;
}

/// Prints one row and returns the median in nanoseconds.
template <typename Call>
std::int64_t measure(const char* what, std::size_t samples, const Call& call) {
    std::vector<std::int64_t> times;
    times.reserve(samples);
    for (std::size_t i = 0; i < samples; ++i) {
        const auto begin = Steady::now();
        call();
        times.push_back((Steady::now() - begin) / std::chrono::nanoseconds(1));
    }
    std::ranges::sort(times);
    const auto at = [&](double part) {
        return times[static_cast<std::size_t>(part * static_cast<double>(samples - 1))];
    };
    fmt::print("{:<28}{:>10}{:>10}{:>10}\n", what, at(0.5), at(0.99), at(0.999));
    return at(0.5);
}

} // namespace

int main(int argc, char** argv) {
    const std::size_t samples = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 200'000;
    rbee::auth::Authenticator authenticator;
    std::vector<rbee::auth::TokenRecord> records;
    std::string right;
    for (std::size_t i = 0; i < tokens_stored; ++i) {
        const rbee::Secret token = rbee::auth::make_token();
        right = "Bearer " + std::string(token.expose());
        records.push_back(
            rbee::auth::make_record("token-" + std::to_string(i), token, {rbee::auth::Scope::infer})
        );
    }
    authenticator.replace(rbee::auth::TokenSet(std::move(records)));
    const auto check = [&](const rbee::http::RequestHead& head) {
        return [&] {
            const auto verdict = authenticator.check(head, std::chrono::system_clock::now());
            if (verdict.allowed && verdict.actor.empty()) {
                std::abort(); // keeps the compiler from leaving the call out
            }
        };
    };
    const auto good = head_with(right);
    const auto wrong = head_with("Bearer not-one-of-the-sixteen-tokens");
    const auto none = head_with("");
    fmt::print("{} tokens stored, {} samples, nanoseconds\n", tokens_stored, samples);
    fmt::print("{:<28}{:>10}{:>10}{:>10}\n", "", "p50", "p99", "p99.9");
    measure("clock alone", samples, [] {});
    const auto median = measure("right token", samples, check(good));
    measure("wrong token", samples, check(wrong));
    measure("no token", samples, check(none));
    return median <= target_ns ? EXIT_SUCCESS : EXIT_FAILURE;
}
