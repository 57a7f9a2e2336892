// The first byte says which field the rest is. What is accepted lies within the cap, forwards what
// came, and is read again with the same result by the next hop.
#include "rbee/domain/deadline.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rbee;
    using namespace rbee::domain;
    if (size == 0) {
        return 0;
    }
    const std::string_view value(reinterpret_cast<const char*>(data) + 1, size - 1);
    const Arrival arrival{
        BootTime(std::chrono::hours(1)), WallTime(milliseconds(1'800'000'000'000))
    };
    const DeadlinePolicy policy;
    DeadlineFields fields;
    (data[0] % 3 == 0   ? fields.absolute
     : data[0] % 3 == 1 ? fields.relative
                        : fields.stainless)
        .push_back(value);
    fields.stream = (data[0] & 0x80U) != 0;
    const auto deadline = effective_deadline(fields, arrival, policy);
    if (!deadline) {
        return 0;
    }
    const auto again = effective_deadline(
        {.absolute = {deadline->forward_absolute}, .stream = fields.stream}, arrival, policy
    );
    const bool within = deadline->due - arrival.boot <= policy.cap && !deadline->defaulted;
    if (!within || !again || (fields.absolute.empty() && again->due != deadline->due)) {
        std::abort();
    }
    return 0;
}
