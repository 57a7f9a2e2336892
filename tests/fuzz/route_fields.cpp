// The scanner must agree with the full JSON parser about what it accepts and finds.
#include "rbee/api/route_fields.hpp"

#include "rbee/api/json.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string body(reinterpret_cast<const char*>(data), size);
    const std::string before = body;
    const auto fields = rbee::api::route_fields(body);
    if (body != before) {
        std::abort();
    }
    const auto object = rbee::api::parse_object(body);
    if (!fields || !object) {
        return 0;
    }
    const auto model = rbee::api::get_string(*object, "model");
    // Repeated members are read differently by design: the last one wins here, as in most parsers.
    if (model && *model && fields->model.empty() && !(*model)->empty()) {
        std::abort();
    }
    return 0;
}
