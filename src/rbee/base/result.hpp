#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee {

/// What a caller can do about a failure. Codes match reactions, not places; `api/` maps each one to
/// an HTTP status and an upper-case wire code.
enum class Errc {
    invalid_argument, ///< The request is wrong; sending it again cannot help.
    unauthenticated,  ///< No valid credentials.
    forbidden,        ///< Valid credentials, action not allowed.
    not_found,        ///< The named thing does not exist.
    conflict,         ///< The thing exists already or is in another state.
    too_large,        ///< A bound on size was passed.
    busy,             ///< No capacity now; worth trying again.
    unavailable,      ///< The part that should do it is not there; worth trying again.
    resources,        ///< Not enough memory, disk or device.
    timeout,          ///< A limit in time was passed.
    cancelled,        ///< Somebody asked for the work to stop.
    unsupported,      ///< Known, but this build or model cannot do it.
    io,               ///< The operating system or a peer failed us.
    corrupt,          ///< Data does not have the shape it must have.
    internal,         ///< A defect of ours.
};

/// One broken rule of a request, for programs. Never holds the offending value.
struct FieldError {
    std::string field;      ///< Such as "device" or "workers[3].url".
    std::string constraint; ///< Such as "required", "max_length(64)" or "format".
    std::string message;    ///< For people.
};

/// A failure as a value: what kind, and one readable sentence for a person.
/// `wire_code` is set where the specification gives a narrower code than the kind has by default.
struct Error {
    Errc code = Errc::internal;
    std::string what;
    std::string wire_code = {};
    std::vector<FieldError> fields = {}; ///< Which fields of the request are wrong, where known.
    std::string details = {};            ///< More for programs: a JSON object as text, or empty.

    /// The same error with the place it passed through in front: "load model tiny: no such file".
    [[nodiscard]] Error within(std::string_view context) const {
        return {code, std::string(context) + ": " + what, wire_code, fields, details};
    }
};

/// Either a value or an Error. Dropping one is a compiler warning.
template <typename T>
class [[nodiscard]] Result : public std::expected<T, Error> {
public:
    using std::expected<T, Error>::expected;
};

/// Makes the failing side of a Result.
[[nodiscard]] inline std::unexpected<Error>
fail(Errc code, std::string what, std::string wire_code = {}) {
    return std::unexpected(Error{code, std::move(what), std::move(wire_code)});
}

/// Passes the error of `result` on to a Result of another type.
template <typename T>
[[nodiscard]] std::unexpected<Error> error_of(const Result<T>& result) {
    return std::unexpected(result.error());
}

} // namespace rbee
