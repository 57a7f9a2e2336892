// A report from a hive: whatever comes is refused or read, and what was read is written back whole.
#include "rbee/api/json.hpp"
#include "rbee/api/types.hpp"

#include <boost/json/serialize.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto object = rbee::api::parse_object({reinterpret_cast<const char*>(data), size});
    if (!object) {
        return 0;
    }
    const auto report = rbee::api::report_from_json(*object);
    if (!report) {
        return 0;
    }
    const auto text = boost::json::serialize(rbee::api::to_json(*report));
    const auto again = rbee::api::parse_object(text);
    if (!again || !rbee::api::report_from_json(*again)) {
        std::abort();
    }
    return 0;
}
