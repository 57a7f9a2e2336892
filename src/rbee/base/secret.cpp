#include "rbee/base/secret.hpp"

#include <openssl/crypto.h>

namespace rbee {

Secret::Secret(Secret&& other) noexcept : value_(std::move(other.value_)) {
    other.wipe(); // a short string is copied by a move, not taken
}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        wipe();
        value_ = std::move(other.value_);
        other.wipe();
    }
    return *this;
}

Secret::~Secret() {
    wipe();
}

void Secret::wipe() {
    value_.resize(value_.capacity());
    OPENSSL_cleanse(value_.data(), value_.size());
    value_.clear();
}

} // namespace rbee
