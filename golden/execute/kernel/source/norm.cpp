// The integer LayerNorm, `golden.ops.LayerNorm`: sums in integers, the rest in float64 below 2**53.
#include <cmath>
#include <cstdint>
#include <vector>

struct NormJob {
    int64_t rows, channels;
    const int8_t* q;        // [rows, channels]
    const int32_t* alpha;   // by channel: 2**alpha
    const double* gamma;    // gamma * 2**-shift
    const double* beta;     // beta * 2**-shift + 0.5
    double lowest, highest;
    int8_t* out;
};

namespace {

constexpr int VARIANCE_BITS = 48, MANTISSA_BITS = 24;

// r * 2**-k of `golden.ops.layernorm.reciprocal_root`.
double reciprocal_root(int64_t variance) {
    if (variance == 0) return 0;
    const int bits = 64 - __builtin_clzll((uint64_t)variance);
    const int s = (VARIANCE_BITS - bits) & ~1;
    const int64_t m = (variance << s) >> (VARIANCE_BITS - MANTISSA_BITS);
    const int64_t quotient = (INT64_C(1) << 56) / m;
    int64_t root = (int64_t)std::sqrt((double)quotient);
    if (root * root > quotient) --root;
    if ((root + 1) * (root + 1) <= quotient) ++root;
    if (root > (1 << 17) - 1) root = (1 << 17) - 1;
    int64_t r = (root + 1) >> 1;
    if (r > (1 << 16) - 1) r = (1 << 16) - 1;
    return std::ldexp((double)r, s / 2 - 23);
}

// One token: `q` to `out`, with room for its X.
void normalize(const NormJob& job, const int8_t* __restrict q, int32_t* __restrict x,
               int8_t* __restrict out) {
    const int64_t channels = job.channels;
    const int32_t* __restrict alpha = job.alpha;
    const double* __restrict gamma = job.gamma;
    const double* __restrict beta = job.beta;
    const double lowest = job.lowest, highest = job.highest;
    int64_t s1 = 0, s2 = 0;
    for (int64_t first = 0; first < channels; first += 1024) {
        const int64_t end = first + 1024 < channels ? first + 1024 : channels;
        int32_t sum = 0, squares = 0;  // 1024 squares of at most 2**20 fit
        for (int64_t c = first; c < end; ++c) {
            x[c] = q[c] * alpha[c];
            sum += x[c];
            squares += x[c] * x[c];
        }
        s1 += sum;
        s2 += squares;
    }
    const double factor = reciprocal_root(channels * s2 - s1 * s1);
    const int32_t times = (int32_t)channels, less = (int32_t)s1;  // D has 23 bits
    for (int64_t c = 0; c < channels; ++c) {
        const double n = std::floor((double)(times * x[c] - less) * factor + 0.5);
        double y = std::floor(n * gamma[c] + beta[c]);
        y = y > lowest ? y : lowest;
        y = y < highest ? y : highest;
        x[c] = (int32_t)y;
    }
    for (int64_t c = 0; c < channels; ++c) out[c] = (int8_t)x[c];
}

}  // namespace

extern "C" void potvit_norm(const NormJob* given) {
    const NormJob& job = *given;
    const int64_t channels = job.channels;
    static thread_local std::vector<int32_t> kept;
    kept.resize(channels);
    for (int64_t row = 0; row < job.rows; ++row)
        normalize(job, job.q + row * channels, kept.data(), job.out + row * channels);
}

extern "C" int64_t potvit_norm_job() { return sizeof(NormJob); }
