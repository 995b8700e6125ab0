/// Selects the vector instructions (SIMD level) for arrays. The choice is made at run time and does not depend on the
/// processor of the build machine.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#ifndef PYML_X86_KERNELS
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define PYML_X86_KERNELS 1
#else
#define PYML_X86_KERNELS 0  // other compilers and processors use the portable scalar code
#endif
#endif

namespace pyml {

/// The SIMD levels, in ascending order: a processor that supports a level supports all lower ones. avx512 requires the
/// 52-bit integer multiply-add (IFMA: Ice Lake, Zen 4 and later). AVX-512 processors without it use avx2, which is as
/// fast there.
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

/// Returns the highest level that both the processor and the operating system support.
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

/// Returns the level with this name, whether or not this processor supports it.
constexpr std::optional<Level> level_named(std::string_view name) noexcept {
    for (const NamedLevel& entry : kLevels) {
        if (entry.name == name) return entry.level;
    }
    return std::nullopt;
}

}  // namespace pyml
