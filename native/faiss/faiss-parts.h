// What the add-on's files share about FAISS indexes. No JavaScript in here.
#pragma once

#include <faiss/Index.h>
#include <faiss/VectorTransform.h>
#include <faiss/impl/ProductQuantizer.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace tandem {

// factory.cc: index_factory behind checks: FAISS divides by zero, loops for ever or allocates terabytes for some
// strings.
std::unique_ptr<faiss::Index> makeIndex(int dimension, const std::string& factory, faiss::MetricType metric);

// factory.cc: a ParameterSpace string such as "nprobe=16,efSearch=64". An empty one sets nothing.
void setParameters(faiss::Index& index, const std::string& parameters);

// file.cc: FAISS's own format. Reading never trusts a count that the file is too short for; writing syncs.
std::unique_ptr<faiss::Index> readIndexFile(const std::string& path);
void writeIndexFile(const faiss::Index& index, const std::string& path);

// sound.cc: throws unless every table of the index fits the others and every id is a row: a search then reads no memory
// but the index's own.
void requireSound(const faiss::Index& index);

// traits.cc: the index itself and those that it is made of (below transforms, id maps, refinements, coarse quantizers).
std::vector<faiss::Index*> partsOf(faiss::Index& index);

// traits.cc: the largest number of centroids that one k-means of its training looks for; 0 without any.
int64_t centroidsOf(faiss::Index& index);

// traits.cc: whether it holds a graph (HNSW, NSG), whose shape depends on which of several threads comes first.
bool hasGraph(faiss::Index& index);

// traits.cc: whether vectors are added with their ids.
bool takesIds(faiss::Index& index);

// traits.cc: bytes that it holds, to a few percent.
int64_t bytesOf(faiss::Index& index);

// traits.cc: k-means says on standard error, hundreds of times for some kinds, that it got few vectors; the caller says
// it better, once. Lives while an index is trained.
class QuietTraining {
 public:
  explicit QuietTraining(faiss::Index& index);
  QuietTraining(const QuietTraining&) = delete;
  QuietTraining& operator=(const QuietTraining&) = delete;
  ~QuietTraining();

 private:
  std::vector<std::unique_ptr<faiss::ProductQuantizer>> lent_;
  std::vector<faiss::OPQMatrix*> borrowers_;
};

}  // namespace tandem
