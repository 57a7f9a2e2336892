#include "rbee/base/secret.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/constant_time.hpp"

#include <openssl/crypto.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <new>
#include <utility>

namespace rbee {
namespace {

std::size_t whole_pages(std::size_t bytes) {
    static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return (bytes + page - 1) / page * page;
}

} // namespace

Secret Secret::of_size(std::size_t size) {
    Secret out;
    if (size == 0) {
        return out;
    }
    const std::size_t mapped = whole_pages(size);
    void* pages =
        ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
        throw std::bad_alloc();
    }
    // Both are best effort: RLIMIT_MEMLOCK may be small, and a secret that could be swapped out is
    // still better than none.
    (void)::mlock(pages, mapped);
    (void)::madvise(pages, mapped, MADV_DONTDUMP);
    out.data_ = static_cast<char*>(pages);
    out.size_ = size;
    out.mapped_ = mapped;
    return out;
}

Secret Secret::copy_of(std::string_view bytes) {
    Secret out = of_size(bytes.size());
    if (!bytes.empty()) {
        std::memcpy(out.data_, bytes.data(), bytes.size());
    }
    return out;
}

Secret::Secret(std::string&& value) : Secret(copy_of(value)) {
    wipe(value);
}

Secret::Secret(Secret&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)) {}

Secret& Secret::operator=(Secret&& other) noexcept {
    if (this != &other) {
        clear();
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        mapped_ = std::exchange(other.mapped_, 0);
    }
    return *this;
}

Secret::~Secret() {
    clear();
}

void Secret::shrink(std::size_t size) {
    RBEE_ASSERT(size <= size_);
    if (size == 0) {
        clear();
        return;
    }
    OPENSSL_cleanse(data_ + size, size_ - size);
    size_ = size;
}

void Secret::clear() {
    if (data_ != nullptr) {
        OPENSSL_cleanse(data_, mapped_);
        ::munmap(data_, mapped_);
    }
    data_ = nullptr;
    size_ = 0;
    mapped_ = 0;
}

bool Secret::equals(std::string_view presented) const {
    using constant_time::mask_if_less;
    const char nothing = '\0';
    const char* const mine = data_ != nullptr ? data_ : &nothing;
    std::size_t differs = size_ ^ presented.size();
    // As many steps as were presented, whatever is stored: beyond its end the first byte is read,
    // and not counted.
    for (std::size_t at = 0; at < presented.size(); ++at) {
        const std::size_t inside = mask_if_less(at, size_);
        const auto byte = static_cast<unsigned char>(mine[at & inside]);
        differs |= (byte ^ static_cast<unsigned char>(presented[at])) & inside;
    }
    return differs == 0;
}

void wipe(std::string& text) {
    text.resize(text.capacity()); // never allocates
    OPENSSL_cleanse(text.data(), text.size());
    text.clear();
}

} // namespace rbee
