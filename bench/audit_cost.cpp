// What the audit log costs: a call site when it is off, a record when it is on, reading it again.
//   audit_cost [DIR]
// DIR is where the log is written (the folder for temporary files): its disk decides.
#include "rbee/audit/events.hpp"
#include "rbee/audit/init.hpp"
#include "rbee/audit/verify.hpp"
#include "rbee/audit/writer.hpp"

#include <fmt/format.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/temp_dir.hpp"

namespace {

namespace audit = rbee::audit;
namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;

double seconds_since(Steady::time_point begin) {
    return std::chrono::duration<double>(Steady::now() - begin).count();
}

double cpu_seconds(clockid_t clock) {
    timespec now{};
    ::clock_gettime(clock, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

audit::Event event(std::uint64_t number) {
    return audit::make_event(audit::AuthSuccess{
        .actor = {.user_id = "token:a1b2c3", .ip = "192.168.10.20", .auth_method = "bearer_token"},
        .method = "POST",
        .path = "/v1/chat/completions",
        .service_id = "queen-rbee",
        .correlation_id = number % 2 == 0 ? "0b0b0b0b-1111-4222-8333-444444444444"
                                          : "0b0b0b0b-1111-4222-8333-555555555555",
    });
}

/// A call as the programs make it; not inlined, and the compiler knows nothing about the logger.
[[gnu::noinline]] void site(audit::Logger& logger, std::uint64_t number) {
    if (logger.on()) {
        logger.record(event(number));
    }
}
[[gnu::noinline]] void empty_site(audit::Logger& logger, std::uint64_t number) {
    asm volatile("" : : "r"(&logger), "r"(number)); // NOLINT(hicpp-no-assembler): no instruction
}

template <typename Call>
double ns_per_call(const Call& call) {
    constexpr std::uint64_t count = 20'000'000;
    const auto begin = Steady::now();
    for (std::uint64_t i = 0; i < count; ++i) {
        call(i);
    }
    return seconds_since(begin) * 1e9 / static_cast<double>(count);
}

void off() {
    audit::NullLogger null;
    audit::Logger& logger = null;
    const double nothing = ns_per_call([&](std::uint64_t i) { empty_site(logger, i); });
    const double site_ns = ns_per_call([&](std::uint64_t i) { site(logger, i); });
    fmt::print("off: call site {:.2f} ns, of which an empty call {:.2f} ns\n", site_ns, nothing);
}

struct Case {
    audit::Mode mode;
    bool keyed;
    std::uint64_t count;
};

rbee::Result<std::unique_ptr<audit::Logger>> open(const std::string& base, const Case& what) {
    audit::WriterOptions options;
    options.mode = what.mode;
    options.journal.service = "queen-rbee";
    options.journal.segment_bytes_max = 64U << 20U;
    options.journal.folder_bytes_max = 0;
    if (what.keyed) {
        const auto key = audit::init_key(base + "/queen-rbee", "queen-rbee", {});
        if (!key) {
            return rbee::error_of(key);
        }
    }
    return audit::open_log(base, options, std::make_shared<rbee::SystemClock>(), {});
}

/// As many records as the log takes, at most 4000 open at a time.
void on(const std::string& dir, const Case& what) {
    const std::string base =
        dir + "/" + std::string(to_string(what.mode)) + (what.keyed ? "-keyed" : "");
    auto log = open(base, what);
    if (!log) {
        fmt::print("{}: {}\n", base, log.error().what);
        return;
    }
    std::atomic<std::uint64_t> done = 0;
    std::atomic<std::uint64_t> failed = 0;
    const double request_cpu = cpu_seconds(CLOCK_THREAD_CPUTIME_ID);
    const double all_cpu = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID);
    const auto begin = Steady::now();
    for (std::uint64_t i = 0; i < what.count; ++i) {
        (*log)->submit(event(i), [&](const rbee::Result<void>& outcome) {
            failed += outcome ? 0 : 1;
            if (++done % 1000 == 0) {
                done.notify_all();
            }
        });
        for (auto at = done.load(); i + 1 - at > 4000; at = done.load()) {
            done.wait(at);
        }
    }
    const double request = cpu_seconds(CLOCK_THREAD_CPUTIME_ID) - request_cpu;
    (*log)->stop("end");
    const double wall = seconds_since(begin);
    const double all = cpu_seconds(CLOCK_PROCESS_CPUTIME_ID) - all_cpu;
    const auto count = static_cast<double>(what.count);
    fmt::print(
        "{:<8}{:<7}{:>10.0f} records/s durable{:>8.2f} µs CPU per record on the caller, {:.2f} in "
        "all; {} syncs, {} failed\n",
        to_string(what.mode),
        what.keyed ? "keyed" : "",
        count / wall,
        request * 1e6 / count,
        all * 1e6 / count,
        (*log)->stats().syncs,
        failed.load()
    );
}

/// Verify and recovery of a segment of 64 MiB.
void read(const std::string& dir) {
    const std::string base = dir + "/read";
    {
        auto log = open(base, {audit::Mode::async, false, 0});
        if (!log) {
            return;
        }
        std::atomic<std::uint64_t> done = 0;
        for (std::uint64_t i = 0; i < 120'000; ++i) {
            (*log)->submit(event(i), [&](const rbee::Result<void>& /*outcome*/) {
                ++done;
                done.notify_all();
            });
            for (auto at = done.load(); i + 1 - at > 4000; at = done.load()) {
                done.wait(at);
            }
        }
    }
    const std::string folder = base + "/queen-rbee";
    const auto begin = Steady::now();
    const auto report = audit::verify({.folder = folder, .key = {}, .witness = {}});
    const double verified = seconds_since(begin);
    std::uint64_t bytes = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
        bytes += entry.path().extension() == ".audit" ? entry.file_size() : 0;
    }
    fmt::print(
        "verify: {:.0f} records/s on one core ({} records, {} MiB, {})\n",
        static_cast<double>(report->records) / verified,
        report->records,
        bytes >> 20U,
        to_string(report->verdict)
    );
    const auto again = Steady::now();
    auto log = open(base, {audit::Mode::group, false, 0});
    fmt::print("recovery of {} MiB: {:.3f} s\n", bytes >> 20U, seconds_since(again));
}

} // namespace

int main(int argc, char** argv) {
    std::setbuf(stdout, nullptr); // rows appear as they are measured
    const rbee::test::TempDir temporary;
    const std::string dir = argc > 1 ? std::string(argv[1]) + "/audit-cost" : temporary.path();
    off();
    for (const Case& what :
         {Case{audit::Mode::async, false, 200'000},
          Case{audit::Mode::group, false, 200'000},
          Case{audit::Mode::group, true, 200'000},
          Case{audit::Mode::strict, false, 200'000}}) {
        on(dir, what);
    }
    read(dir);
    if (argc > 1) {
        fs::remove_all(dir);
    }
    return EXIT_SUCCESS;
}
