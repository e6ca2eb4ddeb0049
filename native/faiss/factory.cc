// index_factory and ParameterSpace behind checks. FAISS parses numbers and trusts them: a product quantizer of 0 parts
// divides by zero, a graph of 1 neighbour has no levels, a beam of 2^31 asks for 24 GB. What is checked is only what
// would end the process; what FAISS itself refuses is its own business.
#include <faiss/AutoTune.h>
#include <faiss/IndexIVF.h>
#include <faiss/index_factory.h>

#include <cmath>
#include <regex>
#include <stdexcept>

#include "faiss-parts.h"

namespace tandem {

namespace {

constexpr int64_t largestNumber = int64_t{1} << 24;

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

int64_t numberOf(const std::string& digits) { return digits.size() > 9 ? INT64_MAX : std::stoll(digits); }

void forEach(const std::string& text, const char* pattern, int64_t least, int64_t most, const char* what) {
  const std::regex expression(pattern);
  for (std::sregex_iterator match(text.begin(), text.end(), expression), end; match != end; ++match) {
    const int64_t value = numberOf((*match)[1]);
    if (value < least || value > most)
      refuse(std::string(what) + " " + (*match)[1].str() + " in \"" + text +
             "\" is out of range: " + std::to_string(least) + " to " + std::to_string(most));
  }
}

void requireBounded(const std::string& factory) {
  if (factory.empty() || factory.size() > 200) refuse("the factory string has no length from 1 to 200");
  if (!std::regex_match(factory, std::regex("[A-Za-z0-9_,()+.-]+")))
    refuse("the factory string holds other characters than letters, digits and _,()+.-");
  forEach(factory, "([0-9]+)", 1, largestNumber, "the number");
  forEach(factory, "(?:HNSW|NSG)([0-9]+)", 2, 512, "the number of neighbours");
  forEach(factory, "(?:PQ|RQ|LSQ|LSH)([0-9]+)", 1, 4096, "the number of parts");
  forEach(factory, "IMI[0-9]+x([0-9]+)", 1, 12, "the number of bits");
  forEach(factory, "x([0-9]+)", 1, 16, "the number of bits");
}

struct Parameter {
  std::string name;
  double value;
};

int64_t mostOf(const std::string& name) {
  if (name.find("k_factor") != std::string::npos) return 1024;
  return name == "max_codes" ? INT32_MAX : 1 << 20;
}

std::vector<Parameter> parsed(const std::string& text) {
  std::vector<Parameter> parameters;
  const std::regex expression("([A-Za-z_]+)=([0-9]{1,10}(\\.[0-9]{1,6})?)");
  size_t start = 0;
  while (start < text.size()) {
    const size_t end = std::min(text.find(',', start), text.size());
    const std::string word = text.substr(start, end - start);
    std::smatch match;
    if (!std::regex_match(word, match, expression)) refuse("\"" + word + "\" is no name=number");
    const std::string name = match[1];
    if (name == "verbose") refuse("verbose is no search parameter");
    // How many times as many results a refined search looks at: the one parameter that may be a fraction.
    if (match[3].matched && name.find("k_factor") == std::string::npos) refuse(name + "=" + match[2].str() + " is no whole number");
    const double value = std::stod(match[2]);
    const int64_t least = name == "ht" || name == "max_codes" ? 0 : 1;
    if (value < least || value > mostOf(name))
      refuse(name + "=" + match[2].str() + " is out of range: " + std::to_string(least) + " to " +
             std::to_string(mostOf(name)));
    parameters.push_back({name, value});
    start = end + 1;
  }
  return parameters;
}

}  // namespace

std::unique_ptr<faiss::Index> makeIndex(int dimension, const std::string& factory, faiss::MetricType metric) {
  requireBounded(factory);
  std::unique_ptr<faiss::Index> index(faiss::index_factory(dimension, factory.c_str(), metric));
  if (index->d != dimension) refuse("\"" + factory + "\" gave an index of another dimension");
  if (index->metric_type != metric) refuse("\"" + factory + "\" has no such metric");
  requireSound(*index);
  return index;
}

void setParameters(faiss::Index& index, const std::string& parameters) {
  faiss::ParameterSpace space;
  for (const auto& [name, value] : parsed(parameters)) {
    try {
      space.set_index_parameter(&index, name, value);
    } catch (const faiss::FaissException&) {
      refuse("this index has no parameter " + name);
    }
  }
}

}  // namespace tandem
