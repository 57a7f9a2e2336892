// POST /v1/workers/ready, from a worker.
#include "json_bodies.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    rbee::fuzz::check_body<rbee::api::ReadyNotice>(
        {reinterpret_cast<const char*>(data), size},
        &rbee::api::ready_from_json,
        &rbee::api::to_json
    );
    return 0;
}
