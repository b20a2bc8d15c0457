// Products of int16 rows with packed int16 panels: 6 rows by 16 columns at a time, exact in int32.
//
// A panel holds 16 columns of B, [pairs][16][2]: two neighbouring k lie side by side, as vpmaddwd
// multiplies and adds them. An 8-bit operand carried in int16 costs half of what a float32 one does
// and needs no proof but that the whole sum fits 32 bits.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <vector>

#ifndef __AVX2__
#error "these kernels need AVX2"
#endif

constexpr int ROWS = 6;
constexpr int COLUMNS = 16;

inline int64_t round_up(int64_t x, int64_t step) { return (x + step - 1) / step * step; }

// The accumulators of one tile: columns 0..7 and 8..15 of each row.
struct Tile {
    __m256i at[ROWS][2];

    // Sum of `pairs` products of six rows, `stride` int16 apart, with one panel.
    inline void multiply(const int16_t* a, int64_t stride, const int16_t* panel, int64_t pairs) {
        __m256i sum[ROWS][2];
        for (auto& row : sum) row[0] = row[1] = _mm256_setzero_si256();
        for (int64_t k = 0; k < pairs; ++k) {
            __m256i left = _mm256_loadu_si256((const __m256i*)(panel + 32 * k));
            __m256i right = _mm256_loadu_si256((const __m256i*)(panel + 32 * k + 16));
            // Registers: read six times each from memory, they would take all its ports.
            asm("" : "+x"(left), "+x"(right));
#pragma GCC unroll 6
            for (int r = 0; r < ROWS; ++r) {
                int32_t both;
                std::memcpy(&both, a + r * stride + 2 * k, sizeof both);
                const __m256i x = _mm256_set1_epi32(both);
                sum[r][0] = _mm256_add_epi32(sum[r][0], _mm256_madd_epi16(x, left));
                sum[r][1] = _mm256_add_epi32(sum[r][1], _mm256_madd_epi16(x, right));
            }
        }
        std::memcpy(at, sum, sizeof at);
    }
};

// Sixteen numbers, one per column: a panel's constants.
struct Sixteen {
    __m256i low, high;

    static inline Sixteen load(const int32_t* from) {
        return {_mm256_loadu_si256((const __m256i*)from),
                _mm256_loadu_si256((const __m256i*)(from + 8))};
    }
    static inline Sixteen all(int32_t value) {
        return {_mm256_set1_epi32(value), _mm256_set1_epi32(value)};
    }
    static inline Sixteen of(__m128i bytes) {
        return {_mm256_cvtepi8_epi32(bytes), _mm256_cvtepi8_epi32(_mm_srli_si128(bytes, 8))};
    }
    inline Sixteen operator+(const Sixteen& o) const {
        return {_mm256_add_epi32(low, o.low), _mm256_add_epi32(high, o.high)};
    }
    inline Sixteen operator>>(const Sixteen& by) const {
        return {_mm256_srav_epi32(low, by.low), _mm256_srav_epi32(high, by.high)};
    }
    inline Sixteen operator<<(const Sixteen& by) const {
        return {_mm256_sllv_epi32(low, by.low), _mm256_sllv_epi32(high, by.high)};
    }
    // sat8 of each, in order.
    inline __m128i saturated() const {
        const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
        return _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    }
};

// Rounding, the shifts and the saturation of `golden.ops.Requantize`, for one panel of columns.
struct Narrow {
    Sixteen start, right, left;
    bool lefts;
    __m128i lowest, highest;

    inline __m128i operator()(const Sixteen& sum) const {
        __m128i bytes = ((sum + start) >> right).saturated();
        if (lefts) bytes = (Sixteen::of(bytes) << left).saturated();
        return _mm_min_epi8(_mm_max_epi8(bytes, lowest), highest);
    }
};

// The first `count` of sixteen bytes; what lies behind them in memory is not touched.
inline __m128i fetch(const int8_t* from, int64_t count) {
    if (count >= COLUMNS) return _mm_loadu_si128((const __m128i*)from);
    __m128i bytes = _mm_setzero_si128();
    std::memcpy(&bytes, from, count);
    return bytes;
}

inline void store(int8_t* to, __m128i bytes, int64_t count) {
    if (count >= COLUMNS) {
        _mm_storeu_si128((__m128i*)to, bytes);
    } else {
        std::memcpy(to, &bytes, count);
    }
}

inline void widen(const int8_t* from, int64_t count, int16_t* to) {
    int64_t i = 0;
    for (; i + 16 <= count; i += 16) {
        const __m128i bytes = _mm_loadu_si128((const __m128i*)(from + i));
        _mm256_storeu_si256((__m256i*)(to + i), _mm256_cvtepi8_epi16(bytes));
    }
    for (; i < count; ++i) to[i] = from[i];
}

// Rows of scratch memory that stays with its thread; as long as asked for, of any content.
template <typename T>
inline T* scratch(std::vector<T>& kept, int64_t count) {
    if ((int64_t)kept.size() < count) kept.resize(count);
    return kept.data();
}
