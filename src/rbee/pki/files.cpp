#include "rbee/pki/files.hpp"

#include "rbee/auth/secret_file.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <fstream>
#include <system_error>
#include <utility>

namespace rbee::pki {
namespace {

constexpr std::size_t file_bytes_max = 1024UL * 1024;

} // namespace

std::string hive_uri(std::string_view name) {
    return fmt::format("hive:{}", name);
}

Result<std::string> read_certificate_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(file_bytes_max, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (file.gcount() <= 0 || !file.eof()) {
        return fail(Errc::not_found, "cannot read the certificate file " + path);
    }
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text;
}

Result<Secret> read_key_file(const std::string& path) {
    return auth::read_secret_file(path, {.what = "key file"});
}

Result<void> make_private_folder(const std::filesystem::path& path) {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (!error) {
        std::filesystem::permissions(path, std::filesystem::perms::owner_all, error);
    }
    if (error) {
        return fail(Errc::io, fmt::format("cannot make {}: {}", path.string(), error.message()));
    }
    return {};
}

Result<Authority> Folder::authority() const {
    const auto certificate = read_certificate_file(ca_certificate());
    const auto key = read_key_file(ca_key());
    if (!certificate || !key) {
        const Error& error = certificate ? key.error() : certificate.error();
        return std::unexpected(error.within("the private CA; `rbee pki init` makes one"));
    }
    auto authority = Authority::from_pem(*certificate, *key);
    if (!authority) {
        return std::unexpected(authority.error().within("the private CA in " + path.string()));
    }
    return authority;
}

namespace {

Result<void> write_queen(
    const Folder& folder,
    const Authority& authority,
    const std::vector<std::string>& hosts,
    WallTime now
) {
    const auto key = Key::generate();
    if (!key) {
        return error_of(key);
    }
    const auto certificate = authority.issue(*key, {std::string(queen_uri), hosts}, now);
    if (!certificate) {
        return error_of(certificate);
    }
    const Secret pem = key->to_pem();
    const auto stored = auth::write_secret_file(folder.key(), pem.expose());
    return stored ? auth::write_secret_file(folder.certificate(), *certificate) : stored;
}

} // namespace

Result<Authority>
make_folder(const Folder& folder, const std::vector<std::string>& hosts, WallTime now) {
    for (const std::string& host : hosts) {
        if (const auto good = check_host(host); !good) {
            return error_of(good);
        }
    }
    for (const std::string& path :
         {folder.ca_certificate(), folder.ca_key(), folder.certificate(), folder.key()}) {
        std::error_code ignored;
        if (std::filesystem::exists(path, ignored)) {
            return fail(
                Errc::conflict,
                path + " is there already and is not overwritten: every certificate made with the "
                       "old CA would be worth nothing",
                "PKI_EXISTS"
            );
        }
    }
    if (const auto made = make_private_folder(folder.path); !made) {
        return error_of(made);
    }
    auto authority = Authority::create("rbee private CA", now);
    if (!authority) {
        return authority;
    }
    const Secret key = authority->key().to_pem();
    for (const Result<void>& result :
         {auth::write_secret_file(folder.ca_key(), key.expose()),
          auth::write_secret_file(folder.ca_certificate(), authority->certificate()),
          write_queen(folder, *authority, hosts, now)}) {
        if (!result) {
            return error_of(result);
        }
    }
    return authority;
}

Result<void>
renew_certificate(const Folder& folder, const std::vector<std::string>& hosts, WallTime now) {
    const auto authority = folder.authority();
    if (!authority) {
        return error_of(authority);
    }
    std::vector<std::string> names = hosts;
    if (names.empty()) {
        const auto pem = read_certificate_file(folder.certificate());
        const auto old = pem ? inspect(*pem) : Result<CertificateInfo>(error_of(pem));
        if (!old) {
            return error_of(old);
        }
        names = old->hosts;
    }
    return write_queen(folder, *authority, names, now);
}

} // namespace rbee::pki
