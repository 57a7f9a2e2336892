#include "rbee/process/core_dumps.hpp"

#include <sys/prctl.h>
#include <sys/resource.h>

namespace rbee::process {

void forbid_core_dumps() {
    const rlimit none{0, 0};
    // Neither call can fail with these values.
    ::setrlimit(RLIMIT_CORE, &none);
    // A limit of 0 does not hold back a core that is piped to a program; this does.
    ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // NOLINT(cppcoreguidelines-pro-type-vararg)
}

} // namespace rbee::process
