#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rbee {

/// Bytes that must not be seen: they cannot be printed, formatted or compared by accident, are
/// never copied silently, and are overwritten when they go. They lie on pages of their own which
/// are kept out of core files and, as far as the limits of the process allow, out of swap. Not
/// thread-safe.
class Secret {
public:
    Secret() = default;
    /// Takes the bytes over and overwrites those of `value`, short strings included.
    explicit Secret(std::string&& value);
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret();

    /// A secret of `size` zero bytes to be filled through writable().
    [[nodiscard]] static Secret of_size(std::size_t size);
    [[nodiscard]] static Secret copy_of(std::string_view bytes);
    [[nodiscard]] Secret clone() const { return copy_of(expose()); }

    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] std::size_t size() const { return size_; }
    /// The bytes themselves, for the one place that must send or hash them.
    [[nodiscard]] std::string_view expose() const { return {data_, size_}; }
    /// The same to be written, for the one place that reads or derives them.
    [[nodiscard]] char* writable() { return data_; }
    /// Cuts to the first `size` bytes; the rest is overwritten.
    void shrink(std::size_t size);
    /// Overwrites and forgets.
    void clear();

    /// True when `presented` is this secret. Takes as long for a wrong one as for the right one:
    /// digests of fixed length are compared.
    [[nodiscard]] bool equals(std::string_view presented) const;

private:
    char* data_ = nullptr;
    std::size_t size_ = 0;
    std::size_t mapped_ = 0; ///< Bytes of the mapping, whole pages.
};

/// Overwrites a text in place, its capacity included, and empties it.
void wipe(std::string& text);

} // namespace rbee
