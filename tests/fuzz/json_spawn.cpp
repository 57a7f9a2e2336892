// POST /v1/workers/spawn, at the queen and at a hive.
#include "json_bodies.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    rbee::fuzz::check_body<rbee::api::SpawnRequest>(
        {reinterpret_cast<const char*>(data), size},
        &rbee::api::spawn_from_json,
        &rbee::api::to_json
    );
    return 0;
}
