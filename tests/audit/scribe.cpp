// Writes records to an audit log and says which ones are acknowledged, for tests that kill it.
//   rbee-audit-scribe DIR MODE COUNT [SEGMENT_BYTES]
// Prints "acked N" as soon as record N is; the last line is "done". Exit code 1 when the log cannot
// be opened, 2 when a record was refused (it prints "refused N" then).
#include "rbee/audit/own_events.hpp"
#include "rbee/audit/writer.hpp"

#include <fmt/format.h>
#include <sys/uio.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <future>
#include <memory>
#include <string>

namespace {

/// By writev: what kills this program counts calls of write.
void say(std::string text) {
    text += '\n';
    const iovec part{.iov_base = text.data(), .iov_len = text.size()};
    if (::writev(1, &part, 1) < 0) {
        std::abort();
    }
}

rbee::audit::Event event(std::uint64_t number) {
    rbee::audit::EventBuilder out("test.event", rbee::audit::EventClass::control);
    out.number("n", number).text("filler", std::string(200, 'x'));
    return std::move(out).build();
}

int run(char** argv, int argc) {
    rbee::audit::WriterOptions options;
    options.mode = rbee::audit::parse_mode(argv[2]).value();
    options.journal.service = "queen-rbee";
    options.journal.ballast_bytes = argc > 5 ? std::strtoull(argv[5], nullptr, 10) : 1U << 16U;
    if (argc > 4) {
        options.journal.segment_bytes_max = std::strtoull(argv[4], nullptr, 10);
    }
    const std::uint64_t count = std::strtoull(argv[3], nullptr, 10);
    auto log = rbee::audit::open_log(
        argv[1],
        options,
        std::make_shared<rbee::SystemClock>(),
        [](const rbee::audit::Notice& notice) { say("notice " + notice.event); }
    );
    if (!log) {
        say("failed " + log.error().what);
        return 1;
    }
    bool refused = false;
    for (std::uint64_t i = 0; i < count; ++i) {
        auto promise = std::make_shared<std::promise<bool>>();
        auto outcome = promise->get_future();
        (*log)->submit(event(i), [promise](rbee::Result<void> result) {
            promise->set_value(result.has_value());
        });
        const bool good = outcome.get();
        refused = refused || !good;
        say(fmt::format("{} {}", good ? "acked" : "refused", i));
    }
    (*log)->stop("end");
    const auto stats = (*log)->stats();
    say(fmt::format("recorded {} lost {}", stats.recorded, stats.lost));
    say("done");
    return refused ? 2 : 0;
}

} // namespace

int main(int argc, char** argv) {
    if (argc < 4 || !rbee::audit::parse_mode(argv[2])) {
        return EXIT_FAILURE;
    }
    try {
        return run(argv, argc);
    } catch (const std::exception& error) {
        say(error.what());
        return EXIT_FAILURE;
    }
}
