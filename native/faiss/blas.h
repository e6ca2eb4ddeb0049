// Threads of FAISS's work, and which BLAS answers it. FAISS's products are BLAS's: with the reference BLAS training and
// flat search are many times slower than with OpenBLAS or MKL, and nothing says so.
#pragma once

#include <omp.h>

#include <mutex>

// Present or not, by the BLAS that the process was given.
extern "C" {
void openblas_set_num_threads(int threads) __attribute__((weak));
int openblas_get_num_threads() __attribute__((weak));
int openblas_get_parallel() __attribute__((weak));
void MKL_Get_Version_String(char* text, int length) __attribute__((weak));
}

namespace tandem {

inline const char* blasName() {
  if (openblas_set_num_threads != nullptr) return "OpenBLAS";
  return MKL_Get_Version_String != nullptr ? "MKL" : "reference";
}

// OpenBLAS with threads of its own has one number of them for the whole process. While any work goes on it is the
// number that the first of it asked for, and the last one puts back what was there: each one putting back what it met
// would leave one work's number behind for good.
class ProcessThreads {
 public:
  static void enter(int threads) {
    const std::lock_guard lock(mutex());
    if (working()++ > 0) return;
    before() = openblas_get_num_threads();
    openblas_set_num_threads(threads);
  }
  static void leave() {
    const std::lock_guard lock(mutex());
    if (--working() == 0) openblas_set_num_threads(before());
  }

 private:
  static std::mutex& mutex() {
    static std::mutex one;
    return one;
  }
  static int& working() {
    static int count = 0;
    return count;
  }
  static int& before() {
    static int threads = 0;
    return threads;
  }
};

// The number of threads of everything that this thread starts, while it lives.
class Threads {
 public:
  explicit Threads(int threads) {
    omp_set_num_threads(threads);
    if (openblas_get_parallel == nullptr || openblas_set_num_threads == nullptr || openblas_get_num_threads == nullptr)
      return;
    if (openblas_get_parallel() != 1) return;
    ProcessThreads::enter(threads);
    isProcess_ = true;
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() {
    if (isProcess_) ProcessThreads::leave();
  }

 private:
  bool isProcess_ = false;
};

}  // namespace tandem
