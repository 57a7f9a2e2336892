#include "rbee/cli/commands.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/printable.hpp"
#include "rbee/pki/files.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <string>
#include <utility>
#include <vector>

namespace rbee::cli {

namespace asio = boost::asio;
namespace json = boost::json;

namespace {

pki::Folder folder_of(const Context& context, const std::string& dir) {
    return {dir.empty() ? context.settings().home / "pki" : std::filesystem::path(dir)};
}

/// The given names, or that of this machine; and always those that only this machine can use.
std::vector<std::string> hosts_of(std::vector<std::string> names) {
    std::array<char, HOST_NAME_MAX + 1> machine{};
    if (names.empty() && ::gethostname(machine.data(), HOST_NAME_MAX) == 0 &&
        pki::check_host(machine.data())) {
        names.emplace_back(machine.data());
    }
    for (const char* local : {"localhost", "127.0.0.1", "::1"}) {
        if (std::ranges::find(names, local) == names.end()) {
            names.emplace_back(local);
        }
    }
    return names;
}

/// `pki init` and, with `renew`, the queen's certificate anew by the CA that is there.
class PkiMake final : public Command {
public:
    PkiMake(Context& context, PkiOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        const pki::Folder folder = folder_of(context_, options_.dir);
        const WallTime now = context_.clock().wall();
        const auto made =
            options_.renew ? pki::renew_certificate(folder, names(), now) : init(folder, now);
        if (!made) {
            co_return error_of(made);
        }
        const auto leaf = pki::read_certificate_file(folder.certificate());
        const auto ca = pki::read_certificate_file(folder.ca_certificate());
        const auto info = leaf ? pki::inspect(*leaf) : Result<pki::CertificateInfo>(error_of(leaf));
        const auto root = ca ? pki::inspect(*ca) : Result<pki::CertificateInfo>(error_of(ca));
        if (!info || !root) {
            co_return error_of(info ? root : info);
        }
        show(folder, *info, *root);
        co_return 0;
    }

private:
    [[nodiscard]] std::vector<std::string> names() const {
        return options_.names.empty() && options_.renew ? options_.names : hosts_of(options_.names);
    }

    [[nodiscard]] Result<void> init(const pki::Folder& folder, WallTime now) const {
        const auto authority = pki::make_folder(folder, names(), now);
        return authority ? Result<void>() : Result<void>(error_of(authority));
    }

    void show(
        const pki::Folder& folder, const pki::CertificateInfo& leaf, const pki::CertificateInfo& ca
    ) {
        const std::string until = to_rfc3339(leaf.not_after).substr(0, 10);
        if (context_.options().json) {
            context_.print_json(
                {{"ca", folder.ca_certificate()},
                 {"ca_sha256", to_hex(ca.fingerprint)},
                 {"certificate", folder.certificate()},
                 {"names", json::array(leaf.hosts.begin(), leaf.hosts.end())},
                 {"expires", to_rfc3339(leaf.not_after)}}
            );
            return;
        }
        Console& console = context_.console();
        if (!options_.renew) {
            console.out(fmt::format(
                "CA           {}\n             SHA-256 {}\n             its key is ca.key beside "
                "it: "
                "keep it safe, it can let any machine in\n",
                one_line(folder.ca_certificate()),
                to_hex(ca.fingerprint)
            ));
        }
        console.out(fmt::format(
            "certificate  {}\n             for {}; good until {}\n\n",
            one_line(folder.certificate()),
            fmt::join(leaf.hosts, ", "),
            until
        ));
        const bool usual = options_.dir.empty();
        console.out(
            options_.renew
                ? std::string("Next: send SIGHUP to queen-rbee; running requests go on\n")
                : fmt::format(
                      "Next: queen-rbee --host 0.0.0.0 --tls{}\nThen: rbee hives invite NAME, for "
                      "each other machine\n",
                      usual ? "" : " --pki-dir " + one_line(folder.path.string())
                  )
        );
    }

    Context& context_;
    PkiOptions options_;
};

class HivesInvite final : public Command {
public:
    HivesInvite(Context& context, HivesInviteOptions options)
        : context_(context), options_(std::move(options)) {}

    asio::awaitable<Result<int>> run() override {
        api::ApiClient::Request request;
        request.method = "POST";
        request.target = "/v1/hives/invites";
        request.body =
            json::object{{"name", options_.name}, {"expires_s", options_.expires.count()}};
        const auto answer = co_await context_.call(std::move(request));
        if (!answer) {
            co_return error_of(answer);
        }
        if (context_.options().json) {
            context_.print_json(*answer);
            co_return 0;
        }
        context_.console().out(fmt::format(
            "rbee-hive --host 0.0.0.0 --join {} --join-token {}\n",
            one_line(text_of(*answer, "queen_url")),
            one_line(text_of(*answer, "join_token"))
        ));
        context_.console().status(
            "hives",
            fmt::format(
                "run this on {} until {}; it works once",
                options_.name,
                one_line(text_of(*answer, "expires"))
            )
        );
        co_return 0;
    }

private:
    Context& context_;
    HivesInviteOptions options_;
};

} // namespace

std::unique_ptr<Command> make_pki(Context& context, PkiOptions options) {
    return std::make_unique<PkiMake>(context, std::move(options));
}

std::unique_ptr<Command> make_hives_invite(Context& context, HivesInviteOptions options) {
    return std::make_unique<HivesInvite>(context, std::move(options));
}

} // namespace rbee::cli
