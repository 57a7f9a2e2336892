#pragma once

#include "rbee/base/result.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace rbee::worker {

/// A request in rbee's own dialect (POST /v1/inference, behaviour.md 5.4), checked.
struct InferRequest {
    std::string job_id; ///< Empty when the client gave none.
    std::string prompt;
    std::uint32_t max_tokens = 100;
    double temperature = 1.0;
    std::optional<std::uint64_t> seed;
    double top_p = 1.0;              ///< 1 = off.
    std::uint32_t top_k = 0;         ///< 0 = off.
    double repetition_penalty = 1.0; ///< 0 and 1 = off.
    double min_p = 0.0;              ///< 0 = off.
    std::vector<std::string> stop;
    bool stream = true;
};

/// One broken rule. `value` repeats what was sent only for numbers, never for text.
struct FieldError {
    std::string field;
    std::string constraint; ///< Such as "range(1..=2048)".
    std::string message;
    std::optional<boost::json::value> value;
};

using InferRequestOrErrors = std::variant<InferRequest, std::vector<FieldError>>;

/// Reads a body. All broken rules are listed, not only the first. Members that are null count as
/// absent, unknown ones are ignored.
[[nodiscard]] InferRequestOrErrors parse_infer_request(const boost::json::object& body);

/// `{"errors":[{field,constraint,message,value?}]}`: the `details` of the answer.
[[nodiscard]] boost::json::object to_details(const std::vector<FieldError>& errors);
/// The Error that goes with to_details(); names the fields.
[[nodiscard]] Error to_error(const std::vector<FieldError>& errors);

/// The sampler of the engine has 32 bits, one of whose values means "random": maps a client's seed
/// to one that is used as it is. Seeds below 2^32-1 stay as they are.
[[nodiscard]] std::uint32_t to_engine_seed(std::uint64_t seed);

/// The body for Dialect::infer.
[[nodiscard]] std::string to_engine_body(const InferRequest& request, std::uint64_t seed);

} // namespace rbee::worker
