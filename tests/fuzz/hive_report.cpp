// POST /v1/hives/heartbeat, from a hive.
#include "json_bodies.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    rbee::fuzz::check_body<rbee::api::HiveReport>(
        {reinterpret_cast<const char*>(data), size},
        &rbee::api::report_from_json,
        &rbee::api::to_json
    );
    return 0;
}
