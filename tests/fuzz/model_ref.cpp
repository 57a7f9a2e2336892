// What is accepted parses back from its canonical text and never names a parent directory.
#include "rbee/domain/model_ref.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto parsed = rbee::domain::parse_model_ref({reinterpret_cast<const char*>(data), size});
    if (!parsed) {
        return 0;
    }
    const auto again = rbee::domain::parse_model_ref(parsed->to_string());
    if (!again || *again != *parsed || parsed->reference.contains("/../")) {
        std::abort();
    }
    return 0;
}
