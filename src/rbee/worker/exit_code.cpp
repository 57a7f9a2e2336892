#include "rbee/worker/exit_code.hpp"

#include <sysexits.h>

#include <cstdlib>

namespace rbee::worker {

int exit_code_of(const Error& error) {
    switch (error.code) {
    case Errc::invalid_argument:
        return EX_USAGE;
    case Errc::corrupt:
    case Errc::unsupported:
        return EX_DATAERR;
    case Errc::not_found:
    case Errc::forbidden:
        return EX_NOINPUT;
    case Errc::resources:
        return EX_OSERR;
    default:
        return EXIT_FAILURE;
    }
}

} // namespace rbee::worker
