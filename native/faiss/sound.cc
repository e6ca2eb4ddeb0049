// Whether an index from a file is what its parts say: sizes that fit each other, neighbours and ids that exist. FAISS
// checks none of this and reads whatever memory a table points to. Kinds that can't be searched for rows (codecs,
// coarse quantizers, lists in other files) are refused by not being known here.
#include <faiss/IndexAdditiveQuantizer.h>
#include <faiss/IndexAdditiveQuantizerFastScan.h>
#include <faiss/IndexFlat.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFAdditiveQuantizer.h>
#include <faiss/IndexIVFFastScan.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexLSH.h>
#include <faiss/IndexNSG.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/IndexScalarQuantizer.h>
#include <faiss/VectorTransform.h>
#include <faiss/invlists/BlockInvertedLists.h>
#include <faiss/invlists/InvertedLists.h>

#include <limits>
#include <stdexcept>

#include "faiss-parts.h"

namespace tandem {

namespace {

void require(bool holds, const char* what) {
  if (!holds) throw std::runtime_error(std::string("it is damaged: ") + what);
}

void requireRow(int64_t id, int64_t size) { require(id >= 0 && id < size, "an id is no row"); }

void requireQuantizer(const faiss::ProductQuantizer& quantizer, int64_t dimension) {
  require(quantizer.M > 0 && quantizer.nbits > 0 && quantizer.nbits <= 24, "a quantizer without parts");
  require(quantizer.M * quantizer.dsub == static_cast<size_t>(dimension), "a quantizer of another dimension");
  require(quantizer.centroids.size() == static_cast<size_t>(dimension) * quantizer.ksub, "a quantizer's table");
}

void requireQuantizer(const faiss::ScalarQuantizer& quantizer, int64_t dimension) {
  using Scalar = faiss::ScalarQuantizer;
  require(quantizer.d == static_cast<size_t>(dimension), "a quantizer of another dimension");
  const auto type = quantizer.qtype;
  // A kind that it doesn't know FAISS refuses by an exception inside a parallel part, which ends the process.
  require(type >= 0 && type <= Scalar::QT_6bit, "a quantizer's kind");
  const bool ranged = type == Scalar::QT_8bit || type == Scalar::QT_4bit || type == Scalar::QT_6bit;
  const bool uniform = type == Scalar::QT_8bit_uniform || type == Scalar::QT_4bit_uniform;
  const size_t expected = ranged ? 2 * quantizer.d : uniform ? 2 : 0;
  require(quantizer.trained.size() >= expected, "a quantizer's table");
}

void requireQuantizer(const faiss::AdditiveQuantizer& quantizer, int64_t dimension) {
  require(quantizer.d == static_cast<size_t>(dimension), "a quantizer of another dimension");
  require(quantizer.M > 0 && quantizer.nbits.size() == quantizer.M, "a quantizer without parts");
  size_t entries = 0;
  for (const size_t bits : quantizer.nbits) {
    require(bits > 0 && bits <= 16, "a quantizer's bits");
    entries += size_t{1} << bits;
  }
  const auto* product = dynamic_cast<const faiss::ProductAdditiveQuantizer*>(&quantizer);
  if (product == nullptr && quantizer.is_trained)
    require(quantizer.codebooks.size() == entries * quantizer.d, "a quantizer's table");
}

// Codes in blocks of `rows` rows of two parts a byte, as the fast scan reads them.
void requireBlocks(size_t parts, size_t padded, size_t bits, size_t centroids, int rows) {
  require(parts > 0 && padded == (parts + 1) / 2 * 2 && bits == 4 && centroids == 16, "its quantizer's parts");
  require(rows > 0 && rows % 32 == 0 && rows <= 4096, "its blocks");
}

void requireFastScan(const faiss::IndexFastScan& index) {
  requireBlocks(index.M, index.M2, index.nbits, index.ksub, index.bbs);
  const size_t rows = (static_cast<size_t>(index.ntotal) + index.bbs - 1) / index.bbs * index.bbs;
  require(index.ntotal2 == rows && index.codes.size() == rows * index.M2 / 2, "its codes don't fit its size");
  if (auto* part = dynamic_cast<const faiss::IndexPQFastScan*>(&index)) {
    requireQuantizer(part->pq, part->d);
    require(part->pq.M == part->M && part->pq.nbits == part->nbits, "its quantizer's parts");
  }
  if (auto* part = dynamic_cast<const faiss::IndexAdditiveQuantizerFastScan*>(&index))
    require(part->aq != nullptr && part->M >= part->aq->M, "its quantizer's parts");
}

void requireFastScan(const faiss::IndexIVFFastScan& index) {
  requireBlocks(index.M, index.M2, index.nbits, index.ksub, index.bbs);
  const auto* lists = dynamic_cast<const faiss::BlockInvertedLists*>(index.invlists);
  require(lists != nullptr && lists->n_per_block == static_cast<size_t>(index.bbs) &&
              lists->block_size == index.bbs * index.M2 / 2,
          "its lists' blocks");
  for (size_t list = 0; list < lists->nlist; list++) {
    const size_t blocks = (lists->ids[list].size() + lists->n_per_block - 1) / lists->n_per_block;
    require(lists->codes[list].size() == blocks * lists->block_size, "a list's codes");
  }
  if (auto* part = dynamic_cast<const faiss::IndexIVFPQFastScan*>(&index)) {
    requireQuantizer(part->pq, part->d);
    require(part->pq.M == part->M && part->pq.nbits == part->nbits, "its quantizer's parts");
  }
}

void requireCodes(const faiss::IndexFlatCodes& index) {
  require(index.code_size > 0 && index.codes.size() == static_cast<size_t>(index.ntotal) * index.code_size,
          "its codes don't fit its size");
  if (dynamic_cast<const faiss::IndexFlat*>(&index) != nullptr)
    require(index.code_size == sizeof(float) * index.d, "its codes don't fit its dimension");
  if (auto* part = dynamic_cast<const faiss::IndexPQ*>(&index)) {
    requireQuantizer(part->pq, part->d);
    require(part->pq.code_size == part->code_size, "its codes don't fit its quantizer");
  }
  if (auto* part = dynamic_cast<const faiss::IndexScalarQuantizer*>(&index)) {
    if (part->is_trained) requireQuantizer(part->sq, part->d);
    require(part->sq.code_size == part->code_size, "its codes don't fit its quantizer");
  }
  if (auto* part = dynamic_cast<const faiss::IndexAdditiveQuantizer*>(&index)) {
    require(part->aq != nullptr && part->aq->code_size == part->code_size, "its codes don't fit its quantizer");
    requireQuantizer(*part->aq, part->d);
  }
  if (auto* part = dynamic_cast<const faiss::IndexLSH*>(&index)) {
    require(part->nbits > 0 && part->code_size == static_cast<size_t>(part->nbits + 7) / 8, "its number of bits");
    require(!part->train_thresholds || !part->is_trained || part->thresholds.size() == static_cast<size_t>(part->nbits),
            "its thresholds");
    require(
        part->rotate_data ? part->rrot.A.size() == static_cast<size_t>(part->d) * part->nbits : part->nbits <= part->d,
        "its rotation");
  }
}

void requireLists(const faiss::IndexIVF& index) {
  const auto* lists = dynamic_cast<const faiss::ArrayInvertedLists*>(index.invlists);
  const auto* blocks = dynamic_cast<const faiss::BlockInvertedLists*>(index.invlists);
  if (lists == nullptr && blocks == nullptr)
    throw std::runtime_error("its lists lie in another file, which is not supported");
  require(index.nprobe > 0 && index.quantizer != nullptr && (index.quantizer->is_trained || !index.is_trained),
          "its coarse quantizer");
  require(index.nlist > 0 && index.invlists->nlist == index.nlist, "its number of lists");
  require(index.quantizer != nullptr && index.quantizer->d == index.d, "its coarse quantizer's dimension");
  require(!index.is_trained || index.quantizer->ntotal == static_cast<int64_t>(index.nlist),
          "its coarse quantizer's size");
  if (lists != nullptr) require(lists->code_size == index.code_size, "its lists' codes");
  int64_t entries = 0;
  for (size_t list = 0; list < index.nlist; list++) {
    const size_t length = index.invlists->list_size(list);
    entries += static_cast<int64_t>(length);
    if (lists != nullptr) {
      require(lists->ids[list].size() == length && lists->codes[list].size() == length * index.code_size,
              "a list's codes");
    }
    const faiss::InvertedLists::ScopedIds ids(index.invlists, list);
    for (size_t i = 0; i < length; i++) requireRow(ids[i], index.ntotal);
  }
  require(entries == index.ntotal, "its lists don't hold every row once");
  if (auto* part = dynamic_cast<const faiss::IndexIVFFlat*>(&index))
    require(part->code_size == sizeof(float) * part->d, "its codes don't fit its dimension");
  if (auto* part = dynamic_cast<const faiss::IndexIVFPQ*>(&index)) {
    requireQuantizer(part->pq, part->d);
    require(part->pq.code_size == part->code_size, "its codes don't fit its quantizer");
  }
  if (auto* part = dynamic_cast<const faiss::IndexIVFFastScan*>(&index)) requireFastScan(*part);
  if (auto* part = dynamic_cast<const faiss::IndexIVFAdditiveQuantizer*>(&index)) {
    require(part->aq != nullptr && part->aq->code_size == part->code_size, "its codes don't fit its quantizer");
    requireQuantizer(*part->aq, part->d);
  }
  if (auto* part = dynamic_cast<const faiss::IndexIVFScalarQuantizer*>(&index); part != nullptr && part->is_trained)
    requireQuantizer(part->sq, part->d);
}

void requireGraph(const faiss::IndexHNSW& index) {
  const faiss::HNSW& graph = index.hnsw;
  const int64_t size = index.ntotal;
  require(index.storage != nullptr && index.storage->ntotal == size && index.storage->d == index.d, "its vectors");
  require(graph.levels.size() == static_cast<size_t>(size) && graph.offsets.size() == static_cast<size_t>(size) + 1 &&
              graph.offsets[0] == 0 && graph.offsets[size] == graph.neighbors.size(),
          "its graph's size");
  const auto& widths = graph.cum_nneighbor_per_level;
  require(graph.efSearch >= 0 && graph.efSearch <= (1 << 20), "its efSearch");
  require(!widths.empty() && widths[0] == 0, "its graph's levels");
  for (size_t level = 1; level < widths.size(); level++)
    require(widths[level] >= widths[level - 1], "its graph's levels");
  for (int64_t row = 0; row < size; row++) {
    const int level = graph.levels[row];
    require(level >= 1 && static_cast<size_t>(level) < widths.size(), "a node's level");
    require(graph.offsets[row + 1] - graph.offsets[row] == static_cast<size_t>(widths[level]), "a node's place");
  }
  for (int64_t row = 0; row < size; row++) {
    const int level = graph.levels[row];
    for (int at = 0; at < level; at++)
      for (size_t i = graph.offsets[row] + widths[at]; i < graph.offsets[row] + widths[at + 1]; i++) {
        const int64_t neighbour = graph.neighbors[i];
        // A neighbour on a level has that level itself.
        require(neighbour >= -1 && neighbour < size && (neighbour < 0 || graph.levels[neighbour] > at),
                "a neighbour is no node");
      }
  }
  if (size == 0) return;
  requireRow(graph.entry_point, size);
  require(graph.max_level >= 0 && graph.max_level < graph.levels[graph.entry_point], "its graph's entry");
}

void requireGraph(const faiss::IndexNSG& index) {
  require(index.storage != nullptr && index.storage->ntotal == index.ntotal && index.storage->d == index.d,
          "its vectors");
  if (index.ntotal == 0) return;
  require(index.nsg.is_built && index.nsg.final_graph != nullptr, "its graph isn't built");
  require(index.nsg.search_L >= 0 && index.nsg.search_L <= (1 << 20), "its search_L");
  const auto& graph = *index.nsg.final_graph;
  require(graph.N == index.ntotal && index.nsg.ntotal == index.ntotal && graph.K > 0, "its graph's size");
  requireRow(index.nsg.enterpoint, graph.N);
  for (int row = 0; row < graph.N; row++)
    for (int i = 0; i < graph.K; i++) {
      const int64_t neighbour = graph.data[static_cast<int64_t>(row) * graph.K + i];
      require(neighbour >= -1 && neighbour < graph.N, "a neighbour is no node");
    }
}

void requireTransforms(const faiss::IndexPreTransform& index) {
  int dimension = index.d;
  for (const faiss::VectorTransform* transform : index.chain) {
    require(transform->d_in == dimension && transform->d_out > 0, "a transform of another dimension");
    dimension = transform->d_out;
    if (const auto* linear = dynamic_cast<const faiss::LinearTransform*>(transform);
        linear != nullptr && linear->is_trained) {
      require(linear->A.size() == static_cast<size_t>(linear->d_in) * linear->d_out, "a transform's matrix");
      require(!linear->have_bias || linear->b.size() == static_cast<size_t>(linear->d_out), "a transform's bias");
    }
  }
  require(index.index != nullptr && index.index->d == dimension && index.index->ntotal == index.ntotal,
          "what it transforms for");
}

bool isKnown(const faiss::Index& index) {
  if (dynamic_cast<const faiss::IndexFlat*>(&index) != nullptr ||
      dynamic_cast<const faiss::IndexPQ*>(&index) != nullptr ||
      dynamic_cast<const faiss::IndexScalarQuantizer*>(&index) != nullptr ||
      dynamic_cast<const faiss::IndexLSH*>(&index) != nullptr ||
      dynamic_cast<const faiss::IndexAdditiveQuantizer*>(&index) != nullptr ||
      dynamic_cast<const faiss::IndexFastScan*>(&index) != nullptr)
    return true;
  return dynamic_cast<const faiss::IndexIVFFlat*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexIVFPQ*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexIVFScalarQuantizer*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexIVFFastScan*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexIVFAdditiveQuantizer*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexHNSW*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexNSG*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexPreTransform*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexIDMap*>(&index) != nullptr ||
         dynamic_cast<const faiss::IndexRefine*>(&index) != nullptr;
}

// `isWhole`: nothing is around it. A product of coarse quantizers finds lists, not rows.
void requirePart(const faiss::Index& index, bool isWhole) {
  const auto* product = dynamic_cast<const faiss::MultiIndexQuantizer*>(&index);
  if (product != nullptr && !isWhole) return requireQuantizer(product->pq, product->d);
  if (!isKnown(index)) throw std::runtime_error("it is of a kind that can't be searched for rows");
  require(index.d > 0 && index.d <= (1 << 20), "its dimension");
  require(index.metric_type == faiss::METRIC_INNER_PRODUCT || index.metric_type == faiss::METRIC_L2,
          "the metric of a part");
  require(index.ntotal >= 0 && index.ntotal < std::numeric_limits<int32_t>::max(), "its size");
  if (auto* part = dynamic_cast<const faiss::IndexFlatCodes*>(&index)) requireCodes(*part);
  if (auto* part = dynamic_cast<const faiss::IndexIVF*>(&index)) requireLists(*part);
  if (auto* part = dynamic_cast<const faiss::IndexHNSW*>(&index)) requireGraph(*part);
  if (auto* part = dynamic_cast<const faiss::IndexNSG*>(&index)) requireGraph(*part);
  if (auto* part = dynamic_cast<const faiss::IndexPreTransform*>(&index)) requireTransforms(*part);
  if (auto* part = dynamic_cast<const faiss::IndexFastScan*>(&index)) requireFastScan(*part);
  if (auto* part = dynamic_cast<const faiss::IndexIDMap*>(&index)) {
    require(part->index != nullptr && part->index->ntotal == part->ntotal && part->index->d == part->d, "what it maps");
    require(part->id_map.size() == static_cast<size_t>(part->ntotal), "its ids");
    for (size_t i = 0; i < part->id_map.size(); i++) requireRow(part->id_map[i], part->ntotal);
  }
  if (auto* part = dynamic_cast<const faiss::IndexRefine*>(&index)) {
    for (const faiss::Index* inner : {part->base_index, part->refine_index})
      require(inner != nullptr && inner->ntotal == part->ntotal && inner->d == part->d, "what it refines");
  }
}

}  // namespace

void requireSound(const faiss::Index& index) {
  const auto metric = index.metric_type;
  if (metric != faiss::METRIC_INNER_PRODUCT && metric != faiss::METRIC_L2)
    throw std::runtime_error("its metric is neither inner product nor L2");
  for (const faiss::Index* part : partsOf(const_cast<faiss::Index&>(index))) requirePart(*part, part == &index);
}

}  // namespace tandem
