// Scores, Log-Int-Softmax and attention x V of one head in one pass: logits and codes stay in the
// first-level cache.
#include <algorithm>
#include <cmath>

#include "tile.h"

struct AttentionJob {
    int64_t parts, tokens, channels, heads;
    const int8_t *q, *k, *v;  // [parts, tokens, channels], heads side by side
    // Scores, by head: the rounding half, the shift; with a bias or masks [.., tokens, padded].
    const int32_t *score_start, *score_right;
    const int32_t* bias;   // [heads, tokens, padded], aligned to the products, or none
    const uint8_t* masks;  // [windows, tokens, padded], 1 where a key is hidden, or none
    int64_t windows, padded;
    // Softmax, by head: E [256] of the distances, the first distance with E <= b [65537].
    const int32_t* exponential;
    const uint16_t* const* first;
    // Code k+1 is reached where E <= (scale * S - less[k]) / divisor[k].
    double scale;
    const double *less, *divisor;
    int32_t codes;  // how many, the zero code's number: 15, or 31 for half steps
    // Attention x V, by head.
    const int32_t *value_start, *value_right, *value_left;
    int32_t lowest, highest;
    int8_t* out;  // [parts, tokens, channels]
};

namespace {

constexpr int64_t QUERIES = 8 * ROWS;  // rows that go through the three steps together
constexpr int8_t MASKED = -128;
constexpr int LOG2_CODES = 15;

// The memory of one thread.
struct Room {
    std::vector<int16_t> rows, query, key, value, weight;
    std::vector<int8_t> logit;
    std::vector<uint8_t> distance, code;
};

class Head {
public:
    Head(const AttentionJob& given, Room& room, int64_t part, int64_t head)
        : job(given), room(room), head(head), keys(given.tokens), width(given.channels / given.heads),
          deep(round_up(width, 2)), logits(round_up(keys, 128)), half(job.codes > LOG2_CODES),
          steps(half ? keys : round_up(keys, 2) / 2), window(part % job.windows) {
        const int64_t place = part * keys * job.channels + head * width;
        q = job.q + place;
        k = job.k + place;
        v = job.v + place;
        out = job.out + place;
        query = scratch(room.query, QUERIES * deep);
        key = scratch(room.key, round_up(keys, COLUMNS) * deep);
        value = scratch(room.value, round_up(width, COLUMNS) * 2 * steps);
        weight = scratch(room.weight, QUERIES * (2 * steps + 32));
        logit = scratch(room.logit, QUERIES * logits);
        distance = scratch(room.distance, logits);
        code = scratch(room.code, logits);
        pack_keys();
        pack_values();
    }

    void run() {
        for (int64_t from = 0; from < keys; from += QUERIES) {
            const int64_t rows = std::min<int64_t>(QUERIES, keys - from);
            score(from, rows);
            for (int64_t r = 0; r < rows; ++r) softmax(logit + r * logits, r);
            weigh(from, rows);
        }
    }

private:
    // Panels of keys as columns: [pairs of channels][16 keys][2].
    void pack_keys() {
        const int64_t pairs = deep / 2, whole = round_up(pairs, 8);
        int16_t* rows = scratch(room.rows, COLUMNS * 2 * whole);
        for (int64_t n = 0; n < keys; n += COLUMNS) {
            const int64_t count = std::min<int64_t>(COLUMNS, keys - n);
            std::memset(rows, 0, COLUMNS * 2 * whole * sizeof *rows);
            for (int64_t i = 0; i < count; ++i)
                widen(k + (n + i) * job.channels, width, rows + i * 2 * whole);
            for (int64_t pair = 0; pair < pairs; pair += 8)
                for (int64_t i = 0; i < COLUMNS; i += 8)
                    transpose(rows + i * 2 * whole + 2 * pair, 2 * whole,
                              key + n * deep + pair * 2 * COLUMNS + 2 * i,
                              std::min<int64_t>(8, pairs - pair));
        }
    }

    // Eight rows of eight pairs, `stride` int16 apart, as `count` rows of a panel.
    static void transpose(const int16_t* from, int64_t stride, int16_t* to, int64_t count) {
        __m256i a[8], b[8];
        for (int i = 0; i < 8; ++i) a[i] = _mm256_loadu_si256((const __m256i*)(from + i * stride));
        for (int i = 0; i < 8; i += 2) {
            b[i] = _mm256_unpacklo_epi32(a[i], a[i + 1]);
            b[i + 1] = _mm256_unpackhi_epi32(a[i], a[i + 1]);
        }
        for (int i = 0; i < 8; i += 4) {
            a[i] = _mm256_unpacklo_epi64(b[i], b[i + 2]);
            a[i + 1] = _mm256_unpackhi_epi64(b[i], b[i + 2]);
            a[i + 2] = _mm256_unpacklo_epi64(b[i + 1], b[i + 3]);
            a[i + 3] = _mm256_unpackhi_epi64(b[i + 1], b[i + 3]);
        }
        for (int i = 0; i < 4; ++i) {
            b[i] = _mm256_permute2x128_si256(a[i], a[i + 4], 0x20);
            b[i + 4] = _mm256_permute2x128_si256(a[i], a[i + 4], 0x31);
        }
        for (int64_t i = 0; i < count; ++i)
            _mm256_storeu_si256((__m256i*)(to + i * 2 * COLUMNS), b[i]);
    }

    // Panels of channels as columns: [pairs][16 channels][2]. A pair is two keys, or (half steps)
    // -V and -V' of one key, whose weights are negative so that 2**15 fits.
    void pack_values() {
        for (int64_t c = 0; c < round_up(width, COLUMNS); c += COLUMNS) {
            const int64_t count = std::min<int64_t>(COLUMNS, width - c);
            int16_t* to = value + c * 2 * steps;
            for (int64_t s = 0; s < steps; ++s, to += 2 * COLUMNS) {
                __m256i one, two;
                if (half) {
                    one = _mm256_cvtepi8_epi16(fetch(v + s * job.channels + c, count));
                    two = _mm256_add_epi16(_mm256_mullo_epi16(one, _mm256_set1_epi16(181)),
                                           _mm256_set1_epi16(128));
                    two = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_srai_epi16(two, 8));
                    one = _mm256_sub_epi16(_mm256_setzero_si256(), one);
                } else {
                    one = _mm256_cvtepi8_epi16(fetch(v + 2 * s * job.channels + c, count));
                    two = _mm256_setzero_si256();
                    if (2 * s + 1 < keys)
                        two = _mm256_cvtepi8_epi16(fetch(v + (2 * s + 1) * job.channels + c, count));
                }
                const __m256i low = _mm256_unpacklo_epi16(one, two);
                const __m256i high = _mm256_unpackhi_epi16(one, two);
                _mm256_storeu_si256((__m256i*)to, _mm256_permute2x128_si256(low, high, 0x20));
                _mm256_storeu_si256((__m256i*)(to + 16), _mm256_permute2x128_si256(low, high, 0x31));
            }
        }
    }

    void score(int64_t from, int64_t rows) {
        for (int64_t r = 0; r < rows; ++r) {
            widen(q + (from + r) * job.channels, width, query + r * deep);
            if (deep > width) query[(r + 1) * deep - 1] = 0;
        }
        const Narrow narrow = {Sixteen::all(job.score_start[head]),
                               Sixteen::all(job.score_right[head]), Sixteen::all(0), false,
                               _mm_set1_epi8(job.masks ? MASKED + 1 : MASKED), _mm_set1_epi8(127)};
        for (int64_t n = 0; n < keys; n += COLUMNS) {
            for (int64_t r = 0; r < rows; r += ROWS) {
                Tile tile;
                tile.multiply(query + r * deep, deep, key + n * deep, deep / 2);
                for (int64_t i = r; i < std::min(r + ROWS, rows); ++i) {
                    Sixteen sum = {tile.at[i - r][0], tile.at[i - r][1]};
                    const int64_t row = from + i;
                    if (job.bias)
                        sum = sum + Sixteen::load(job.bias + (head * keys + row) * job.padded + n);
                    __m128i made = narrow(sum);
                    if (job.masks) {
                        const uint8_t* at = job.masks + (window * keys + row) * job.padded + n;
                        const __m128i mask = _mm_loadu_si128((const __m128i*)at);
                        const __m128i hidden = _mm_cmpgt_epi8(mask, _mm_setzero_si128());
                        made = _mm_blendv_epi8(made, _mm_set1_epi8(MASKED), hidden);
                    }
                    _mm_storeu_si128((__m128i*)(logit + i * logits + n), made);
                }
            }
        }
        // What lies behind the keys is below all of them.
        for (int64_t r = 0; r < rows; ++r)
            std::memset(logit + r * logits + keys, MASKED, logits - keys);
    }

    // The weights of a row of logits.
    void softmax(const int8_t* row, int64_t r) {
        __m256i most = _mm256_set1_epi8(-128);
        for (int64_t i = 0; i < logits; i += 32)
            most = _mm256_max_epi8(most, _mm256_loadu_si256((const __m256i*)(row + i)));
        int8_t each[32];
        _mm256_storeu_si256((__m256i*)each, most);
        const int8_t top = *std::max_element(each, each + 32);
        const __m256i tops = _mm256_set1_epi8(top);
        for (int64_t i = 0; i < logits; i += 32) {
            const __m256i x = _mm256_loadu_si256((const __m256i*)(row + i));
            _mm256_storeu_si256((__m256i*)(distance + i), _mm256_sub_epi8(tops, x));
        }
        make_codes(row, thresholds(sum(row, top)));
        if (half) {
            weigh_half(weight + r * 2 * steps);
        } else {
            weigh_log2(weight + r * 2 * steps);
        }
    }

    int64_t sum(const int8_t* row, int8_t top) const {
        const int32_t* e = job.exponential + 256 * head;
        uint32_t part[4] = {0, 0, 0, 0};
        int64_t i = 0;
        for (; i + 4 <= keys; i += 4)
            for (int j = 0; j < 4; ++j) part[j] += e[distance[i + j]];
        for (; i < keys; ++i) part[0] += e[distance[i]];
        int64_t total = (int64_t)part[0] + part[1] + part[2] + part[3];
        if (job.masks) total -= std::count(row, row + keys, MASKED) * e[(uint8_t)(top - MASKED)];
        return total;
    }

    // The thresholds on distances that a row sum sets: `base` codes are reached by every key, the
    // others where a distance is greater than an entry of `above` (both with their top bits turned).
    struct Thresholds {
        int base, count;
        int8_t above[32];
    };

    Thresholds thresholds(int64_t s) const {
        double bound[32];
        for (int i = 0; i < job.codes; ++i) {
            const double e = std::floor((job.scale * (double)s - job.less[i]) / job.divisor[i]);
            bound[i] = e < 65536.0 ? e : 65536.0;
        }
        Thresholds found;
        found.base = found.count = 0;
        const uint16_t* first = job.first[head];
        for (int i = 0; i < job.codes; ++i) {
            const int from = first[(int)bound[i]];
            if (from == 0) {
                ++found.base;
            } else if (from < 256) {
                found.above[found.count++] = (int8_t)((from - 1) ^ 0x80);
            }
        }
        return found;
    }

    // 128 keys at a time: a threshold is read once for all of them.
    void make_codes(const int8_t* row, const Thresholds& given) {
        for (int64_t i = 0; i < logits; i += 128) {
            __m256i turned[4], made[4];
            for (int j = 0; j < 4; ++j) {
                const __m256i t = _mm256_loadu_si256((const __m256i*)(distance + i + 32 * j));
                turned[j] = _mm256_xor_si256(t, _mm256_set1_epi8(-128));
                made[j] = _mm256_set1_epi8((char)given.base);
            }
            for (int c = 0; c < given.count; ++c) {
                const __m256i above = _mm256_set1_epi8(given.above[c]);
                for (int j = 0; j < 4; ++j)
                    made[j] = _mm256_sub_epi8(made[j], _mm256_cmpgt_epi8(turned[j], above));
            }
            for (int j = 0; j < 4; ++j) {
                if (job.masks) {
                    const __m256i x = _mm256_loadu_si256((const __m256i*)(row + i + 32 * j));
                    const __m256i hidden = _mm256_cmpeq_epi8(x, _mm256_set1_epi8(MASKED));
                    made[j] =
                        _mm256_blendv_epi8(made[j], _mm256_set1_epi8((char)job.codes), hidden);
                }
                _mm256_storeu_si256((__m256i*)(code + i + 32 * j), made[j]);
            }
        }
    }

    // 2**(14 - code), 0 for code 15, by its bytes.
    void weigh_log2(int16_t* to) const {
        const __m128i low = _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, -128, 64, 32, 16, 8, 4, 2, 1, 0);
        const __m128i high = _mm_setr_epi8(64, 32, 16, 8, 4, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        for (int64_t i = 0; i < 2 * steps; i += 16) {
            const __m128i c = _mm_loadu_si128((const __m128i*)(code + i));
            const __m128i l = _mm_shuffle_epi8(low, c), h = _mm_shuffle_epi8(high, c);
            _mm_storeu_si128((__m128i*)(to + i), _mm_unpacklo_epi8(l, h));
            _mm_storeu_si128((__m128i*)(to + i + 8), _mm_unpackhi_epi8(l, h));
        }
    }

    // (-2**(15 - code/2), 0) for even codes, (0, the same) for odd ones, zeros for code 31.
    void weigh_half(int16_t* to) const {
        for (int64_t i = 0; i < keys; ++i) {
            const int c = code[i];
            const int16_t w = c < job.codes ? (int16_t)-(1 << (15 - (c >> 1))) : (int16_t)0;
            to[2 * i] = c & 1 ? 0 : w;
            to[2 * i + 1] = c & 1 ? w : 0;
        }
    }

    void weigh(int64_t from, int64_t rows) {
        const Narrow narrow = {Sixteen::all(job.value_start[head]),
                               Sixteen::all(job.value_right[head]),
                               Sixteen::all(job.value_left[head]), job.value_left[head] != 0,
                               _mm_set1_epi8((char)job.lowest), _mm_set1_epi8((char)job.highest)};
        for (int64_t c = 0; c < width; c += COLUMNS) {
            for (int64_t r = 0; r < rows; r += ROWS) {
                Tile tile;
                tile.multiply(weight + r * 2 * steps, 2 * steps, value + c * 2 * steps, steps);
                for (int64_t i = r; i < std::min(r + ROWS, rows); ++i)
                    store(out + (from + i) * job.channels + c,
                          narrow({tile.at[i - r][0], tile.at[i - r][1]}), width - c);
            }
        }
    }

    const AttentionJob& job;
    Room& room;
    const int64_t head, keys, width, deep, logits;
    const bool half;
    const int64_t steps, window;
    const int8_t *q, *k, *v;
    int8_t* out;
    int16_t *query, *key, *value, *weight;
    int8_t* logit;
    uint8_t *distance, *code;
};

}  // namespace

extern "C" void potvit_attention(const AttentionJob* job) {
    static thread_local Room room;
    for (int64_t part = 0; part < job->parts; ++part)
        for (int64_t head = 0; head < job->heads; ++head) Head(*job, room, part, head).run();
}

extern "C" int64_t potvit_attention_job() { return sizeof(AttentionJob); }
