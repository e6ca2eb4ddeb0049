// Dropout whose mask is a function, not a state: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy
// as 1, 2, 3", §3.3) keyed by seed and site and counted by step, example and element. No mask is stored, backward draws
// it again, and any split of a batch over workers or micro-batches draws the same one. The trap: padding must not move
// an element's counter, so trailing dimensions are coordinates, not offsets into the row.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#if defined(__x86_64__)
#include <immintrin.h>
#define TANDEM_X86
// Compiled once for each instruction set; the loader takes the best that the machine has.
#define TANDEM_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define TANDEM_CLONES
#endif

namespace tandem {

namespace {

constexpr uint32_t kMultiplierA = 0xD2511F53U;
constexpr uint32_t kMultiplierB = 0xCD9E8D57U;
constexpr uint32_t kWeylA = 0x9E3779B9U;
constexpr uint32_t kWeylB = 0xBB67AE85U;
constexpr int kRounds = 10;
constexpr int kLanes = 16;
constexpr int64_t kWordsAtOnce = 512;

// Which values are kept: a uniform 32-bit word below this. p = 0 keeps all but one in 2^32, so callers skip p = 0.
uint32_t keepBelow(double p) { return static_cast<uint32_t>((1.0 - p) * 4294967295.0); }

struct Site {
  uint32_t seed, site, step, below;
  float scale;
};

// Words of `kLanes` consecutive counters (block .. block + kLanes - 1): out[4 * i + j] is word j of counter block + i.
TANDEM_CLONES void philoxLanes(uint32_t block, uint32_t row, uint32_t example, const Site& site,
                               uint32_t* __restrict__ out) {
  uint32_t c0[kLanes], c1[kLanes], c2[kLanes], c3[kLanes];
  for (int i = 0; i < kLanes; i++) {
    c0[i] = block + static_cast<uint32_t>(i);
    c1[i] = row;
    c2[i] = example;
    c3[i] = site.step;
  }
  uint32_t k0 = site.seed, k1 = site.site;
  for (int round = 0; round < kRounds; round++) {
    for (int i = 0; i < kLanes; i++) {
      const uint64_t a = static_cast<uint64_t>(kMultiplierA) * c0[i];
      const uint64_t b = static_cast<uint64_t>(kMultiplierB) * c2[i];
      const uint32_t n0 = static_cast<uint32_t>(b >> 32) ^ c1[i] ^ k0;
      const uint32_t n2 = static_cast<uint32_t>(a >> 32) ^ c3[i] ^ k1;
      c1[i] = static_cast<uint32_t>(b);
      c3[i] = static_cast<uint32_t>(a);
      c0[i] = n0;
      c2[i] = n2;
    }
    k0 += kWeylA;
    k1 += kWeylB;
  }
  for (int i = 0; i < kLanes; i++) {
    out[4 * i] = c0[i];
    out[4 * i + 1] = c1[i];
    out[4 * i + 2] = c2[i];
    out[4 * i + 3] = c3[i];
  }
}

#ifdef TANDEM_X86
// Low and high halves of sixteen 32-bit products.
__attribute__((target("avx512f"))) inline void products(__m512i x, __m512i multiplier, __m512i& high, __m512i& low) {
  const __m512i even = _mm512_mul_epu32(x, multiplier);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), multiplier);
  high = _mm512_mask_blend_epi32(0xAAAA, _mm512_srli_epi64(even, 32), odd);
  low = _mm512_mask_blend_epi32(0xAAAA, even, _mm512_slli_epi64(odd, 32));
}

// The same words by hand, seven times as fast: compilers spill the four counters between rounds.
__attribute__((target("avx512f"))) void philoxLanes512(uint32_t block, uint32_t row, uint32_t example, const Site& site,
                                                       uint32_t* __restrict__ out) {
  const __m512i a = _mm512_set1_epi32(static_cast<int>(kMultiplierA));
  const __m512i b = _mm512_set1_epi32(static_cast<int>(kMultiplierB));
  const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i c0 = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(block)), places);
  __m512i c1 = _mm512_set1_epi32(static_cast<int>(row)), c2 = _mm512_set1_epi32(static_cast<int>(example));
  __m512i c3 = _mm512_set1_epi32(static_cast<int>(site.step));
  uint32_t k0 = site.seed, k1 = site.site;
#pragma GCC unroll 10
  for (int round = 0; round < kRounds; round++) {
    __m512i high_a, low_a, high_b, low_b;
    products(c0, a, high_a, low_a);
    products(c2, b, high_b, low_b);
    c0 = _mm512_xor_si512(_mm512_xor_si512(high_b, c1), _mm512_set1_epi32(static_cast<int>(k0)));
    c2 = _mm512_xor_si512(_mm512_xor_si512(high_a, c3), _mm512_set1_epi32(static_cast<int>(k1)));
    c1 = low_b;
    c3 = low_a;
    k0 += kWeylA;
    k1 += kWeylB;
  }
  // Transposed: the first 128 bits of rows[j] are the words of counter j, the next those of counter j + 4.
  const __m512i low01 = _mm512_unpacklo_epi32(c0, c1), high01 = _mm512_unpackhi_epi32(c0, c1);
  const __m512i low23 = _mm512_unpacklo_epi32(c2, c3), high23 = _mm512_unpackhi_epi32(c2, c3);
  const __m512i rows[4] = {_mm512_unpacklo_epi64(low01, low23), _mm512_unpackhi_epi64(low01, low23),
                           _mm512_unpacklo_epi64(high01, high23), _mm512_unpackhi_epi64(high01, high23)};
  for (int j = 0; j < 4; j++) {
    auto* place = reinterpret_cast<__m128i*>(out) + j;
    _mm_storeu_si128(place, _mm512_extracti32x4_epi32(rows[j], 0));
    _mm_storeu_si128(place + 4, _mm512_extracti32x4_epi32(rows[j], 1));
    _mm_storeu_si128(place + 8, _mm512_extracti32x4_epi32(rows[j], 2));
    _mm_storeu_si128(place + 12, _mm512_extracti32x4_epi32(rows[j], 3));
  }
}
#endif

// Fills `count` words rounded up to whole groups of 4 * kLanes.
void fillWords(uint32_t block, uint32_t row, uint32_t example, const Site& site, int64_t count, uint32_t* out) {
#ifdef TANDEM_X86
  static const auto lanes = __builtin_cpu_supports("avx512f") ? philoxLanes512 : philoxLanes;
#else
  static const auto lanes = philoxLanes;
#endif
  for (int64_t done = 0; done < count; done += 4 * kLanes)
    lanes(block + static_cast<uint32_t>(done / 4), row, example, site, out + done);
}

TANDEM_CLONES void keepFloats(const float* __restrict__ in, float* __restrict__ out, const uint32_t* __restrict__ words,
                              int64_t count, uint32_t below, float scale) {
  for (int64_t i = 0; i < count; i++) out[i] = words[i] < below ? in[i] * scale : 0.0F;
}

template <typename T>
void keep(const T* in, T* out, const uint32_t* words, int64_t count, const Site& site) {
  using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;
  if constexpr (std::is_same_v<T, float>) {
    keepFloats(in, out, words, count, site.below, site.scale);
  } else {
    for (int64_t i = 0; i < count; i++)
      out[i] = words[i] < site.below ? static_cast<T>(static_cast<Wide>(in[i]) * static_cast<Wide>(site.scale))
                                     : static_cast<T>(0);
  }
}

template <typename T>
void scaleRow(const T* in, T* out, int64_t width, uint32_t row, uint32_t example, const Site& site) {
  uint32_t words[kWordsAtOnce];
  for (int64_t start = 0; start < width; start += kWordsAtOnce) {
    const int64_t count = std::min<int64_t>(kWordsAtOnce, width - start);
    fillWords(static_cast<uint32_t>(start / 4), row, example, site, count, words);
    keep(in + start, out + start, words, count, site);
  }
}

struct Geometry {
  int64_t batch, outer, inner, width;
};

Geometry geometryOf(const at::Tensor& x, const at::Tensor& examples) {
  TORCH_CHECK(x.dim() >= 2 && x.dim() <= 4, "expected 2 to 4 dimensions with the batch first, got ", x.dim());
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), "expected a floating tensor, got ", x.scalar_type());
  TORCH_CHECK(examples.dim() == 1 && examples.scalar_type() == at::kLong && examples.size(0) == x.size(0),
              "expected examples i64[", x.size(0), "], got ", examples.scalar_type(), examples.sizes());
  Geometry g{x.size(0), x.dim() == 4 ? x.size(1) : 1, x.dim() >= 3 ? x.size(x.dim() - 2) : 1, x.size(x.dim() - 1)};
  TORCH_CHECK(g.outer <= 65536 && g.inner <= 65536, "dimensions between batch and last are at most 65536");
  return g;
}

Site siteOf(double p, int64_t seed, int64_t step, int64_t site) {
  TORCH_CHECK(p >= 0 && p < 1, "expected a probability from 0 to below 1, got ", p);
  TORCH_CHECK(seed >= 0 && seed <= UINT32_MAX && step >= 0 && step <= UINT32_MAX && site >= 0 && site <= UINT32_MAX,
              "seed, step and site are whole numbers below 2^32");
  return {static_cast<uint32_t>(seed), static_cast<uint32_t>(site), static_cast<uint32_t>(step), keepBelow(p),
          static_cast<float>(1.0 / (1.0 - p))};
}

at::Tensor scaleCpu(const at::Tensor& x, const at::Tensor& examples, double p, int64_t seed, int64_t step,
                    int64_t site_number) {
  const Geometry g = geometryOf(x, examples);
  const Site site = siteOf(p, seed, step, site_number);
  const at::Tensor in = x.contiguous();
  const at::Tensor ids = examples.contiguous();
  at::Tensor out = at::empty_like(in);
  const int64_t rows = g.batch * g.outer * g.inner;
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, g.width));
  AT_DISPATCH_FLOATING_TYPES_AND2(at::kHalf, at::kBFloat16, in.scalar_type(), "philox_dropout", [&] {
    const scalar_t* source = in.const_data_ptr<scalar_t>();
    scalar_t* target = out.mutable_data_ptr<scalar_t>();
    const int64_t* example = ids.const_data_ptr<int64_t>();
    at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; r++) {
        const int64_t b = r / (g.outer * g.inner), outer = r / g.inner % g.outer, inner = r % g.inner;
        const auto row = static_cast<uint32_t>((outer << 16) | inner);
        scaleRow(source + r * g.width, target + r * g.width, g.width, row, static_cast<uint32_t>(example[b]), site);
      }
    });
  });
  return out;
}

// The same function in tensor operations, for devices without a kernel of ours; a test holds the two equal on the CPU.
// 64-bit products keep their low 32 and, after a logical shift, high 32 bits exactly.
at::Tensor scaleComposite(const at::Tensor& x, const at::Tensor& examples, double p, int64_t seed, int64_t step,
                          int64_t site_number) {
  const Geometry g = geometryOf(x, examples);
  const Site site = siteOf(p, seed, step, site_number);
  constexpr int64_t kLow = 0xFFFFFFFFLL;
  const auto options = at::TensorOptions().dtype(at::kLong).device(x.device());
  const int64_t blocks = (g.width + 3) / 4;
  const at::Tensor row = at::arange(g.outer, options)
                             .view({1, g.outer, 1, 1})
                             .mul(65536)
                             .add(at::arange(g.inner, options).view({1, 1, g.inner, 1}));
  const std::vector<int64_t> full = {g.batch, g.outer, g.inner, blocks};
  at::Tensor c0 = at::arange(blocks, options).view({1, 1, 1, blocks}).expand(full);
  at::Tensor c1 = row.expand(full);
  at::Tensor c2 = examples.to(x.device()).bitwise_and(kLow).view({g.batch, 1, 1, 1}).expand(full);
  at::Tensor c3 = at::full({}, static_cast<int64_t>(site.step), options).expand(full);
  uint32_t k0 = site.seed, k1 = site.site;
  for (int round = 0; round < kRounds; round++) {
    const at::Tensor a = c0.mul(static_cast<int64_t>(kMultiplierA));
    const at::Tensor b = c2.mul(static_cast<int64_t>(kMultiplierB));
    c0 = b.bitwise_right_shift(32).bitwise_and(kLow).bitwise_xor(c1).bitwise_xor(static_cast<int64_t>(k0));
    c2 = a.bitwise_right_shift(32).bitwise_and(kLow).bitwise_xor(c3).bitwise_xor(static_cast<int64_t>(k1));
    c1 = b.bitwise_and(kLow);
    c3 = a.bitwise_and(kLow);
    k0 += kWeylA;
    k1 += kWeylB;
  }
  const at::Tensor words =
      at::stack({c0, c1, c2, c3}, -1).reshape({g.batch, g.outer, g.inner, blocks * 4}).narrow(-1, 0, g.width);
  const at::Tensor kept = words.lt(static_cast<int64_t>(site.below)).reshape(x.sizes());
  return at::where(kept, x.mul(static_cast<double>(site.scale)), at::zeros({}, x.options()));
}

at::Tensor callScale(const at::Tensor& x, const at::Tensor& examples, double p, int64_t seed, int64_t step,
                     int64_t site) {
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("tandem::philox_dropout", "").typed<decltype(scaleCpu)>();
  return op.call(x, examples, p, seed, step, site);
}

// d(mask · x · s)/dx = mask · s: backward is the same operator on the gradient.
struct PhiloxDropout : torch::autograd::Function<PhiloxDropout> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, const at::Tensor& examples,
                            double p, int64_t seed, int64_t step, int64_t site) {
    const at::AutoDispatchBelowADInplaceOrView guard;
    context->save_for_backward({examples});
    context->saved_data["p"] = p;
    context->saved_data["seed"] = seed;
    context->saved_data["step"] = step;
    context->saved_data["site"] = site;
    return callScale(x, examples, p, seed, step, site);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const at::Tensor examples = context->get_saved_variables()[0];
    auto& data = context->saved_data;
    const at::Tensor gradient = callScale(gradients[0], examples, data["p"].toDouble(), data["seed"].toInt(),
                                          data["step"].toInt(), data["site"].toInt());
    return {gradient, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

at::Tensor scaleAutograd(const at::Tensor& x, const at::Tensor& examples, double p, int64_t seed, int64_t step,
                         int64_t site) {
  return PhiloxDropout::apply(x, examples, p, seed, step, site);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tandem, library) {
  library.def("philox_dropout(Tensor x, Tensor examples, float p, int seed, int step, int site) -> Tensor");
  library.def("philox_dropout_reference(Tensor x, Tensor examples, float p, int seed, int step, int site) -> Tensor");
}
TORCH_LIBRARY_IMPL(tandem, CPU, library) { library.impl("philox_dropout", scaleCpu); }
TORCH_LIBRARY_IMPL(tandem, CUDA, library) { library.impl("philox_dropout", scaleComposite); }
TORCH_LIBRARY_IMPL(tandem, Autograd, library) { library.impl("philox_dropout", scaleAutograd); }
TORCH_LIBRARY_IMPL(tandem, CompositeImplicitAutograd, library) {
  library.impl("philox_dropout_reference", scaleComposite);
}

}  // namespace tandem
