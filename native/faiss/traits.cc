// What an index is made of and what follows from it: training, threads, ids, memory.
#include <faiss/IndexAdditiveQuantizer.h>
#include <faiss/IndexFastScan.h>
#include <faiss/IndexFlatCodes.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIDMap.h>
#include <faiss/IndexIVF.h>
#include <faiss/IndexIVFFastScan.h>
#include <faiss/IndexIVFPQ.h>
#include <faiss/IndexIVFPQFastScan.h>
#include <faiss/IndexNSG.h>
#include <faiss/IndexPQ.h>
#include <faiss/IndexPQFastScan.h>
#include <faiss/IndexPreTransform.h>
#include <faiss/IndexRefine.h>
#include <faiss/VectorTransform.h>

#include <algorithm>

#include "faiss-parts.h"

namespace tandem {

namespace {

void collect(faiss::Index* index, std::vector<faiss::Index*>& parts) {
  if (index == nullptr) return;
  parts.push_back(index);
  if (auto* transformed = dynamic_cast<faiss::IndexPreTransform*>(index)) collect(transformed->index, parts);
  if (auto* mapped = dynamic_cast<faiss::IndexIDMap*>(index)) collect(mapped->index, parts);
  if (auto* refined = dynamic_cast<faiss::IndexRefine*>(index)) {
    collect(refined->base_index, parts);
    collect(refined->refine_index, parts);
  }
  if (auto* lists = dynamic_cast<faiss::IndexIVF*>(index)) collect(lists->quantizer, parts);
  if (auto* graph = dynamic_cast<faiss::IndexHNSW*>(index)) collect(graph->storage, parts);
  if (auto* graph = dynamic_cast<faiss::IndexNSG*>(index)) collect(graph->storage, parts);
}

faiss::ProductQuantizer* productQuantizerOf(faiss::Index* index) {
  if (auto* part = dynamic_cast<faiss::IndexPQ*>(index)) return &part->pq;
  if (auto* part = dynamic_cast<faiss::IndexIVFPQ*>(index)) return &part->pq;
  if (auto* part = dynamic_cast<faiss::IndexPQFastScan*>(index)) return &part->pq;
  if (auto* part = dynamic_cast<faiss::IndexIVFPQFastScan*>(index)) return &part->pq;
  return nullptr;
}

int64_t listBytes(const faiss::InvertedLists& lists) {
  int64_t entries = 0;
  for (size_t list = 0; list < lists.nlist; list++) entries += static_cast<int64_t>(lists.list_size(list));
  return entries * static_cast<int64_t>(lists.code_size + sizeof(int64_t)) + static_cast<int64_t>(lists.nlist * 48);
}

// Without what it is made of.
int64_t ownBytes(faiss::Index* index) {
  int64_t bytes = 512;
  if (auto* part = dynamic_cast<faiss::IndexFlatCodes*>(index)) bytes += static_cast<int64_t>(part->codes.size());
  if (auto* part = dynamic_cast<faiss::IndexFastScan*>(index)) bytes += static_cast<int64_t>(part->codes.size());
  if (auto* part = dynamic_cast<faiss::IndexIDMap*>(index)) bytes += 8 * static_cast<int64_t>(part->id_map.size());
  if (auto* part = dynamic_cast<faiss::IndexIVF*>(index); part != nullptr && part->invlists != nullptr)
    bytes += listBytes(*part->invlists);
  if (auto* part = dynamic_cast<faiss::IndexHNSW*>(index))
    bytes +=
        4 * static_cast<int64_t>(part->hnsw.neighbors.size()) + 12 * static_cast<int64_t>(part->hnsw.levels.size());
  if (auto* part = dynamic_cast<faiss::IndexNSG*>(index); part != nullptr && part->nsg.final_graph != nullptr)
    bytes += 4 * static_cast<int64_t>(part->nsg.final_graph->N) * part->nsg.final_graph->K;
  if (auto* quantizer = productQuantizerOf(index)) bytes += 4 * static_cast<int64_t>(quantizer->centroids.size());
  if (auto* part = dynamic_cast<faiss::IndexPreTransform*>(index))
    for (const auto* transform : part->chain) bytes += 4 * static_cast<int64_t>(transform->d_in) * transform->d_out;
  return bytes;
}

}  // namespace

std::vector<faiss::Index*> partsOf(faiss::Index& index) {
  std::vector<faiss::Index*> parts;
  collect(&index, parts);
  return parts;
}

int64_t centroidsOf(faiss::Index& index) {
  int64_t most = 0;
  for (faiss::Index* part : partsOf(index)) {
    if (auto* lists = dynamic_cast<faiss::IndexIVF*>(part)) most = std::max(most, static_cast<int64_t>(lists->nlist));
    if (auto* quantizer = productQuantizerOf(part)) most = std::max(most, static_cast<int64_t>(quantizer->ksub));
    if (auto* additive = dynamic_cast<faiss::IndexAdditiveQuantizer*>(part);
        additive != nullptr && additive->aq != nullptr)
      for (const size_t bits : additive->aq->nbits) most = std::max(most, int64_t{1} << std::min<size_t>(bits, 24));
    if (auto* transformed = dynamic_cast<faiss::IndexPreTransform*>(part))
      for (const auto* transform : transformed->chain)
        if (dynamic_cast<const faiss::OPQMatrix*>(transform) != nullptr) most = std::max<int64_t>(most, 256);
  }
  return most;
}

bool hasGraph(faiss::Index& index) {
  const auto parts = partsOf(index);
  return std::any_of(parts.begin(), parts.end(), [](faiss::Index* part) {
    return dynamic_cast<faiss::IndexHNSW*>(part) != nullptr || dynamic_cast<faiss::IndexNSG*>(part) != nullptr;
  });
}

bool takesIds(faiss::Index& index) { return dynamic_cast<faiss::IndexIDMap*>(&index) != nullptr; }

int64_t bytesOf(faiss::Index& index) {
  int64_t bytes = 0;
  for (faiss::Index* part : partsOf(index)) bytes += ownBytes(part);
  return bytes;
}

QuietTraining::QuietTraining(faiss::Index& index) {
  for (faiss::Index* part : partsOf(index)) {
    if (auto* lists = dynamic_cast<faiss::IndexIVF*>(part)) lists->cp.min_points_per_centroid = 1;
    if (auto* quantizer = productQuantizerOf(part)) quantizer->cp.min_points_per_centroid = 1;
    auto* transformed = dynamic_cast<faiss::IndexPreTransform*>(part);
    if (transformed == nullptr) continue;
    for (auto* transform : transformed->chain) {
      auto* rotation = dynamic_cast<faiss::OPQMatrix*>(transform);
      if (rotation == nullptr || rotation->pq != nullptr || rotation->d_out % rotation->M != 0) continue;
      // The quantizer that it would have made for itself.
      rotation->pq =
          lent_.emplace_back(std::make_unique<faiss::ProductQuantizer>(rotation->d_out, rotation->M, 8)).get();
      rotation->pq->cp.min_points_per_centroid = 1;
      borrowers_.push_back(rotation);
    }
  }
}

QuietTraining::~QuietTraining() {
  for (auto* rotation : borrowers_) rotation->pq = nullptr;
}

}  // namespace tandem
