#include "rbee/config/toml_file.hpp"

#include "rbee/base/unique_fd.hpp"

#include <fcntl.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace rbee::config {

/// Flattens the tree of the library into entries.
struct TomlFile::Reader {
    TomlFile& file;

    // NOLINTNEXTLINE(misc-no-recursion): as deep as the file, and the parser bounds that
    void table(const toml::table& from, const std::string& prefix) {
        for (const auto& [key, node] : from) {
            value(
                node,
                prefix.empty() ? std::string(key.str()) : prefix + "." + std::string(key.str())
            );
        }
    }

    // NOLINTNEXTLINE(misc-no-recursion): see table()
    void value(const toml::node& node, const std::string& name) {
        if (const auto* inner = node.as_table()) {
            table(*inner, name);
            return;
        }
        Entry entry{.value = {}, .line = node.source().begin.line};
        if (const auto* text = node.as_string()) {
            entry.value = text->get();
        } else if (const auto* number = node.as_integer()) {
            entry.value = number->get();
        } else if (const auto* real = node.as_floating_point()) {
            entry.value = real->get();
        } else if (const auto* flag = node.as_boolean()) {
            entry.value = flag->get();
        } else if (const auto* array = node.as_array()) {
            if (!array->empty() && array->is_homogeneous(toml::node_type::table)) {
                tables(*array, name);
                return;
            }
            entry.value = texts(*array);
        }
        file.entries_.emplace(name, std::move(entry));
    }

    // NOLINTNEXTLINE(misc-no-recursion): see table()
    void tables(const toml::array& array, const std::string& name) {
        file.counts_[name] = array.size();
        for (std::size_t i = 0; i < array.size(); ++i) {
            if (const auto* inner = array.get_as<toml::table>(i)) {
                table(*inner, name + "[" + std::to_string(i) + "]");
            }
        }
    }

    static Value texts(const toml::array& array) {
        Texts out;
        for (const toml::node& node : array) {
            const auto* text = node.as_string();
            if (text == nullptr) {
                return std::monostate();
            }
            out.push_back(text->get());
        }
        return out;
    }
};

Result<TomlFile> TomlFile::load(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) {
        const int error = errno;
        return fail(
            error == ENOENT ? Errc::not_found : Errc::io,
            "cannot read " + path + ": " + std::generic_category().message(error)
        );
    }
    std::string text;
    std::array<char, 16384> buffer{};
    while (true) {
        const ssize_t got = ::read(fd.get(), buffer.data(), buffer.size());
        if (got == 0) {
            return parse(text, path);
        }
        if (got < 0 && errno != EINTR) {
            return fail(
                Errc::io, "cannot read " + path + ": " + std::generic_category().message(errno)
            );
        }
        text.append(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
        if (text.size() > bytes_max) {
            return fail(Errc::too_large, path + " is larger than 1 MiB");
        }
    }
}

Result<TomlFile> TomlFile::parse(std::string_view text, std::string name) {
    TomlFile file(std::move(name));
    try {
        const toml::table root = toml::parse(text);
        Reader{file}.table(root, "");
    } catch (const toml::parse_error& error) {
        return fail(
            Errc::invalid_argument,
            file.name_ + ":" + std::to_string(error.source().begin.line) + ": " +
                std::string(error.description())
        );
    }
    return file;
}

const TomlFile::Entry* TomlFile::find(std::string_view field) {
    asked_.emplace(field);
    const auto at = entries_.find(field);
    return at == entries_.end() ? nullptr : &at->second;
}

std::unexpected<Error>
TomlFile::wrong(const Entry& entry, std::string_view field, std::string_view expected) const {
    return fail(
        Errc::invalid_argument,
        name_ + ":" + std::to_string(entry.line) + ": " + std::string(field) + " must be " +
            std::string(expected)
    );
}

std::size_t TomlFile::count(std::string_view name) const {
    const auto at = counts_.find(name);
    return at == counts_.end() ? 0 : at->second;
}

std::vector<std::string> TomlFile::names_under(std::string_view prefix) const {
    std::vector<std::string> names;
    for (auto at = entries_.lower_bound(prefix);
         at != entries_.end() && at->first.starts_with(prefix);
         ++at) {
        names.push_back(at->first);
    }
    return names;
}

unsigned TomlFile::line(std::string_view name) const {
    const auto at = entries_.find(name);
    return at == entries_.end() ? 0 : at->second.line;
}

std::vector<std::string> TomlFile::unknown() const {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries_) {
        if (!asked_.contains(name)) {
            names.push_back(name);
        }
    }
    return names;
}

Result<void> TomlFile::check_unknown() const {
    std::string list;
    for (const std::string& name : unknown()) {
        list += list.empty() ? "" : ", ";
        list += name + " (line " + std::to_string(line(name)) + ")";
    }
    if (list.empty()) {
        return {};
    }
    return fail(Errc::invalid_argument, name_ + ": unknown setting: " + list);
}

} // namespace rbee::config
