// Changes an audit log in COUNT ways, one at a time, and counts those that `verify` does not see.
//   audit_mutations [COUNT] [SEED]
// Exit code 1 when one was not seen, or a log without a difference was accused.
#include "rbee/audit/own_events.hpp"
#include "rbee/audit/writer.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <cstdlib>
#include <memory>

#include "support/log_mutation.hpp"
#include "support/temp_dir.hpp"

int main(int argc, char** argv) {
    const std::size_t count = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 100'000;
    const auto seed = static_cast<std::uint32_t>(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 1);
    const rbee::test::TempDir root;
    rbee::audit::WriterOptions options;
    options.journal.service = "queen-rbee";
    options.journal.segment_bytes_max = 6000;
    {
        auto log =
            rbee::audit::open_log(root.path(), options, std::make_shared<rbee::SystemClock>(), {});
        for (int i = 0; log && i < 200; ++i) {
            (*log)->record(make_event(rbee::audit::AuditStop{fmt::format("record {}", i)}));
        }
    }
    const auto result = rbee::test::mutate_log(root / "queen-rbee", count, seed);
    fmt::print(
        "{} mutations, {} made a difference, {} unnoticed, {} logs accused wrongly\n",
        count,
        result.changed,
        result.unnoticed,
        result.accused
    );
    return result.unnoticed + result.accused == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
