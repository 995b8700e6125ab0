/// Which vector instructions the array path may use. Decided when the program runs: the build machine's processor
/// decides nothing.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#ifndef PYML_X86_KERNELS
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define PYML_X86_KERNELS 1
#else
#define PYML_X86_KERNELS 0  // other compilers and processors: the portable scalar code
#endif
#endif

namespace pyml {

/// Ordered: a processor that has a level has all below it. avx512 includes the 52-bit integer multiply-add (IFMA: Ice
/// Lake, Zen 4 and later); older processors with 512 bits do as well by avx2.
enum class Level { scalar, baseline, avx2, avx512 };

struct NamedLevel {
    Level level;
    std::string_view name;
};

constexpr std::array<NamedLevel, 4> kLevels{{
    {Level::scalar, "scalar"},
    {Level::baseline, "baseline"},
    {Level::avx2, "avx2"},
    {Level::avx512, "avx512"},
}};

/// The highest level of this processor (the operating system's support for its registers included).
inline Level best_level() noexcept {
#if PYML_X86_KERNELS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return Level::baseline;
    const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
    return has_avx512 ? Level::avx512 : Level::avx2;
#else
    return Level::scalar;
#endif
}

constexpr std::string_view level_name(Level level) noexcept { return kLevels[static_cast<std::size_t>(level)].name; }

/// The level called name, whether this processor has it or not.
constexpr std::optional<Level> level_named(std::string_view name) noexcept {
    for (const NamedLevel& entry : kLevels) {
        if (entry.name == name) return entry.level;
    }
    return std::nullopt;
}

}  // namespace pyml
