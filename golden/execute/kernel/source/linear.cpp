// A linear layer with what follows it in one pass: the residual addition, the requantizer, a table.
#include <algorithm>

#include "tile.h"

struct LinearJob {
    int64_t rows, inner, columns;
    const int8_t* x;        // [rows, inner]
    const int16_t* panels;  // [columns / 16][pairs][16][2], zeros where there is no column or k
    const int32_t* start;   // by column, as all that follow: (bias << align) + the rounding half
    const int32_t* right;
    const int32_t* left;       // none: nullptr
    const int32_t* align;      // shift of the accumulator before the old residual is added, or none
    const int32_t* old_align;  // and that of the old residual
    const int8_t* old;         // [rows, columns], or none
    const int8_t* table;       // 256 entries that the result is looked up in, or none
    int32_t lowest, highest;
    int8_t* out;     // [rows, columns]
    int32_t* sums;   // [rows, columns]: acc + start and nothing else, if given
};

namespace {

// int16 of the rows that are multiplied while panels pass by: a share of the second-level cache.
constexpr int64_t BLOCK = 32768;

// table[x + 128] of bytes in place. A sixteenth of the table answers where x is inside it; as the
// tables hold differences (XOR) to their forerunners, those that x is beyond add up to its own.
struct Lookup {
    __m256i part[16];

    explicit Lookup(const int8_t* table) {
        for (int half = 0; half < 2; ++half) {
            __m128i before = _mm_setzero_si128();
            for (int i = 0; i < 8; ++i) {
                const int8_t* from = table + (half ? 0 : 128) + 16 * i;
                const __m128i own = _mm_loadu_si128((const __m128i*)from);
                part[8 * half + i] = _mm256_broadcastsi128_si256(_mm_xor_si128(own, before));
                before = own;
            }
        }
    }

    inline __m256i operator()(__m256i x) const {
        const __m256i step = _mm256_set1_epi8(16);
        __m256i above = x, below = _mm256_xor_si256(x, _mm256_set1_epi8(-128));
        __m256i first = _mm256_setzero_si256(), second = first;
#pragma GCC unroll 8
        for (int i = 0; i < 8; ++i) {
            first = _mm256_xor_si256(first, _mm256_shuffle_epi8(part[i], above));
            second = _mm256_xor_si256(second, _mm256_shuffle_epi8(part[8 + i], below));
            above = _mm256_sub_epi8(above, step);
            below = _mm256_sub_epi8(below, step);
        }
        return _mm256_blendv_epi8(first, second, x);
    }
};

void look_up(const Lookup& lookup, int8_t* bytes, int64_t count) {
    int64_t i = 0;
    for (; i + 32 <= count; i += 32) {
        const __m256i x = _mm256_loadu_si256((const __m256i*)(bytes + i));
        _mm256_storeu_si256((__m256i*)(bytes + i), lookup(x));
    }
    if (i < count) {
        int8_t rest[32] = {};
        std::memcpy(rest, bytes + i, count - i);
        const __m256i x = _mm256_loadu_si256((const __m256i*)rest);
        _mm256_storeu_si256((__m256i*)rest, lookup(x));
        std::memcpy(bytes + i, rest, count - i);
    }
}

// One panel of columns: its constants, and what becomes of a row of its sums.
struct Panel {
    const LinearJob& job;
    int64_t column, count;
    Narrow narrow;
    Sixteen align, old_align;

    Panel(const LinearJob& j, int64_t first)
        : job(j), column(first), count(std::min<int64_t>(COLUMNS, j.columns - first)) {
        const Sixteen none = Sixteen::all(0);
        auto at = [&](const int32_t* from) { return from ? Sixteen::load(from + first) : none; };
        narrow = {at(j.start), at(j.right), at(j.left), j.left != nullptr,
                  _mm_set1_epi8((char)j.lowest), _mm_set1_epi8((char)j.highest)};
        align = at(j.align);
        old_align = at(j.old_align);
    }

    inline void finish(Sixteen sum, int64_t row) const {
        const int64_t place = row * job.columns + column;
        if (job.sums) {
            const Sixteen made = sum + narrow.start;
            std::memcpy(job.sums + place, &made, count * sizeof(int32_t));
            return;
        }
        if (job.align) sum = sum << align;
        if (job.old) sum = sum + (Sixteen::of(fetch(job.old + place, count)) << old_align);
        store(job.out + place, narrow(sum), count);
    }
};

}  // namespace

extern "C" void potvit_linear(const LinearJob* given) {
    const LinearJob& job = *given;
    static thread_local std::vector<int16_t> kept;
    const int64_t stride = round_up(job.inner, 2), pairs = stride / 2;
    const int64_t block = std::max<int64_t>(1, BLOCK / stride / ROWS) * ROWS;
    int16_t* a = scratch(kept, block * stride);
    static const int8_t no_table[256] = {};
    const Lookup lookup(job.table ? job.table : no_table);
    for (int64_t first = 0; first < job.rows; first += block) {
        const int64_t rows = std::min(block, job.rows - first);
        for (int64_t r = 0; r < rows; ++r) {
            widen(job.x + (first + r) * job.inner, job.inner, a + r * stride);
            if (stride > job.inner) a[(r + 1) * stride - 1] = 0;
        }
        for (int64_t column = 0; column < job.columns; column += COLUMNS) {
            const Panel panel(job, column);
            for (int64_t r = 0; r < rows; r += ROWS) {
                Tile tile;
                tile.multiply(a + r * stride, stride, job.panels + column * stride, pairs);
                const int64_t real = std::min<int64_t>(ROWS, rows - r);
                for (int64_t i = 0; i < real; ++i)
                    panel.finish({tile.at[i][0], tile.at[i][1]}, first + r + i);
            }
        }
        if (job.table) look_up(lookup, job.out + first * job.columns, rows * job.columns);
    }
}

extern "C" int64_t potvit_linear_job() { return sizeof(LinearJob); }
