// FAISS's files. A count in a damaged file makes FAISS allocate before it reads, so the reader knows how long the file
// is and refuses a count that nothing can follow; what was read is checked table by table (sound.cc).
#include <faiss/impl/io.h>
#include <faiss/index_io.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "faiss-parts.h"

namespace tandem {

namespace {

[[noreturn]] void throwErrno(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::generic_category().message(errno));
}

struct Closed {
  void operator()(FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<FILE, Closed>;

class Reader : public faiss::IOReader {
 public:
  explicit Reader(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) throwErrno("it can't be opened");
    file_.reset(::fdopen(descriptor, "rb"));
    struct stat status {};
    if (::fstat(descriptor, &status) != 0) throwErrno("it can't be opened");
    if (!S_ISREG(status.st_mode)) throw std::runtime_error("it is not a regular file");
    left_ = static_cast<size_t>(status.st_size);
  }

  size_t operator()(void* ptr, size_t size, size_t nitems) override {
    size_t bytes = 0;
    if (__builtin_mul_overflow(size, nitems, &bytes) || bytes > left_) throw std::runtime_error("it is cut short");
    if (std::fread(ptr, 1, bytes, file_.get()) != bytes) throwErrno("it can't be read");
    left_ -= bytes;
    if (size == 8 && nitems == 1) requirePossible(ptr);
    return nitems;
  }

  size_t left() const { return left_; }

 private:
  // Every count of 8 bytes is followed by at least as many bytes, but for small constants. FAISS itself refuses counts
  // from 2^40 on, and takes other numbers of 8 bytes (fractions) for what they are: their bits are far above that.
  void requirePossible(const void* ptr) const {
    uint64_t count = 0;
    std::memcpy(&count, ptr, sizeof count);
    if (count > (uint64_t{1} << 20) && count <= (uint64_t{1} << 40) && count > left_)
      throw std::runtime_error("it is cut short");
  }

  File file_;
  size_t left_ = 0;
};

class Writer : public faiss::IOWriter {
 public:
  explicit Writer(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) throwErrno("it can't be written");
    file_.reset(::fdopen(descriptor, "wb"));
  }

  size_t operator()(const void* ptr, size_t size, size_t nitems) override {
    if (std::fwrite(ptr, size, nitems, file_.get()) != nitems) throwErrno("it can't be written");
    return nitems;
  }

  void close() {
    if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0) throwErrno("it can't be written");
    if (std::fclose(file_.release()) != 0) throwErrno("it can't be written");
  }

 private:
  File file_;
};

}  // namespace

std::unique_ptr<faiss::Index> readIndexFile(const std::string& path) {
  Reader reader(path);
  std::unique_ptr<faiss::Index> index(faiss::read_index(&reader));
  if (reader.left() != 0) throw std::runtime_error("it holds more than one index");
  requireSound(*index);
  return index;
}

void writeIndexFile(const faiss::Index& index, const std::string& path) {
  Writer writer(path);
  faiss::write_index(&index, &writer);
  writer.close();
}

}  // namespace tandem
