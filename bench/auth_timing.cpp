// Does the time of a token check tell anything about stored tokens? Welch's t for every pair of
// classes; |t| < 4.5 is what the method of "dude, is my code constant time?" (Reparaz et al., 2017)
// asks for. Classes alternate at random, so that what else the machine does meets all of them
// alike; the slowest 5 % of all samples, which are interrupts, are left out.
//   auth_timing [SAMPLES-PER-CLASS]
// Exit code 1 when a pair that must not differ does.
#include "rbee/auth/bearer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using Steady = std::chrono::steady_clock;
using rbee::Secret;
using rbee::auth::Authenticator;

constexpr double t_max = 4.5;
constexpr double kept = 0.95;
constexpr std::size_t token_size = 32;

/// What is done before each sample of a class, unmeasured.
struct Class {
    std::string name;
    std::function<void()> prepare;
};

/// Classes, and the one call that is measured for all of them.
struct Comparison {
    std::string title;
    std::vector<Class> classes = {};
    std::function<void()> call = {};
};

struct Sample {
    std::size_t of = 0;
    double ns = 0;
};

struct Moments {
    double count = 0;
    double mean = 0;
    double variance = 0;
};

/// Each measured call follows an unmeasured one of the same, so that all find the same caches: what
/// is left is what the code does with the data, not where the data came from.
std::vector<Sample> take(const Comparison& comparison, std::size_t each, std::mt19937_64& dice) {
    std::vector<Sample> samples;
    for (std::size_t of = 0; of < comparison.classes.size(); ++of) {
        samples.insert(samples.end(), each, {of, 0});
    }
    std::ranges::shuffle(samples, dice);
    for (Sample& sample : samples) {
        comparison.classes[sample.of].prepare();
        comparison.call();
        const auto begin = Steady::now();
        comparison.call();
        const std::chrono::duration<double, std::nano> took = Steady::now() - begin;
        sample.ns = took.count();
    }
    return samples;
}

std::vector<Moments> moments_of(std::vector<Sample> samples, std::size_t classes) {
    const auto cut =
        samples.begin() + static_cast<std::ptrdiff_t>(kept * static_cast<double>(samples.size()));
    std::ranges::nth_element(samples, cut, {}, &Sample::ns);
    const double limit = cut->ns;
    std::erase_if(samples, [&](const Sample& sample) { return sample.ns > limit; });
    std::vector<Moments> out(classes);
    for (const Sample& sample : samples) { // Welford's
        Moments& one = out[sample.of];
        one.count += 1;
        const double off = sample.ns - one.mean;
        one.mean += off / one.count;
        one.variance += off * (sample.ns - one.mean);
    }
    for (Moments& one : out) {
        one.variance /= one.count - 1;
    }
    return out;
}

/// Prints means and every pair; false when one is beyond the limit.
bool compare(const Comparison& comparison, std::size_t each) {
    std::mt19937_64 dice(std::random_device{}());
    const std::vector<Class>& classes = comparison.classes;
    const auto moments = moments_of(take(comparison, each, dice), classes.size());
    fmt::print("\n{}, {} samples per class\n", comparison.title, each);
    bool good = true;
    for (std::size_t i = 0; i < classes.size(); ++i) {
        fmt::print("  {:<22}{:>9.1f} ns", classes[i].name, moments[i].mean);
        for (std::size_t j = 0; j < i; ++j) {
            const Moments& a = moments[i];
            const Moments& b = moments[j];
            const double t =
                (a.mean - b.mean) / std::sqrt(a.variance / a.count + b.variance / b.count);
            good = good && std::abs(t) < t_max;
            fmt::print("  t={:>6.2f}{}", t, std::abs(t) < t_max ? " " : "!");
        }
        fmt::print("\n");
    }
    return good;
}

std::string random_text(std::size_t size, std::mt19937_64& dice) {
    std::string out(size, ' ');
    std::ranges::generate(out, [&] { return static_cast<char>('a' + dice() % 26); });
    return out;
}

/// The same length as `text`, and the same up to `shared`.
std::string other(const std::string& text, std::size_t shared, std::mt19937_64& dice) {
    std::string out = text.substr(0, shared) + random_text(text.size() - shared, dice);
    out[shared] = text[shared] == 'z' ? 'a' : static_cast<char>(text[shared] + 1);
    return out;
}

void store(Authenticator& authenticator, const std::string& token) {
    authenticator.replace(
        rbee::auth::TokenSet({rbee::auth::make_record("t", Secret::copy_of(token), {})})
    );
}

void keep(bool fact) {
    [[maybe_unused]] volatile bool sink = fact;
}

/// Where every presented token lies, so that no class has an address of its own.
class Presented {
public:
    explicit Presented(std::size_t size) : text_(size, ' ') {}
    void set(std::string_view text) {
        size_ = text.size();
        text.copy(text_.data(), size_);
    }
    [[nodiscard]] std::string_view get() const { return {text_.data(), size_}; }

private:
    std::string text_;
    std::size_t size_ = 0;
};

/// One presented token against stored ones that relate to it in every way. Before each sample all
/// of them are made anew and one is stored, so that no class leaves a heap of its own behind.
bool stored_tokens_vary(std::size_t each, std::mt19937_64& dice) {
    Authenticator authenticator;
    const std::string presented = random_text(token_size, dice);
    std::vector<std::string> stored;
    Comparison comparison{.title = "Stored tokens against one presented token"};
    const auto add = [&](std::string name, std::string token) {
        const std::size_t mine = stored.size();
        stored.push_back(std::move(token));
        comparison.classes.push_back(
            {std::move(name),
             [&, mine] {
                 std::vector<rbee::auth::TokenRecord> records;
                 for (const std::string& one : stored) {
                     records.push_back(rbee::auth::make_record("t", Secret::copy_of(one), {}));
                 }
                 authenticator.replace(rbee::auth::TokenSet({records.at(mine)}));
             }}
        );
    };
    add("equal", presented);
    add("wrong, same length", other(presented, 0, dice));
    add("shorter", random_text(16, dice));
    add("longer", random_text(48, dice));
    add("1 byte shared", other(presented, 1, dice));
    add("16 bytes shared", other(presented, 16, dice));
    add("31 bytes shared", other(presented, 31, dice));
    comparison.call = [&] { keep(authenticator.knows(presented)); };
    return compare(comparison, each);
}

/// Presented tokens, as an attacker would try them, against one stored token.
bool guesses_vary(std::size_t each, std::mt19937_64& dice) {
    Authenticator authenticator;
    const std::string stored = random_text(token_size, dice);
    store(authenticator, stored);
    Presented presented(2 * token_size);
    Comparison comparison{.title = "Presented tokens against one stored token"};
    const auto add = [&](std::string name, std::string token) {
        comparison.classes.push_back({std::move(name), [&presented, token = std::move(token)] {
                                          presented.set(token);
                                      }});
    };
    add("equal", stored);
    for (const std::size_t shared : {0U, 1U, 8U, 16U, 31U}) {
        add(fmt::format("{} bytes shared", shared), other(stored, shared, dice));
    }
    comparison.call = [&] { keep(authenticator.knows(presented.get())); };
    return compare(comparison, each);
}

/// Where in the list the token is.
bool positions_vary(std::size_t each, std::mt19937_64& dice) {
    Authenticator authenticator;
    std::vector<std::string> tokens(16);
    std::ranges::generate(tokens, [&] { return random_text(token_size, dice); });
    std::vector<rbee::auth::TokenRecord> records;
    for (const std::string& token : tokens) {
        records.push_back(rbee::auth::make_record("t", Secret::copy_of(token), {}));
    }
    authenticator.replace(rbee::auth::TokenSet(std::move(records)));
    Presented presented(token_size);
    Comparison comparison{.title = "Place of the token in the list"};
    const auto add = [&](std::string name, std::string token) {
        comparison.classes.push_back({std::move(name), [&presented, token = std::move(token)] {
                                          presented.set(token);
                                      }});
    };
    add("number 1 of 16", tokens[0]);
    add("number 8 of 16", tokens[7]);
    add("number 16 of 16", tokens[15]);
    add("none of 16", random_text(token_size, dice));
    comparison.call = [&] { keep(authenticator.knows(presented.get())); };
    return compare(comparison, each);
}

/// Secret::equals with secrets that relate in every way to what is presented.
bool equality(std::size_t each, std::mt19937_64& dice) {
    const std::string presented = random_text(token_size, dice);
    Secret secret;
    Comparison comparison{.title = "Secret::equals"};
    const auto add = [&](std::string name, std::string token) {
        comparison.classes.push_back({std::move(name), [&secret, token = std::move(token)] {
                                          secret.clear(
                                          ); // so that the next one lies where this one lay
                                          secret = Secret::copy_of(token);
                                      }});
    };
    add("equal", presented);
    add("wrong, same length", other(presented, 0, dice));
    add("shorter", random_text(16, dice));
    add("longer", random_text(48, dice));
    add("16 bytes shared", other(presented, 16, dice));
    add("31 bytes shared", other(presented, 31, dice));
    comparison.call = [&] { keep(secret.equals(presented)); };
    return compare(comparison, each);
}

} // namespace

int main(int argc, char** argv) {
    const std::size_t each = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000;
    std::mt19937_64 dice(std::random_device{}());
    bool good = stored_tokens_vary(each, dice);
    good = guesses_vary(each, dice) && good;
    good = positions_vary(each, dice) && good;
    good = equality(each, dice) && good;
    fmt::print("\n{}\n", good ? "every |t| < 4.5" : "a pair marked with ! differs");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
