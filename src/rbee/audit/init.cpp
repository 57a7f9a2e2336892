#include "rbee/audit/init.hpp"

#include "rbee/audit/recovery.hpp"
#include "rbee/base/assert.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <utility>

namespace rbee::audit {

Result<FirstKey> init_key(const std::string& path, const std::string& service, WallTime now) {
    auto folder = open_folder(path);
    if (!folder) {
        return error_of(folder);
    }
    if (const auto head = read_head(**folder); head && !head->point.key.empty()) {
        return fail(Errc::conflict, fmt::format("the log in {} has a key already", path));
    }
    auto recovered = recover(**folder, service, now);
    if (!recovered) {
        return error_of(recovered);
    }
    if (recovered->broken) {
        return fail(
            Errc::conflict,
            fmt::format("the log in {} is not in order; see `rbee audit verify`", path)
        );
    }
    FirstKey first{recovered->at.seq + 1, Secret::of_size(sizeof(Sha256))};
    auto* bytes = reinterpret_cast<unsigned char*>(first.key.writable());
    RBEE_ASSERT(RAND_bytes(bytes, static_cast<int>(first.key.size())) == 1);
    Head head;
    head.service = service;
    head.point.seq = recovered->at.seq;
    head.point.hash = recovered->at.hash;
    head.point.key = first.key.clone();
    head.segment = recovered->append ? recovered->segments.back().file() : "";
    head.offset = recovered->append ? recovered->bytes : 0;
    head.clean = recovered->clean;
    const auto file = (*folder)->open_update(head_file);
    Io<void> done = file ? Io<void>() : std::unexpected(file.error());
    if (done) {
        const Secret text = head.format();
        done = (*folder)->overwrite(file->get(), text.expose());
        done = done ? (*folder)->sync(file->get()) : done;
        done = done ? (*folder)->sync_names() : done;
    }
    if (!done) {
        return fail(Errc::io, fmt::format("cannot write {}: {}", path, describe(done.error())));
    }
    return first;
}

} // namespace rbee::audit
