// POST /v1/heartbeat, from a worker.
#include "json_bodies.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    rbee::fuzz::check_body<std::string>(
        {reinterpret_cast<const char*>(data), size},
        &rbee::api::heartbeat_from_json,
        +[](const std::string& id) { return boost::json::object{{"worker_id", id}}; }
    );
    return 0;
}
